//! How much work a request will be, guessed from its bytes before anything is tokenised.

use std::sync::atomic::{AtomicU64, Ordering};

/// Tokens a byte where nothing was seen yet: English words are some five letters and a token and a bit.
const FIRST_GUESS: f64 = 0.25;

/// Special tokens of a text.
const TOKENS_A_TEXT: f64 = 2.0;

/// Share of the newest request in the average.
const NEWEST: f64 = 0.05;

/// Tokens a byte of the texts that a deployment sees; follows their language and tokenizer.
#[derive(Debug)]
pub(crate) struct TokenRatio {
    /// Bits of an `f64`. Lost updates do not matter: it is an average.
    tokens_per_byte: AtomicU64,
}

impl Default for TokenRatio {
    fn default() -> Self {
        Self { tokens_per_byte: AtomicU64::new(FIRST_GUESS.to_bits()) }
    }
}

impl TokenRatio {
    /// Tokens of texts, none of which counts for more than `max_tokens`.
    pub(crate) fn estimate<'a>(&self, texts: impl Iterator<Item = &'a String>, max_tokens: Option<usize>) -> usize {
        let ratio = self.get();
        let most = max_tokens.map_or(f64::MAX, |most| most as f64);
        let tokens: f64 = texts.map(|text| (TOKENS_A_TEXT + text.len() as f64 * ratio).min(most)).sum();
        // Saturates; a request of more tokens than that is refused anyway.
        tokens.ceil() as usize
    }

    /// Learns from what texts of so many bytes turned out to be. Texts that were cut tell nothing of their length.
    pub(crate) fn learn(&self, texts: usize, bytes: usize, tokens: usize, max_tokens: Option<usize>) {
        if bytes == 0 || max_tokens.is_some_and(|most| tokens >= most.saturating_mul(texts)) {
            return;
        }
        let seen = (tokens as f64 - TOKENS_A_TEXT * texts as f64).max(0.0) / bytes as f64;
        let next = (1.0 - NEWEST) * self.get() + NEWEST * seen;
        self.tokens_per_byte.store(next.to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.tokens_per_byte.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_from_bytes_and_is_cut_where_the_model_cuts() {
        let ratio = TokenRatio::default();
        let texts = ["x".repeat(40), "x".repeat(100_000)];
        assert_eq!(ratio.estimate(texts[..1].iter(), None), 12);
        assert_eq!(ratio.estimate(texts.iter(), Some(256)), 12 + 256);
    }

    #[test]
    fn follows_the_texts_it_sees() {
        let ratio = TokenRatio::default();
        let text = ["x".repeat(100)];
        for _ in 0..200 {
            ratio.learn(1, 100, 102, Some(256));
        }
        assert!((100..=103).contains(&ratio.estimate(text.iter(), None)), "a token a byte");
        ratio.learn(1, 1_000_000, 256, Some(256));
        assert!((100..=103).contains(&ratio.estimate(text.iter(), None)), "a text that was cut teaches nothing");
    }
}
