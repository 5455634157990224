//! What a guest that embeds implements and exports.

pub use crate::bindings::exports::wisp::inference::embedding::{Embeddings, Inputs, Options};

use crate::bindings::exports::wisp::inference::embedding::Guest;
use crate::bindings::wisp::inference::types;
use crate::error::{Error, ErrorKind};

/// A module that embeds texts: one vector an input, in the order of the inputs.
///
/// Export it with [`export_embedder!`](crate::export_embedder).
pub trait Embedder {
    /// Embeds all of `inputs`, or fails as a whole.
    ///
    /// # Errors
    /// Whatever the client should read; see [`ErrorKind`].
    fn embed(inputs: Inputs, options: Options) -> Result<Embeddings, Error>;
}

impl<E: Embedder> Guest for E {
    fn embed(inputs: Inputs, options: Options) -> Result<Embeddings, types::Error> {
        Ok(<E as Embedder>::embed(inputs, options)?)
    }
}

/// Exports a type that implements [`Embedder`] as the world `wisp:inference/embedder`. Once in a guest.
#[macro_export]
macro_rules! export_embedder {
    ($embedder:ident) => {
        $crate::bindings::export!($embedder with_types_in $crate::bindings);
    };
}

/// Refuses what no model can embed: no inputs at all, a text without a character, a row without a token.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`], naming the input by its position from 0.
pub fn check_inputs(inputs: &Inputs) -> Result<(), Error> {
    let (count, what, empty) = match inputs {
        Inputs::Texts(texts) => (texts.len(), "text", texts.iter().position(String::is_empty)),
        Inputs::Tokens(rows) => (rows.len(), "token list", rows.iter().position(Vec::is_empty)),
    };
    match empty {
        _ if count == 0 => Err(Error::invalid_argument("there is nothing to embed; give at least one text")),
        Some(position) => Err(Error::invalid_argument(format!("{what} {position} is empty; leave it out"))),
        None => Ok(()),
    }
}

/// Brings a row of token ids, special tokens included, within `max_tokens`.
///
/// A longer row loses tokens in front of its last one, which closes the sequence (`[SEP]`, or the end of text) and stays.
///
/// # Errors
/// [`ErrorKind::TooLarge`] when the row is longer and `truncate` is off.
pub fn fit_tokens(row: usize, tokens: &mut Vec<u32>, max_tokens: u32, truncate: bool) -> Result<(), Error> {
    let (length, limit) = (tokens.len(), max_tokens as usize);
    if length <= limit {
        return Ok(());
    }
    if !truncate || limit == 0 {
        let message = format!("input {row} has {length} tokens, the model takes {limit}; shorten it or set truncate");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    tokens.drain(limit - 1..length - 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_input_that_is_empty() {
        let texts = |texts: &[&str]| Inputs::Texts(texts.iter().map(|&text| text.to_owned()).collect());
        for (inputs, message) in [
            (texts(&[]), "there is nothing to embed; give at least one text"),
            (Inputs::Tokens(vec![]), "there is nothing to embed; give at least one text"),
            (texts(&["a", "b", ""]), "text 2 is empty; leave it out"),
            (Inputs::Tokens(vec![vec![1], vec![]]), "token list 1 is empty; leave it out"),
        ] {
            let error = check_inputs(&inputs).expect_err(message);
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidArgument, message));
        }
        check_inputs(&texts(&[" "])).expect("white space is text");
        check_inputs(&Inputs::Tokens(vec![vec![0]])).expect("one token is enough");
    }

    #[test]
    fn truncation_keeps_the_token_that_closes_the_sequence() {
        let mut tokens = vec![101, 1, 2, 3, 102];
        fit_tokens(0, &mut tokens, 4, true).expect("truncates");
        assert_eq!(tokens, [101, 1, 2, 102]);
        fit_tokens(0, &mut tokens, 4, false).expect("fits now");
        assert_eq!(tokens, [101, 1, 2, 102]);
    }

    #[test]
    fn a_long_row_is_an_error_when_truncation_is_off() {
        let error = fit_tokens(7, &mut vec![1, 2, 3], 2, false).expect_err("3 over 2");
        assert_eq!(error.kind, ErrorKind::TooLarge);
        assert_eq!(error.to_string(), "input 7 has 3 tokens, the model takes 2; shorten it or set truncate");
    }
}
