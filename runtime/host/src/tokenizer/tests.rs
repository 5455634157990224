//! Cut texts have the tokens of whole ones, whatever the script and the tokenizer.

use std::cell::Cell;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MAX_TOKENS: usize = 16;

/// What texts are made of: words, scripts without spaces, what normalisers drop, and added tokens.
const PIECES: &[&str] = &[
    "harbour",
    "a",
    "Zürich",
    "e\u{301}",
    "e",
    "\u{301}",
    "港",
    "の",
    "。",
    "😀",
    "👩\u{200d}🚀",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\u{85}",
    "\0",
    "[SEP]",
    "[SE",
    "P]",
    ".",
    "don't",
    "1234567",
    "#",
    "\u{a0}",
    "\u{fffd}",
    "한국어",
    "ไทย",
];

fn tokenizer_of(json: &Value) -> ModelTokenizer {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(file.path(), json.to_string()).expect("written");
    let options = TokenizerOptions {
        max_tokens: MAX_TOKENS,
        ids_input: "ids".to_owned(),
        mask_input: "mask".to_owned(),
        types_input: None,
        pad_id: 0,
    };
    ModelTokenizer::from_file(file.path(), options).expect("a tokenizer")
}

fn added() -> Value {
    let token = |id: u32, content: &str| {
        json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false})
    };
    json!([token(0, "[UNK]"), token(1, "[CLS]"), token(2, "[SEP]")])
}

fn template() -> Value {
    json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                           "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}})
}

/// Every character of the pieces, first in a word and within it, so that few words are unknown.
fn word_piece() -> ModelTokenizer {
    let mut vocabulary = serde_json::Map::new();
    let mut add = |token: String| {
        let next = vocabulary.len();
        vocabulary.entry(token).or_insert(json!(next));
    };
    ["[UNK]", "[CLS]", "[SEP]"].iter().for_each(|token| add((*token).to_owned()));
    for letter in PIECES.concat().to_lowercase().chars() {
        add(letter.to_string());
        add(format!("##{letter}"));
    }
    tokenizer_of(&json!({"version": "1.0", "added_tokens": added(), "post_processor": template(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
                       "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary}}))
}

/// Bytes merged within words that the pattern of GPT-2 finds.
fn byte_level() -> ModelTokenizer {
    let mut vocabulary = serde_json::Map::new();
    for token in ["[UNK]", "[CLS]", "[SEP]"] {
        vocabulary.insert(token.to_owned(), json!(vocabulary.len()));
    }
    let mut letters: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    letters.sort_unstable();
    for letter in letters {
        vocabulary.insert(letter.to_string(), json!(vocabulary.len()));
    }
    for merged in ["ar", "har", "Ġh", "Ġa"] {
        vocabulary.insert(merged.to_owned(), json!(vocabulary.len()));
    }
    tokenizer_of(&json!({"version": "1.0", "added_tokens": added(), "post_processor": template(), "decoder": null,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": ["a r", "h ar", "Ġ h", "Ġ a"]}}))
}

/// The whole text tokenised, then cut: what the prefix must not differ from.
fn whole(tokenizer: &ModelTokenizer, text: &str, specials: bool) -> Vec<u32> {
    let encoding = tokenizer.tokenizer.encode_fast(text, specials).expect("encodes");
    tokenizer.fit(0, &encoding, true).expect("is cut")
}

fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        // Runs without a space, and runs of what is dropped: the cut falls into them.
        1 => (prop::sample::select(PIECES), 50_usize..600).prop_map(|(piece, count)| piece.repeat(count)),
    ];
    prop::collection::vec(piece, 1..400).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_cut_text_has_the_tokens_of_the_whole_one(text in texts(), specials: bool) {
        thread_local! {
            static TOKENIZERS: [ModelTokenizer; 2] = [word_piece(), byte_level()];
        }
        TOKENIZERS.with(|tokenizers| {
            for tokenizer in tokenizers {
                let cut = tokenizer.encode(vec![text.clone()], specials, true).expect("encodes");
                prop_assert_eq!(&cut[0], &whole(tokenizer, &text, specials));
            }
            Ok(())
        })?;
    }
}

#[test]
fn no_more_than_the_model_takes_is_tokenised() {
    let tokenizer = word_piece();
    for text in ["harbour ".repeat(100_000), "港".repeat(300_000), "a".repeat(400) + &" 港の".repeat(100_000)] {
        let encoding = tokenizer.prefix.encode(&tokenizer.tokenizer, &text, true, &|| false).expect("encodes");
        assert!(encoding.len() < 10_000, "{} tokens", encoding.len());
        assert_eq!(
            tokenizer.encode(vec![text.clone()], true, true).expect("encodes")[0],
            whole(&tokenizer, &text, true)
        );
        let error = tokenizer.encode(vec![text], true, false).expect_err("is too long");
        assert!(error.to_string().ends_with("the model takes at most 16, ask for truncation or split it"), "{error}");
    }
}

#[test]
fn a_text_that_becomes_long_enough_only_at_its_end_is_read_to_its_end() {
    let tokenizer = word_piece();
    let text = "a".repeat(100_000) + &" 港".repeat(20);
    assert_eq!(tokenizer.encode(vec![text.clone()], true, true).expect("encodes")[0], whole(&tokenizer, &text, true));
}

#[test]
fn tokenising_ends_between_texts_when_nobody_waits_any_more() {
    let tokenizer = word_piece();
    let asked = Cell::new(0);
    let is_cancelled = || asked.replace(asked.get() + 1) >= 3;
    let texts = vec!["harbour".to_owned(); 10_000];
    let error = tokenizer.encode_while_wanted(&texts, true, true, &is_cancelled).expect_err("was cancelled");
    assert!(matches!(error, TokenizerError::Cancelled));
    assert_eq!(asked.get(), 4);
}
