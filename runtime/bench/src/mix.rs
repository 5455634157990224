//! Texts to send: named mixes of lengths, made out of English words, the same for the same seed everywhere.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::random::SplitMix64;
use crate::words::WORDS;

/// Longest text that a mix makes, in words; beyond it every model of this kind cuts.
const WORDS_LIMIT: usize = 10_000;

/// Words of a sentence.
const SENTENCE_WORDS: (usize, usize) = (6, 14);

/// Of so many words in a sentence one is followed by a comma.
const COMMA_WORDS: usize = 8;

/// How long texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// 14 words and no punctuation: 16 tokens of a BERT vocabulary.
    Short,
    /// What search and chat bring: 60 % of 6 to 25 words, 30 % of 26 to 85, 10 % of 100 to 199.
    Mixed,
    /// A paragraph: 120 to 132 words.
    Long,
    /// So many words, both ends included, each as often as the others.
    Words {
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
}

/// Why a name is no mix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mix `{0}`; one of short, mixed, long, a number of words such as 40, or a range such as 6-25")]
pub struct MixError(String);

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let error = || MixError(name.to_owned());
        let words = |text: &str| text.parse::<usize>().ok().filter(|words| (1..=WORDS_LIMIT).contains(words));
        match name {
            "short" => Ok(Self::Short),
            "mixed" => Ok(Self::Mixed),
            "long" => Ok(Self::Long),
            _ => {
                let (least, most) = name.split_once('-').unwrap_or((name, name));
                let (least, most) = words(least).zip(words(most)).ok_or_else(error)?;
                if least > most { Err(error()) } else { Ok(Self::Words { least, most }) }
            }
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("short"),
            Self::Mixed => f.write_str("mixed"),
            Self::Long => f.write_str("long"),
            Self::Words { least, most } if least == most => write!(f, "{least}"),
            Self::Words { least, most } => write!(f, "{least}-{most}"),
        }
    }
}

impl Mix {
    /// So many texts in an order drawn by `seed`, all different as far as so many different ones exist.
    ///
    /// Lengths are dealt out in the mix's exact shares, not drawn: two pools of one mix weigh the same.
    #[must_use]
    pub fn texts(self, count: usize, seed: u64) -> Vec<String> {
        let mut random = SplitMix64::new(seed);
        let mut lengths: Vec<usize> = (0..count).map(|index| self.length(index, count, &mut random)).collect();
        random.shuffle(&mut lengths);
        let mut known = BTreeSet::new();
        let mut texts = Vec::with_capacity(count);
        for length in lengths {
            let mut text = self.text(length, &mut random);
            // A few single words are soon used up; then some come twice.
            for _ in 0..16 {
                if known.insert(text.clone()) {
                    break;
                }
                text = self.text(length, &mut random);
            }
            texts.push(text);
        }
        texts
    }

    fn length(self, index: usize, count: usize, random: &mut SplitMix64) -> usize {
        match self {
            Self::Short => 14,
            Self::Long => random.between(120, 132),
            Self::Words { least, most } => least + index % (most - least + 1),
            Self::Mixed => match (index * 10).checked_div(count).unwrap_or(0) {
                0..6 => random.between(6, 25),
                6..9 => random.between(26, 85),
                _ => random.between(100, 199),
            },
        }
    }

    fn text(self, length: usize, random: &mut SplitMix64) -> String {
        let mut text = String::new();
        let mut left_in_sentence = 0;
        for word in 0..length {
            let mut next = WORDS[random.below(WORDS.len())].to_owned();
            if self == Self::Short {
                text += if word == 0 { "" } else { " " };
                text += &next;
                continue;
            }
            if left_in_sentence == 0 {
                left_in_sentence = random.between(SENTENCE_WORDS.0, SENTENCE_WORDS.1);
                next[..1].make_ascii_uppercase();
            }
            left_in_sentence -= 1;
            text += if word == 0 { "" } else { " " };
            text += &next;
            if left_in_sentence == 0 || word + 1 == length {
                text += ".";
            } else if random.below(COMMA_WORDS) == 0 {
                text += ",";
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    #[test]
    fn every_mix_has_the_lengths_that_it_promises() {
        for text in Mix::Short.texts(100, 1) {
            assert_eq!(words(&text), 14, "{text}");
        }
        for text in Mix::Long.texts(100, 1) {
            assert!((120..=132).contains(&words(&text)), "{text}");
        }
        let fixed = Mix::Words { least: 3, most: 5 }.texts(9, 1);
        let mut lengths: Vec<_> = fixed.iter().map(|text| words(text)).collect();
        lengths.sort_unstable();
        assert_eq!(lengths, [3, 3, 3, 4, 4, 4, 5, 5, 5]);
    }

    #[test]
    fn the_shares_of_mixed_are_exact() {
        let texts = Mix::Mixed.texts(500, 9);
        let within = |least, most| texts.iter().filter(|text| (least..=most).contains(&words(text))).count();
        assert_eq!((within(6, 25), within(26, 85), within(100, 199)), (300, 150, 50));
    }

    #[test]
    fn a_seed_says_all_and_another_one_says_something_else() {
        for mix in [Mix::Short, Mix::Mixed, Mix::Long] {
            assert_eq!(mix.texts(50, 4), mix.texts(50, 4));
            assert_ne!(mix.texts(50, 4), mix.texts(50, 5));
            let texts = mix.texts(512, 4);
            assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), 512, "all different");
        }
    }

    #[test]
    fn names_are_read_and_written_alike() {
        for name in ["short", "mixed", "long", "40", "6-25"] {
            assert_eq!(name.parse::<Mix>().expect(name).to_string(), name);
        }
        for name in ["", "tiny", "0", "9-3", "-", "1-", "99999999", "3-0"] {
            let error = name.parse::<Mix>().expect_err(name).to_string();
            assert!(error.contains("one of short, mixed, long"), "{error}");
        }
    }

    #[test]
    fn words_are_plain_and_different() {
        assert!(WORDS.iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase())));
        assert_eq!(WORDS.iter().collect::<BTreeSet<_>>().len(), WORDS.len());
    }
}
