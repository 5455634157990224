//! Manifests with several files a format, with labels in a file, with golden tensors, and manifests written anew.

use proptest::prelude::*;
use wisp_core::{BackendId, ModelFormat, Precision};

use super::{parse, real, refuses, refuses_in};
use crate::manifest::{FileSource, GoldenAnswers, Source, Task, Tolerance};

#[test]
fn finds_precisions_and_weights_that_do_not_fit() {
    refuses(
        "path = \"vocab.txt\"",
        "path = \"vocab.txt\"\nprecision = \"int8\"",
        "\"int8\"\nsize_bytes = 231508",
        "precision is for files with a format",
    );
    refuses("precision = \"int8\"", "precision = \"int4\"", "\"int4\"", "unknown variant `int4`");
    refuses("precision = \"int8\"", "precision = \"f32\"", "\"f32\"", "f32 is what a file without `precision` serves");
    refuses("precision = \"int8\"\n", "", "\"bert-onnx-int8\"", "makes files of precision `int8`; add it to the file");
    refuses(
        "precision = \"int8\"",
        "precision = \"bf16\"",
        "\"bert-onnx-int8\"",
        "exporter `bert-onnx-int8` makes files of precision `int8`; add it",
    );
    refuses(
        "\"bert-onnx-int8\"",
        "\"bert-onnx\"",
        "\"bert-onnx\", from = \"model.safetensors\", config = \"config.json\" }\n\n# Bytes",
        "leave `precision` out",
    );
    let ranges = "ranges = \"calibration/ranges.json\"\n";
    refuses(ranges, "", "[files.derived]", "rounds activations by their `ranges`; name the file");
    refuses(ranges, "ranges = \"../ranges.json\"\n", "\"../ranges.json\"", "must be relative, with `/`");
    refuses(
        "\"bert-onnx-int8-static\"",
        "\"bert-onnx-int8\"",
        "\"calibration/ranges.json\"",
        "ranges is for exporter `bert-onnx-int8-static`",
    );
    refuses(
        "backends = [\"candle\"]\n",
        "backends = [\"candle\"]\nweights = \"vocab.txt\"\n",
        "\"vocab.txt\"\n# Safetensors",
        "weights is for files of format `openvino`",
    );
    let graph =
        |weights: &str| format!("path = \"vocab.txt\"\nformat = \"openvino\"\nbackends = [\"openvino\"]\n{weights}");
    let place = "\"vocab.txt\"\nformat = ";
    refuses("path = \"vocab.txt\"\n", &graph(""), place, "an openvino graph holds no weights; name `vocab.bin`");
    let (other, missing) = (graph("weights = \"config.json\"\n"), graph("weights = \"vocab.bin\"\n"));
    let place = "\"config.json\"\nsize_bytes = 231508";
    refuses("path = \"vocab.txt\"\n", &other, place, "must lie beside the graph, under its name: `vocab.bin`");
    refuses("path = \"vocab.txt\"\n", &missing, "\"vocab.bin\"", "weights `vocab.bin` names no file");
}

fn birds() -> &'static str {
    include_str!("../../../../../models/birds-v1/model.toml")
}

#[test]
fn reads_a_model_of_images() {
    let manifest = parse(birds()).expect("well formed");
    assert_eq!((manifest.task, manifest.labels_file.as_deref()), (Task::Classification, Some("labels.txt")));
    let file = manifest.file_of(BackendId::OpenVino, &[ModelFormat::TfLite], Precision::F32).expect("listed");
    assert_eq!((file.path.as_str(), file.precision), ("birds_v1.tflite", None));
    let golden = manifest.golden.expect("proven");
    assert_eq!(golden.batching, None, "one image at a time");
    let GoldenAnswers::Tensors { tensors } = golden.answers else { panic!("images are no texts") };
    assert_eq!(tensors.outputs["module/prediction"], "golden/output.npy");
}

#[test]
fn finds_labels_and_golden_tensors_that_do_not_fit() {
    let refuses = |from: &str, to: &str, place: &str, reason: &str| refuses_in(birds(), from, to, place, reason);
    refuses(
        "labels_file = \"labels.txt\"",
        "labels_file = \"labels.txt\"\nlabels = [\"wren\"]",
        "\"labels.txt\"\nlabels",
        "labels_file is for models without `labels`; keep one of the two",
    );
    refuses(
        "labels_file = \"labels.txt\"",
        "labels_file = \"birds_v1.tflite\"",
        "\"birds_v1.tflite\"",
        "labels_file `birds_v1.tflite` is not among the files without a format: `labels.txt`",
    );
    refuses("labels_file = ", "label_file = ", "label_file", "unknown field `label_file`");
    refuses(
        "{ \"module/hub_input/images_uint8\" = ",
        "{ \"image\" = ",
        "\"image\" = ",
        "golden.tensors.inputs `image` is none of inputs",
    );
    refuses(
        "{ \"module/prediction\" = ",
        "{ \"scores\" = ",
        "\"scores\" = ",
        "golden.tensors.outputs `scores` is none of outputs",
    );
    refuses(
        "inputs = { \"module/hub_input/images_uint8\" = \"golden/input.npy\" }",
        "inputs = {}",
        "{}",
        "golden.tensors.inputs lacks input `module/hub_input/images_uint8`",
    );
    refuses(
        "outputs = { \"module/prediction\" = \"golden/output.npy\" }",
        "outputs = {}",
        "{}",
        "golden.tensors.outputs is empty",
    );
    refuses("\"golden/output.npy\"", "\"../output.npy\"", "\"../output.npy\"", "must be relative, with `/`");
    refuses(
        "outputs = { \"module/prediction\" = \"golden/output.npy\" }\n",
        "",
        "[golden.tensors]",
        "missing field `outputs`",
    );
    refuses(
        "max_abs_error = 10 }",
        "max_abs_error = -1.0 }",
        "-1.0",
        "max_abs_error -1 must be 0 or a number above it",
    );
}

proptest! {
    #[test]
    fn a_manifest_is_read_back_as_it_was_written(
        words in proptest::collection::vec(".{0,12}", 4),
        numbers in any::<(u32, u32, f64, f64)>(),
        is_text in any::<bool>(),
        parts in any::<[bool; 6]>(),
    ) {
        let mut manifest = parse(if is_text { real() } else { birds() }).expect("well formed");
        manifest.description.clone_from(&words[0]);
        manifest.prompts = words[1..].iter().map(|word| (format!("p{word}"), words[0].clone())).collect();
        manifest.default_prompt = manifest.prompts.keys().next().cloned();
        if parts[0] {
            (manifest.labels_file, manifest.labels) = (None, words.clone());
        }
        if parts[1] {
            (manifest.tokenizer, manifest.ragged) = (None, None);
        }
        if parts[2] {
            manifest.golden = None;
        }
        if parts[3] {
            manifest.sources.push(Source::File(FileSource { path: format!("x{}", words[1]) }));
        }
        manifest.batching.max_batch_rows = numbers.0.max(1);
        manifest.batching.max_batch_tokens = numbers.1.max(1);
        if let Some(golden) = manifest.golden.as_mut().filter(|_| parts[4]) {
            let (cosine, error) = (numbers.2.abs().fract(), numbers.3.abs().fract());
            let is_number = cosine.is_finite() && error.is_finite();
            let tolerance = Tolerance { min_cosine: cosine, max_abs_error: error };
            golden.tolerances.extend(is_number.then_some((Precision::Int8, tolerance)));
        }
        if let Some(ragged) = manifest.ragged.as_mut().filter(|_| parts[5] && !numbers.2.is_nan()) {
            ragged.pad_values.insert("input_ids".to_owned(), numbers.2);
        }
        let text = manifest.to_toml().expect("every number fits");
        prop_assert_eq!(parse(&text)?, manifest);
    }
}
