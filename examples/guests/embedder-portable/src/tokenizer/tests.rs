//! The compiled-in tokenizer against the model's own `tokenizer.json`, id for id.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokenizers::TruncationParams;

use super::*;

const MAX_TOKENS: u32 = 256;

/// The model's texts with known embeddings, which the repository holds.
fn golden_texts() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/all-minilm-l6-v2/golden/sentences.json");
    let texts = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&texts).expect("golden texts are a list of strings")
}

/// What the 64 golden texts do not touch: special tokens in the text, words too long or unknown, odd characters, cut ends.
fn awkward_texts() -> Vec<String> {
    let word = |length: usize| "b".repeat(length);
    let mut texts: Vec<String> = [
        "",
        " ",
        "a [MASK] b[SEP]c [CLS] [PAD] [UNK] [mask] [ SEP ]",
        "[SEP][SEP]",
        "##ing # # ##",
        "don't; won't -- can\u{2019}t\u{2014}stop",
        "\u{0}nul\u{1}\u{7f}\u{fffd}control\u{200b}\u{feff}\u{ad}soft",
        "line\nbreak\r\ntab\tnbsp\u{a0}em\u{2003}ideographic\u{3000}space",
        "Ａｂｃ １２３ ﬁ ﬀ Ǆ İstanbul ẞ ß Σίσυφος ΣΑΣ",
        "e\u{301} E\u{301} n\u{303} a\u{30a} ạ̈ \u{301}\u{302}",
        "漢字かなカナ한국어 中文，标点。 𠀀𪜀 豈",
        "नमस्ते ไทย தமிழ் עִבְרִית عَرَبِيّ",
        "👩‍👩‍👧‍👦 🇩🇪 👍🏽 ☃️ ∑∫√ ½ ²",
        "\u{e000}private \u{10ffff} \u{e0041}",
        "$1,000.00 ^_^ `code` ~x| <a href=\"b\">&amp;</a>",
        "unaffable supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend([99, 100, 101, 1000].map(word));
    texts.extend([253, 254, 255, 256, 600].map(|words| "word ".repeat(words)));
    texts.push("embeddings ".repeat(200));
    texts.push(format!("{}é", "z".repeat(99)));
    texts
}

/// The model's tokenizer as its makers run it: their file cuts at 128 and pads, the model takes 256 and needs no padding.
fn reference(folder: &Path, max_tokens: Option<u32>) -> tokenizers::Tokenizer {
    let mut reference =
        tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).expect("tokenizer.json is readable");
    let truncation = max_tokens.map(|limit| TruncationParams { max_length: limit as usize, ..Default::default() });
    reference.with_truncation(truncation).expect("256 leaves room for special tokens");
    reference.with_padding(None);
    reference
}

/// The folder with the model's tokenizer; where there is none, the skip of `test` is recorded.
fn reference_folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("WISP_TOKENIZER_DIR").map(PathBuf::from);
    if folder.is_none() {
        record_skip(test, "WISP_TOKENIZER_DIR does not name the folder with tokenizer.json");
    }
    folder
}

fn check_against_reference(test: &str, max_tokens: Option<u32>, texts: &[String]) {
    let Some(folder) = reference_folder(test) else { return };
    let reference = reference(&folder, max_tokens);
    let tokenizer = Tokenizer::new(max_tokens).expect("starts");
    for text in texts {
        let expected = reference.encode_fast(text.as_str(), true).expect("encodes");
        assert_eq!(tokenizer.encode(text).expect("encodes"), expected.get_ids(), "{text:?}");
    }
}

/// Says that a test did not run, where `cargo xtask test` looks; a failure where nothing may be skipped.
fn record_skip(test: &str, reason: &str) {
    assert!(std::env::var_os("WISP_TEST_REQUIRE").is_none_or(|value| value != "1"), "{test} cannot run: {reason}");
    if let Some(path) = std::env::var_os("WISP_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        writeln!(file.expect("the file for skips can be opened"), "{test}: {reason}").expect("the file takes a line");
    }
}

#[test]
fn gives_the_ids_of_the_models_own_tokenizer_for_the_golden_texts() {
    let test = "gives_the_ids_of_the_models_own_tokenizer_for_the_golden_texts";
    check_against_reference(test, Some(MAX_TOKENS), &golden_texts());
}

#[test]
fn gives_the_ids_of_the_models_own_tokenizer_for_awkward_texts() {
    let test = "gives_the_ids_of_the_models_own_tokenizer_for_awkward_texts";
    check_against_reference(test, Some(MAX_TOKENS), &awkward_texts());
}

#[test]
fn gives_the_ids_of_the_models_own_tokenizer_without_truncation() {
    let test = "gives_the_ids_of_the_models_own_tokenizer_without_truncation";
    let texts: Vec<String> = golden_texts().into_iter().chain(awkward_texts()).collect();
    check_against_reference(test, None, &texts);
}

#[test]
fn cuts_at_the_limit_and_closes_the_sequence() {
    let ids = Tokenizer::new(Some(4)).expect("starts").encode("one two three four").expect("encodes");
    assert_eq!(ids, [101, 2028, 2048, 102]);
}

#[test]
fn gives_the_ids_of_the_models_own_tokenizer_for_any_text() {
    let Some(folder) = reference_folder("gives_the_ids_of_the_models_own_tokenizer_for_any_text") else { return };
    let reference = reference(&folder, Some(MAX_TOKENS));
    let tokenizer = Tokenizer::new(Some(MAX_TOKENS)).expect("starts");
    let piece = prop_oneof![
        proptest::sample::select(&SPECIAL_TOKENS[..]).prop_map(str::to_owned),
        "[a-zA-Z0-9 ,.\\[\\]#'-]{0,24}",
        any::<String>(),
    ];
    let text = proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    let same = |text: String| {
        let expected = reference.encode_fast(text.as_str(), true).expect("encodes");
        prop_assert_eq!(tokenizer.encode(&text).expect("encodes"), expected.get_ids());
        Ok(())
    };
    TestRunner::default().run(&text, same).expect("the same ids");
}

#[test]
fn refuses_a_text_that_would_not_fit_guest_memory() {
    let error = Tokenizer::new(None).expect("starts").encode(&"a".repeat(MAX_TEXT_BYTES + 1)).expect_err("too long");
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert_eq!(error.to_string(), "text has 262145 bytes, this guest takes 262144; shorten it");
}
