//! Tokens with their places in the text, for callers that count and cut.

use std::sync::Arc;

use tokenizers::Encoding;

use super::{ModelTokenizer, TokenizerError, offload};
use crate::GrantedModel;

/// One token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id, below the size of the vocabulary.
    pub id: u32,
    /// Where it begins in the bytes of the text; 0 for special tokens.
    pub start: u32,
    /// Where it ends, behind its last byte; 0 for special tokens.
    pub end: u32,
    /// What a special token is called (`[CLS]`); `None` for tokens of the text.
    pub special: Option<Box<str>>,
}

impl ModelTokenizer {
    /// The tokens of each text, however many they are.
    ///
    /// # Errors
    /// [`TokenizerError::Library`], and [`TokenizerError::Cancelled`] when `is_cancelled` says so, which is asked before each text.
    fn tokens(
        &self,
        texts: &[String],
        specials: bool,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Vec<Token>>, TokenizerError> {
        let encoded = texts.iter().map(|text| {
            if is_cancelled() {
                return Err(TokenizerError::Cancelled);
            }
            let encoding = self.tokenizer.encode(text.as_str(), specials);
            encoding.map(|encoding| tokens_of(&encoding)).map_err(|error| TokenizerError::Library(error.to_string()))
        });
        encoded.collect()
    }
}

impl GrantedModel {
    /// The tokens of each text, with the model's special tokens where `specials` asks for them; `None` for a model without a tokenizer.
    /// Dropping the future ends long work early.
    ///
    /// # Errors
    /// [`TokenizerError::Library`].
    pub async fn tokens(
        self: &Arc<Self>,
        texts: Vec<String>,
        specials: bool,
    ) -> Option<Result<Vec<Vec<Token>>, TokenizerError>> {
        let bytes = texts.iter().map(String::len).sum();
        offload(self, bytes, move |tokenizer, is_cancelled| tokenizer.tokens(&texts, specials, is_cancelled)).await
    }

    /// The text of each list of ids, without special tokens where `skip_specials` asks for that; `None` for a model without a
    /// tokenizer. Dropping the future ends long work early.
    ///
    /// # Errors
    /// [`TokenizerError::Library`].
    pub async fn decode(
        self: &Arc<Self>,
        rows: Vec<Vec<u32>>,
        skip_specials: bool,
    ) -> Option<Result<Vec<String>, TokenizerError>> {
        let bytes = rows.iter().map(|row| size_of_val(row.as_slice())).sum();
        let decode = move |tokenizer: &ModelTokenizer, is_cancelled: &dyn Fn() -> bool| {
            let decoded = rows.iter().map(|row| match is_cancelled() {
                true => Err(TokenizerError::Cancelled),
                false => tokenizer.decode(row, skip_specials),
            });
            decoded.collect()
        };
        offload(self, bytes, decode).await
    }
}

fn tokens_of(encoding: &Encoding) -> Vec<Token> {
    // Texts are shorter than 4 GiB: limits.text_bytes goes up to 1 GiB.
    let place = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    let columns = encoding.get_ids().iter().zip(encoding.get_offsets());
    let columns = columns.zip(encoding.get_special_tokens_mask()).zip(encoding.get_tokens());
    let tokens = columns.map(|(((&id, &(start, end)), &special), name)| match special {
        0 => Token { id, start: place(start), end: place(end), special: None },
        _ => Token { id, start: 0, end: 0, special: Some(name.as_str().into()) },
    });
    tokens.collect()
}
