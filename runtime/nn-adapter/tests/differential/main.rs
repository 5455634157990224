//! The same guests give the same answers on three hosts of `wasi:nn`.
//!
//! - the crate `wasmtime-wasi-nn` with its own OpenVINO backend;
//! - the crate with Wisp's sessions behind its traits, which is what this package is for;
//! - Wisp's own host, which shares with the first nothing but OpenVINO itself.
//!
//! The guests know none of them: they are written against the proposal alone. Their answers are compared with each other, and with
//! answers that no host has made: the model's golden vectors, or plain arithmetic.
//!
//! The crate's backend leaves the arithmetic to OpenVINO, which takes bf16 where the processor has it. So there are two
//! comparisons on such a processor: the crate's backend with our session in bf16, and everything else in f32.

#![forbid(unsafe_code)]

mod answer;
mod bert;
mod classifier;
mod ir;
mod models;
mod ours;
mod run;
mod theirs;

use answer::{Answer, check_agreement, check_golden, check_scores};
use models::{Bench, NAME};
use run::Run;
use theirs::Inference;
use wisp_core::Precision::F32;
use wisp_nn_adapter::Terms;

/// Texts that are embedded, out of the golden ones.
const TEXTS: usize = 2;

/// A model that the guest brings.
const FILES: &str = "openvino:data/model.xml,data/model.bin";

/// What the hostile guest tries that reaches a session, by the names that it has for it.
const HOSTILE: &[&str] = &[
    "input-index",
    "output-index",
    "dimensions-overflow",
    "dimensions-wrap",
    "dimensions-many",
    "data-short",
    "data-long",
    "type-other",
    "shape-other",
    "compute-without-input",
    "output-before-compute",
    "output-buffer-small",
    "output-buffer-none",
    "inputs-without-end",
    "contexts-without-end",
    "contexts-with-inputs-without-end",
];

#[test]
fn a_component_with_an_encoder_in_its_memory_gets_the_same_vectors_everywhere() {
    let test = "a_component_with_an_encoder_in_its_memory_gets_the_same_vectors_everywhere";
    let Some(bench) = Bench::encoder(test) else { return };
    for text in 0..TEXTS {
        let arguments = bench.arguments(FILES, text);
        let run = bench.run("embed-nn", &arguments);
        let by_crate = |inference| theirs::run_component(&run, inference).numbers();
        let answers = [
            Answer::new("their backend", bench.native, by_crate(bench.their_backend())),
            Answer::new("our backend in their arithmetic", bench.native, by_crate(bench.our_backend(bench.native))),
            Answer::new("our backend", F32, by_crate(bench.our_backend(F32))),
            Answer::new("our host", F32, ours::run(&run, &bench.real.store).numbers()),
        ];
        check_golden(&answers, &bench.real, text);
        check_agreement(&answers);
    }
}

#[test]
fn a_component_finds_an_encoder_by_its_name() {
    let Some(bench) = Bench::encoder("a_component_finds_an_encoder_by_its_name") else { return };
    let arguments = bench.arguments(&format!("name:{NAME}"), 0);
    let output = theirs::run_component(&bench.run("embed-nn", &arguments), bench.our_registry());
    check_golden(&[Answer::new("our registry", F32, output.numbers())], &bench.real, 0);
}

#[test]
fn a_core_module_with_a_classifier_gets_the_same_scores_everywhere() {
    let test = "a_core_module_with_a_classifier_gets_the_same_scores_everywhere";
    let Some(bench) = Bench::classifier(test) else { return };
    let side = classifier::SIDE.to_string();
    let arguments = |graph: &str| [graph, "data/picture.png", &side, &side].map(str::to_owned);
    let (from_files, by_name) = (arguments(FILES), arguments(&format!("name:{NAME}")));
    let by_crate = |inference| theirs::run_module(&bench.run("image-witx", &from_files), inference).ranking();
    let registered = theirs::run_module(&bench.run("image-witx", &by_name), bench.our_registry());
    let answers = [
        Answer::new("their backend", bench.native, by_crate(bench.their_backend())),
        Answer::new("our backend in their arithmetic", bench.native, by_crate(bench.our_backend(bench.native))),
        Answer::new("our backend", F32, by_crate(bench.our_backend(F32))),
        Answer::new("our registry", F32, registered.ranking()),
        Answer::new("our host", F32, ours::run(&bench.run("image-witx", &from_files), &bench.real.store).ranking()),
    ];
    check_scores(&answers, &classifier::expected(&classifier::picture()));
}

/// The crate's own backend panics at tensors whose bytes do not fit their shape, and takes the host with it.
#[test]
fn wrong_calls_are_refused_and_the_host_lives_on() {
    let Some(bench) = Bench::encoder("wrong_calls_are_refused_and_the_host_lives_on") else { return };
    let arguments = ["errors".to_owned(), format!("name:{NAME}")];
    let output = theirs::run_component(&bench.run("embed-nn", &arguments), bench.our_registry());
    let lines = output.lines();
    let codes: Vec<&str> = lines.iter().map(|line| line.split(": ").next().unwrap_or(line)).collect();
    // The crate has one code for whatever a backend refuses.
    let refused = ["runtime-error"; 4];
    assert_eq!(codes[4..], refused, "{lines:?}");
    assert_eq!(codes[..4], ["not-found", "invalid-encoding", "invalid-encoding", "invalid-encoding"], "{lines:?}");

    for parts in ["data/model.xml", "data/model.xml,data/empty", "data/model.bin,data/model.xml"] {
        std::fs::write(bench.folder.path().join("empty"), "").expect("written");
        let arguments = [format!("openvino:{parts}"), "101".to_owned()];
        let output = theirs::run_component(&bench.run("embed-nn", &arguments), bench.our_backend(F32));
        assert_eq!(output.code, Ok(1), "{parts}");
        assert!(output.stderr.contains("runtime-error: "), "{parts}: {}", output.stderr);
    }
}

/// Pointers out of the guest's memory are not among the modes: the crate panics at them before a backend is asked, and it gives
/// out graphs without end.
#[test]
fn a_hostile_core_module_is_refused_whatever_it_asks_of_a_session() {
    let test = "a_hostile_core_module_is_refused_whatever_it_asks_of_a_session";
    let Some((bench, registry)) = Bench::hostile(test) else { return };
    for mode in HOSTILE {
        let arguments = [(*mode).to_owned()];
        let inference = Inference { backends: vec![], registry: registry.clone().into() };
        let output = theirs::run_module(&bench.run("hostile-witx", &arguments), inference);
        let lines = output.lines();
        let errno = lines.last().and_then(|line| line.strip_prefix("errno ")).expect("an answer");
        assert_ne!(errno, "0", "{mode}: {lines:?}");
        if mode.starts_with("contexts-") {
            assert_eq!(lines[0], format!("got {}", Terms::default().context_limit), "{mode}");
        }
    }
}

impl Bench {
    fn run<'a>(&'a self, name: &'a str, arguments: &'a [String]) -> Run<'a> {
        Run { name, wasm: &self.wasm, arguments, folder: self.folder.path() }
    }

    /// The graph, and the tokens of a golden text.
    fn arguments(&self, graph: &str, text: usize) -> Vec<String> {
        let ids = self.tokens(text).into_iter().map(|id| id.to_string());
        std::iter::once(graph.to_owned()).chain(ids).collect()
    }
}
