//! Long texts: no more of a text is tokenised than the model can take.
//!
//! A text is tokenised up to a cut that grows until enough of its tokens are certain. Normalisers, pre-tokenisers and models
//! work within words or beyond them by a few characters, so what a cut can change is the last word, and whatever touches the
//! last bytes before the cut. All tokens before that are those of the whole text. A tokenizer without words is certain of
//! nothing, and gets the whole text.

use tokenizers::{Encoding, Tokenizer};

use super::TokenizerError;

/// Bytes of text for each token of the model's maximum in the first cut; most scripts need fewer.
const BYTES_PER_TOKEN: usize = 8;

/// How much longer each cut is than the one before.
const GROWTH: usize = 4;

/// Bytes before the cut whose tokens are not relied on: look-ahead, composed characters, added tokens that are cut in two.
const MARGIN_BYTES: usize = 256;

/// How many times its own length an added token may take up in a text before it is normalised.
const ADDED_TOKEN_FACTOR: usize = 4;

/// How much of a text needs to be looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    first_bytes: usize,
    margin_bytes: usize,
    max_tokens: usize,
}

impl Prefix {
    pub(super) fn of(tokenizer: &Tokenizer, max_tokens: usize) -> Self {
        let added = tokenizer.get_added_tokens_decoder();
        let longest = added.values().map(|token| token.content.len()).max().unwrap_or(0);
        let margin_bytes = longest.saturating_mul(ADDED_TOKEN_FACTOR).max(MARGIN_BYTES);
        let first_bytes = max_tokens.saturating_mul(BYTES_PER_TOKEN).saturating_add(margin_bytes);
        Self { first_bytes, margin_bytes, max_tokens }
    }

    /// Whether a text is so short that cutting it would not be worth the while.
    pub(super) fn holds(&self, text: &str) -> bool {
        text.len() / 2 <= self.first_bytes
    }

    /// The encoding of `text`, or of as much of it as holds more certain tokens than the model takes.
    pub(super) fn encode(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        specials: bool,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Encoding, TokenizerError> {
        let broken = |error: tokenizers::Error| TokenizerError::Library(error.to_string());
        let mut bytes = self.first_bytes;
        while bytes < text.len() / 2 {
            if is_cancelled() {
                return Err(TokenizerError::Cancelled);
            }
            let end = text.floor_char_boundary(bytes);
            let encoding = tokenizer.encode(&text[..end], specials).map_err(broken)?;
            if certain_tokens(&encoding, end.saturating_sub(self.margin_bytes)) > self.max_tokens {
                return Ok(encoding);
            }
            bytes = bytes.saturating_mul(GROWTH);
        }
        tokenizer.encode_fast(text, specials).map_err(broken)
    }
}

/// Leading tokens that more text cannot change: all before the first word that reaches beyond `end_bytes`, and before the last.
fn certain_tokens(encoding: &Encoding, end_bytes: usize) -> usize {
    let words = encoding.get_word_ids();
    let Some(last) = words.iter().rev().find_map(|word| *word) else { return 0 };
    let touches = |token: usize| encoding.get_offsets()[token].1 > end_bytes;
    let open = (0..words.len()).find_map(|token| words[token].filter(|_| touches(token))).unwrap_or(last);
    words.iter().position(|&word| word == Some(open) || word == Some(last)).unwrap_or(0)
}
