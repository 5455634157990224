//! Guests of others, unmodified: programs written against crates of the registry, run with what they are granted.

use std::path::{Path, PathBuf};

use wisp_core::{BackendId, Device, ErrorKind, Kinded, Placement};
use wisp_engine::{
    Captured, DirConfig, EnvConfig, GrantsConfig, GuestLimits, ModelConfig, Program, ProgramConfig, ProgramEnd,
    Streams, TensorTypes, TrustConfig, WrittenIn,
};
use wisp_model_store::NoProgress;
use wisp_testing::RealModel;

/// Bytes that a program may write here.
const OUTPUT_LIMIT_BYTES: usize = 1 << 20;

/// The most that any program here needs, on the slowest machine.
const PATIENT: u64 = 120_000;

fn birds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1")
}

/// What a program wrote, and how it ended.
struct Ran {
    end: Result<ProgramEnd, wisp_engine::CallError>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    #[track_caller]
    fn ok(self) -> Self {
        let code = self.end.as_ref().map(|end| end.code);
        assert!(matches!(code, Ok(0)), "{code:?}: {}{}", self.stdout, self.stderr);
        self
    }
}

/// A program with everything that its test grants it.
struct Setup {
    real: RealModel,
    wasm: Vec<u8>,
    config: ProgramConfig,
}

impl Setup {
    fn of(test: &str, guest: &str) -> Option<Self> {
        let real = RealModel::get(test)?;
        let wasm = std::fs::read(wisp_testing::guest(test, guest)?).expect("the guest was built");
        let limits = GuestLimits { wall_ms: PATIENT, memory_bytes: 256 << 20, ..GuestLimits::default() };
        let grants = GrantsConfig { written_in: WrittenIn::CommandLine, ..GrantsConfig::default() };
        let config = ProgramConfig { name: guest.to_owned(), limits, grants, ..ProgramConfig::default() };
        Some(Self { real, wasm, config })
    }

    fn with_birds(mut self, alias: &str) -> Self {
        let birds = ModelConfig {
            source: birds().display().to_string(),
            placement: vec![Placement { backend: BackendId::OpenVino, device: Device::Cpu }],
            ..ModelConfig::default()
        };
        self.config.models.insert(alias.to_owned(), birds);
        self
    }

    fn with_folder(mut self, folder: &Path, guest: &str) -> Self {
        self.config.grants.dirs.push(DirConfig { host: folder.to_owned(), guest: guest.to_owned() });
        self
    }

    fn with_loading(mut self) -> Self {
        self.config.grants.load = vec![Placement { backend: BackendId::OpenVino, device: Device::Cpu }];
        self
    }

    fn load(&self) -> Program {
        Program::load(&self.config, &self.wasm, &self.real.store, &NoProgress).unwrap_or_else(|error| panic!("{error}"))
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        run(&self.load(), &self.config.name, arguments, TensorTypes::Witx).await
    }
}

async fn run(program: &Program, name: &str, arguments: &[&str], tensor_types: TensorTypes) -> Ran {
    let args = std::iter::once(name).chain(arguments.iter().copied()).map(str::to_owned).collect();
    let output = Captured::new(OUTPUT_LIMIT_BYTES);
    let streams = Streams::Captured { args, input: "typed in\n".into(), output: output.clone() };
    let end = program.run(streams, tensor_types).await;
    let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("guests write text");
    Ran { end, stdout: text(output.stdout()), stderr: text(output.stderr()) }
}

/// The model's files, and the picture that its golden input was made of.
fn bird_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    for file in ["birds_v1.tflite", "labels.txt", "golden/bird.jpg"] {
        let name = Path::new(file).file_name().expect("it has one");
        std::fs::copy(birds().join(file), folder.path().join(name)).expect("part of the model");
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_written_for_wasmedge_names_the_bird_from_its_own_bytes_and_by_name() {
    let test = "a_guest_written_for_wasmedge_names_the_bird_from_its_own_bytes_and_by_name";
    let folder = bird_folder();
    let Some(setup) = Setup::of(test, "bird-wasmedge") else { return };
    let setup = setup.with_birds("classifier").with_folder(folder.path(), ".").with_loading();
    for graph in ["tensorflowlite:birds_v1.tflite", "name:classifier"] {
        let ran = setup.run(&[graph, "bird.jpg", "labels.txt"]).await.ok();
        let best = ran.lines()[0];
        assert!(best.starts_with("166 ") && best.ends_with(" Aix galericulata"), "{graph}: {best}");
    }
    let ran = setup.run(&["extras", "classifier", "bird.jpg"]).await.ok();
    for line in ["load_by_name_with_config: ok", "compute_single: ok", "fini_single: ok", "unload: ok"] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_of_the_proposals_first_crate_finds_the_model_that_it_asks_for() {
    let test = "a_guest_of_the_proposals_first_crate_finds_the_model_that_it_asks_for";
    let folder = bird_folder();
    let Some(setup) = Setup::of(test, "image-witx") else { return };
    let setup = setup.with_birds("classifier").with_folder(folder.path(), ".");
    // The model takes bytes, and this guest gives it floating-point numbers: it is told so, and nothing breaks.
    let ran = setup.run(&["name:classifier", "bird.jpg", "224", "224"]).await;
    assert_ne!(ran.end.expect("ends by itself").code, 0);
    assert!(ran.stderr.contains("argument"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misuse_of_the_old_interface_has_its_number_and_no_trap() {
    let test = "every_misuse_of_the_old_interface_has_its_number_and_no_trap";
    let Some(setup) = Setup::of(test, "hostile-witx") else { return };
    let setup = setup.with_birds("classifier");
    let program = setup.load();
    let modes = run(&program, "hostile-witx", &[], TensorTypes::Witx).await.ok();
    assert!(modes.lines().len() > 50, "{}", modes.stdout);
    for mode in modes.lines() {
        let ran = run(&program, "hostile-witx", &[mode], TensorTypes::Witx).await;
        let expected = match mode {
            "name-huge" => "errno 8",
            "encoding-unknown" | "target-unknown" => "errno 2",
            "output-buffer-small" | "output-buffer-none" => "errno 7",
            "graphs-without-end" | "contexts-without-end" | "contexts-with-inputs-without-end" => "errno 7",
            // A scalar, and a tensor of nothing, are tensors.
            "dimensions-none" | "dimensions-zero" => "errno 0",
            _ => "errno 1",
        };
        assert!(ran.end.is_ok(), "{mode}: {:?}", ran.end);
        assert_eq!(ran.stdout.lines().last(), Some(expected), "{mode}: {}{}", ran.stdout, ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_guests_of_wasmedge_are_read_by_their_own_numbers() {
    let test = "older_guests_of_wasmedge_are_read_by_their_own_numbers";
    let folder = bird_folder();
    let Some(setup) = Setup::of(test, "bird-wasmedge") else { return };
    let setup = setup.with_birds("classifier").with_folder(folder.path(), ".");
    // Today's guest says 3 for bytes, which older hosts take for i32: under the old numbering it must be refused.
    let program = setup.load();
    let arguments = ["name:classifier", "bird.jpg", "labels.txt"];
    run(&program, "bird-wasmedge", &arguments, TensorTypes::Witx).await.ok();
    let ran = run(&program, "bird-wasmedge", &arguments, TensorTypes::OldWasmEdge).await;
    assert_ne!(ran.end.expect("ends by itself").code, 0, "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn tensors_of_every_type_come_back_as_they_were_given() {
    let Some(setup) = Setup::of("tensors_of_every_type_come_back_as_they_were_given", "embed-nn") else { return };
    let ran = setup.run(&["types"]).await.ok();
    for ty in ["FP16", "FP32", "FP64", "BF16", "U8", "I32", "I64"] {
        let line = ran.lines().into_iter().find(|line| line.starts_with(&format!("{ty} [2, 3] 0001")));
        assert!(line.is_some(), "{ty}: {}", ran.stdout);
    }
    let copies = ran.end.expect("ended well").copies;
    assert_eq!((copies.tensors_in, copies.tensors_out), (7, 7));
    assert_eq!(copies.bytes_in, copies.bytes_out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_told_with_the_flag_that_grants_it() {
    let Some(setup) = Setup::of("what_is_not_granted_is_told_with_the_flag_that_grants_it", "embed-nn") else { return };
    let ran = setup.run(&["errors"]).await.ok();
    assert!(ran.stdout.contains("security: model `no-such-graph` is not granted"), "{}", ran.stdout);
    assert!(ran.stdout.contains("grant it with --model no-such-graph=MODEL"), "{}", ran.stdout);
    assert!(ran.stdout.contains("such as --load openvino:cpu"), "{}", ran.stdout);
    let ran = setup.with_loading().run(&["errors"]).await.ok();
    assert!(ran.stdout.contains("invalid-encoding: "), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sees_its_grants_and_nothing_else() {
    let Some(mut setup) = Setup::of("a_program_sees_its_grants_and_nothing_else", "embed-nn") else { return };
    let bare = setup.run(&["wasi", "one", "two"]).await.ok();
    assert!(!bare.stdout.contains("variable: ") && !bare.stdout.contains("folder: "), "{}", bare.stdout);
    assert!(bare.stdout.contains("argument: one") && bare.stdout.contains("typed in"), "{}", bare.stdout);

    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::write(folder.path().join("inside.txt"), b"").expect("writable");
    setup.config.grants.env = vec![EnvConfig { name: "MODE".to_owned(), value: Some("fast".to_owned()) }];
    let mut setup = setup.with_folder(folder.path(), "/granted");
    let read_only = setup.run(&["wasi"]).await.ok();
    for line in ["variable: MODE=fast", "folder: /granted", "entry: inside.txt"] {
        assert!(read_only.stdout.contains(line), "{line}: {}", read_only.stdout);
    }
    assert!(!read_only.stdout.contains("writing: ok"), "{}", read_only.stdout);
    setup.config.may_write = true;
    let writing = setup.run(&["wasi"]).await.ok();
    assert!(writing.stdout.contains("writing: ok"), "{}", writing.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn fuel_and_time_end_a_program() {
    let Some(mut setup) = Setup::of("fuel_and_time_end_a_program", "embed-nn") else { return };
    setup.config.limits.fuel = Some(1_000);
    let error = setup.run(&["types"]).await.end.expect_err("has no fuel");
    assert!(error.to_string().contains("used up its 1000 units of fuel (limits.fuel)"), "{error}");
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    setup.config.limits.fuel = Some(1_000_000_000);
    setup.run(&["types"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_nobody_signed_is_not_loaded() {
    let Some(mut setup) = Setup::of("a_program_that_nobody_signed_is_not_loaded", "embed-nn") else { return };
    setup.config.trust = TrustConfig { digest: Some(format!("sha256:{}", "0".repeat(64))), ..TrustConfig::default() };
    let loaded = Program::load(&setup.config, &setup.wasm, &setup.real.store, &NoProgress);
    let error = loaded.err().expect("is another module").to_string();
    assert!(error.contains("is not trusted: the module is sha256:"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_brought_again_answers_the_same() {
    let folder = bird_folder();
    let Some(setup) = Setup::of("a_model_that_is_brought_again_answers_the_same", "bird-wasmedge") else { return };
    let program = setup.with_folder(folder.path(), ".").with_loading().load();
    let arguments = ["tensorflowlite:birds_v1.tflite", "bird.jpg", "labels.txt"];
    let first = run(&program, "bird-wasmedge", &arguments, TensorTypes::Witx).await.ok().stdout;
    let second = run(&program, "bird-wasmedge", &arguments, TensorTypes::Witx).await.ok().stdout;
    assert_eq!(first, second);
    // Bytes that are no model are refused by the library, in an instance that can go on.
    std::fs::write(folder.path().join("birds_v1.tflite"), b"\0\0\0\0TFL3 and nothing else").expect("writable");
    let broken = run(&program, "bird-wasmedge", &arguments, TensorTypes::Witx).await;
    assert_ne!(broken.end.expect("ends by itself").code, 0, "{}", broken.stdout);
}
