//! The tokenizer of uncased BERT models over the compiled-in vocabulary: texts in, token ids out.
//!
//! Normalising and cutting into words is left to the `tokenizers` crate. Its whole pipeline is not used: that would fill a
//! hash map and compile regular expressions at every start, and bring 1 MB of tables for them.

use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};
use wisp_guest::{Error, ErrorKind};

use crate::vocabulary::Vocabulary;

/// Tokens that are recognised in the text as it stands, before it is normalised.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Longest text in bytes. Normalising takes up to some 100 bytes of guest memory for each of them, and no model reads so far.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// Gives the ids that the model's own `tokenizer.json` gives; the build script checks that it asks for nothing else.
pub(crate) struct Tokenizer {
    vocabulary: Vocabulary,
    normalizer: BertNormalizer,
    begin: u32,
    end: u32,
    /// Longest row, special tokens included.
    max_tokens: usize,
}

impl Tokenizer {
    /// A tokenizer that cuts texts at `max_tokens`, special tokens included, if given.
    ///
    /// # Errors
    /// When the compiled-in vocabulary cannot be used.
    pub(crate) fn new(max_tokens: Option<u32>) -> Result<Self, Error> {
        let vocabulary = Vocabulary::open()?;
        let (begin, end) = (vocabulary.id("[CLS]")?, vocabulary.id("[SEP]")?);
        let max_tokens = max_tokens.map_or(usize::MAX, |max_tokens| max_tokens as usize);
        Ok(Self { vocabulary, normalizer: BertNormalizer::default(), begin, end, max_tokens })
    }

    /// The token ids of `text`, special tokens included.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for a text of more than 256 KiB.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        if text.len() > MAX_TEXT_BYTES {
            let message = format!("text has {} bytes, this guest takes {MAX_TEXT_BYTES}; shorten it", text.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let limit = self.max_tokens.saturating_sub(1);
        let mut ids = vec![self.begin];
        let mut rest = text;
        while let Some((before, special, after)) = split_at_special(rest) {
            self.encode_words(before, limit, &mut ids)?;
            ids.push(self.vocabulary.id(special)?);
            rest = after;
        }
        self.encode_words(rest, limit, &mut ids)?;
        ids.truncate(limit);
        ids.push(self.end);
        Ok(ids)
    }

    /// Appends the tokens of `text`, which holds no special token, until there are at least `limit`.
    fn encode_words(&self, text: &str, limit: usize, ids: &mut Vec<u32>) -> Result<(), Error> {
        if text.is_empty() || ids.len() >= limit {
            return Ok(());
        }
        let failed = |error: tokenizers::Error| Error::internal(format!("text cannot be tokenised: {error}"));
        let mut normalized = NormalizedString::from(text);
        self.normalizer.normalize(&mut normalized).map_err(failed)?;
        let mut words = PreTokenizedString::from(normalized);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(failed)?;
        for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            if ids.len() >= limit {
                break;
            }
            self.vocabulary.spell(word, ids);
        }
        Ok(())
    }
}

/// The text in front of the first special token, that token, and the text behind it.
fn split_at_special(text: &str) -> Option<(&str, &'static str, &str)> {
    // Each of them begins with the one bracket, and none is the beginning of another, so the first match is the only one.
    text.match_indices('[').find_map(|(position, _)| {
        let (before, rest) = text.split_at(position);
        SPECIAL_TOKENS.iter().find_map(|special| Some((before, *special, rest.strip_prefix(special)?)))
    })
}

#[cfg(test)]
mod tests;
