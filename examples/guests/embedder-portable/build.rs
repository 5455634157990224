//! Compiles a model's vocabulary into the guest, as a finite-state transducer that needs no work at start.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What `src/tokenizer.rs` and `src/vocabulary.rs` do, as `tokenizer.json` says it. Another tokenizer needs another guest.
fn required_settings() -> [(&'static str, Value); 8] {
    let normalizer = json!({
        "type": "BertNormalizer",
        "clean_text": true,
        "handle_chinese_chars": true,
        "strip_accents": null,
        "lowercase": true,
    });
    let template = json!([
        { "SpecialToken": { "id": "[CLS]", "type_id": 0 } },
        { "Sequence": { "id": "A", "type_id": 0 } },
        { "SpecialToken": { "id": "[SEP]", "type_id": 0 } },
    ]);
    let special_token = |(id, content): (u32, &str)| {
        json!({
            "id": id,
            "content": content,
            "special": true,
            "normalized": false,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
        })
    };
    let special_tokens = [(0, "[PAD]"), (100, "[UNK]"), (101, "[CLS]"), (102, "[SEP]"), (103, "[MASK]")];
    [
        ("/normalizer", normalizer),
        ("/pre_tokenizer", json!({ "type": "BertPreTokenizer" })),
        ("/post_processor/single", template),
        ("/added_tokens", special_tokens.map(special_token).into_iter().collect()),
        ("/model/type", json!("WordPiece")),
        ("/model/unk_token", json!("[UNK]")),
        ("/model/continuing_subword_prefix", json!("##")),
        ("/model/max_input_chars_per_word", json!(100)),
    ]
}

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=WISP_TOKENIZER_DIR");
    let folder = std::env::var_os("WISP_TOKENIZER_DIR").map(PathBuf::from).ok_or(
        "WISP_TOKENIZER_DIR is not set; it names the folder with vocab.txt and tokenizer.json of all-minilm-l6-v2 \
         (`cargo xtask guests` fetches the model and sets it)",
    )?;
    let (settings_path, vocabulary_path) = (folder.join("tokenizer.json"), folder.join("vocab.txt"));
    println!("cargo::rerun-if-changed={}", settings_path.display());
    println!("cargo::rerun-if-changed={}", vocabulary_path.display());

    let settings = read(&settings_path)?;
    let settings: Value =
        serde_json::from_str(&settings).map_err(|error| format!("{}: {error}", settings_path.display()))?;
    let vocabulary = read(&vocabulary_path)?;
    check(&settings, &vocabulary).map_err(|error| format!("{}: {error}", settings_path.display()))?;
    let transducer = compile(&vocabulary).map_err(|error| format!("{}: {error}", vocabulary_path.display()))?;

    let output = std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or("cargo sets OUT_DIR for build scripts")?;
    fs::write(output.join("vocabulary.fst"), transducer).map_err(|error| format!("{}: {error}", output.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Checks that `tokenizer.json` asks for what this guest does, with the vocabulary of `vocab.txt`.
fn check(settings: &Value, vocabulary: &str) -> Result<(), String> {
    for (pointer, expected) in required_settings() {
        let actual = settings.pointer(pointer).unwrap_or(&Value::Null);
        if *actual != expected {
            return Err(format!("{pointer} is {actual}; this guest is for {expected}"));
        }
    }
    let tokens = vocabulary.lines().count();
    let listed = settings.pointer("/model/vocab").and_then(Value::as_object).ok_or("/model/vocab is missing")?;
    let differing = (0_u64..).zip(vocabulary.lines()).find(|&(id, token)| listed.get(token) != Some(&json!(id)));
    match differing {
        Some((id, token)) => Err(format!("vocab.txt has token {id} `{token}`, /model/vocab has not")),
        None if listed.len() != tokens => Err(format!("/model/vocab has {} tokens, vocab.txt {tokens}", listed.len())),
        None => Ok(()),
    }
}

/// A map from token to id.
fn compile(vocabulary: &str) -> Result<Vec<u8>, fst::Error> {
    let mut tokens: Vec<(&str, u64)> = vocabulary.lines().zip(0..).collect();
    tokens.sort_unstable();
    let mut builder = fst::MapBuilder::memory();
    for (token, id) in tokens {
        builder.insert(token, id)?;
    }
    builder.into_inner()
}
