//! Tests of the store over small models made on the spot: what is fetched, trusted, repaired and refused.

mod variants;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;
use wisp_core::{ErrorKind, Kinded};

use super::*;
use crate::{Difference, Sha256Digest};

const FILES: [(&str, &[u8]); 3] =
    [("model.safetensors", b"weights"), ("config.json", b"{}"), ("tokenizer.json", b"{\"t\":1}")];

/// A cache, a model's folder with its manifest, and another folder that the manifest names as source.
struct Bench {
    root: TempDir,
}

/// Remembers the steps it hears of.
#[derive(Default)]
struct Steps(Mutex<Vec<String>>);

impl Progress for Steps {
    fn step(&self, name: &str, _total_bytes: Option<u64>) {
        self.0.lock().expect("not poisoned").push(name.to_owned());
    }

    fn advance(&self, _bytes: u64) {}

    fn done(&self, _summary: &str) {}
}

impl Steps {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

impl Bench {
    fn new() -> Self {
        let bench = Self { root: tempfile::tempdir().expect("temporary folder") };
        for folder in ["model", "source"] {
            fs::create_dir(bench.path(folder)).expect("new folder");
        }
        fs::write(bench.path("model/model.toml"), manifest()).expect("writable");
        FILES.iter().for_each(|(name, bytes)| fs::write(bench.path("source").join(name), bytes).expect("writable"));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn store(&self, access: Access) -> Store {
        Store::new(Home::at(self.path("home")), access)
    }

    fn open(&self) -> Model {
        self.store(Access::Offline).open(&self.path("model").to_string_lossy()).expect("a good manifest")
    }

    fn ensure(&self, access: Access, progress: &dyn Progress) -> Result<LocalModel, StoreError> {
        self.ensure_file(access, "model.safetensors", progress)
    }

    fn ensure_file(&self, access: Access, path: &str, progress: &dyn Progress) -> Result<LocalModel, StoreError> {
        let model = self.open();
        let file = model.manifest.file(path).expect("listed");
        self.store(access).ensure(&model, file, progress)
    }

    /// Adds to the manifest.
    fn extend(&self, text: &str) {
        fs::write(self.path("model/model.toml"), manifest() + text).expect("writable");
    }

    fn cached(&self, name: &str) -> PathBuf {
        self.path("home/models/tiny").join(self.open().digest().short()).join(name)
    }

    fn states(&self) -> Vec<FileState> {
        let checks = self.store(Access::Offline).installed(&self.open());
        checks.into_iter().map(|check| check.state).collect()
    }
}

/// A manifest of [`FILES`], to be found in the folder `../source`.
fn manifest() -> String {
    let mut text = "name = 'tiny'\nversion = '1'\nlicense = 'MIT'\ntask = 'tensors'\ndescription = ''\n".to_owned();
    text.push_str("batching = { batch_axis = 0, max_batch_rows = 1, max_batch_tokens = 1 }\n");
    let tensor = |name| format!("[{{ name = '{name}', type = 'i64', shape = [-1, -1] }}]");
    text.push_str(&format!("signature = {{ inputs = {}, outputs = {} }}\n", tensor("ids"), tensor("out")));
    text.push_str(
        "[tokenizer]\nfile = 'tokenizer.json'\nmax_tokens = 8\nids_input = 'ids'\nmask_input = 'ids'\npad_id = 0\n",
    );
    text.push_str("[[sources]]\nfile = { path = '../source' }\n");
    for (name, bytes) in FILES {
        let (size_bytes, sha256) = (bytes.len(), Sha256Digest::of(bytes));
        text.push_str(&format!("[[files]]\npath = '{name}'\nsize_bytes = {size_bytes}\nsha256 = '{sha256}'\n"));
        if name.ends_with("safetensors") {
            text.push_str("format = 'safetensors'\nbackends = ['candle']\narchitecture = 'config.json'\n");
        }
    }
    text
}

/// The same bytes but one.
fn tamper(path: &Path) {
    let mut bytes = fs::read(path).expect("there");
    bytes[0] ^= 1;
    fs::write(path, bytes).expect("writable");
}

#[test]
fn fetches_once_and_verifies() {
    let bench = Bench::new();
    assert_eq!(bench.states(), [FileState::Missing, FileState::Missing, FileState::Missing]);
    let steps = Steps::default();
    let local = bench.ensure(Access::Online, &steps).expect("the source has all");
    assert_eq!(steps.take().len(), 3, "three files are copied");
    assert_eq!(local.file, bench.cached("model.safetensors"));
    assert_eq!(local.tokenizer, Some(bench.cached("tokenizer.json")));
    assert_eq!(local.architecture, Some(bench.cached("config.json")));
    assert_eq!(bench.states(), [FileState::Verified, FileState::Verified, FileState::Verified]);

    assert_eq!(bench.ensure(Access::Offline, &steps).expect("all is there"), local);
    assert_eq!(steps.take(), [""; 0], "nothing is left to do");
    let left = fs::read_dir(bench.cached("")).expect("there").flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(".incoming")).collect();
    assert!(left.is_empty(), "workspaces are deleted: {left:?}");
}

#[test]
fn a_truncated_or_swapped_file_in_the_cache_is_an_error_offline_and_repaired_online() {
    let bench = Bench::new();
    bench.ensure(Access::Online, &NoProgress).expect("the source has all");
    let weights = bench.cached("model.safetensors");
    let truncate = |path: &Path| fs::write(path, b"weig").expect("writable");
    for (damage, found) in [(truncate as fn(&Path), "found 4"), (tamper, "found ")] {
        damage(&weights);
        let error = bench.ensure(Access::Offline, &NoProgress).expect_err("damaged");
        let text = error.to_string();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{text}");
        assert!(text.starts_with(&format!("{} is truncated or was replaced: expected ", weights.display())), "{text}");
        assert!(text.contains(found) && text.contains("wisp models pull ") && text.contains(" --force`"), "{text}");

        bench.ensure(Access::Online, &NoProgress).expect("fetched again");
        assert_eq!(fs::read(&weights).expect("there"), b"weights");
    }
}

#[test]
fn a_swap_behind_equal_length_and_time_is_noticed() {
    let bench = Bench::new();
    bench.ensure(Access::Online, &NoProgress).expect("the source has all");
    let weights = bench.cached("model.safetensors");
    let modified = fs::metadata(&weights).and_then(|metadata| metadata.modified()).expect("known on unix");
    tamper(&weights);
    let file = fs::File::options().write(true).open(&weights).expect("own file");
    file.set_times(fs::FileTimes::new().set_modified(modified)).expect("own file");
    drop(file);
    assert!(matches!(bench.ensure(Access::Offline, &NoProgress), Err(StoreError::Corrupt { .. })));
}

#[test]
fn files_in_the_models_own_folder_are_used_in_place() {
    let bench = Bench::new();
    let own = bench.path("model/model.safetensors");
    fs::write(&own, b"weights").expect("writable");
    let local = bench.ensure(Access::Online, &NoProgress).expect("the rest comes from the source");
    assert_eq!(local.file, own);
    assert_eq!(local.architecture, Some(bench.cached("config.json")), "the folder lacks it");
    assert!(!bench.cached("model.safetensors").exists(), "what is there is not fetched");
}

#[test]
fn a_wrong_file_in_the_models_own_folder_is_an_error_and_stays() {
    let bench = Bench::new();
    let own = bench.path("model/model.safetensors");
    fs::write(&own, b"WEIGHTS").expect("writable");
    let error = bench.ensure(Access::Online, &NoProgress).expect_err("not the manifest's");
    let text = error.to_string();
    assert!(text.starts_with(&format!("{} is truncated or was replaced", own.display())), "{text}");
    for digest in [Sha256Digest::of(b"weights"), Sha256Digest::of(b"WEIGHTS")] {
        assert!(text.contains(&digest.to_string()), "{text}");
    }
    assert!(text.ends_with("restore the file, or correct the manifest beside it"), "{text}");
    assert_eq!(fs::read(&own).expect("untouched"), b"WEIGHTS");
}

#[test]
fn offline_names_what_is_missing_and_where_to_get_it() {
    let bench = Bench::new();
    let error = bench.ensure(Access::Offline, &NoProgress).expect_err("nothing is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.starts_with("model `tiny` is not complete: config.json, tokenizer.json, model.safetensors missing"),
        "{text}"
    );
    assert!(text.contains(&format!("run `wisp models pull {}`", bench.path("model").display())), "{text}");

    let store = bench.store(Access::Offline);
    let model = store.open("all-minilm-l6-v2").expect("built in");
    let onnx = model.manifest.file("model.onnx").expect("listed");
    let text = store.ensure(&model, onnx, &NoProgress).expect_err("empty cache").to_string();
    assert!(
        text.contains("model.safetensors missing") && text.contains("`wisp models pull all-minilm-l6-v2`"),
        "{text}"
    );
}

#[test]
fn files_put_into_the_cache_by_hand_are_taken_up() {
    let bench = Bench::new();
    fs::create_dir_all(bench.cached("")).expect("new folder");
    FILES.iter().for_each(|(name, bytes)| fs::write(bench.cached(name), bytes).expect("writable"));
    assert_eq!(bench.states(), [FileState::Unchecked, FileState::Unchecked, FileState::Unchecked]);
    bench.ensure(Access::Offline, &NoProgress).expect("they are the right ones");
    assert_eq!(bench.states(), [FileState::Verified, FileState::Verified, FileState::Verified]);
}

#[test]
fn every_failed_source_and_the_folder_are_named() {
    let bench = Bench::new();
    fs::remove_file(bench.path("source/tokenizer.json")).expect("there");
    let error = bench.ensure(Access::Online, &NoProgress).expect_err("one is missing");
    let text = error.to_string();
    assert!(text.starts_with("cannot fetch ") && text.contains("tokenizer.json"), "{text}");
    assert!(text.contains("\n  local path ../source: ") && text.contains("tokenizer.json does not exist"), "{text}");
    assert!(
        text.ends_with(
            &format!("or put the files into {} yourself", bench.cached("").display())
                .replace("/ yourself", " yourself")
        ),
        "{text}"
    );

    fs::write(bench.path("source/tokenizer.json"), FILES[2].1).expect("writable");
    bench.ensure(Access::Online, &NoProgress).expect("the next try completes it");
}

#[test]
fn verify_reads_what_stamps_vouch_for() {
    let bench = Bench::new();
    bench.ensure(Access::Online, &NoProgress).expect("the source has all");
    let store = bench.store(Access::Offline);
    tamper(&bench.cached("config.json"));
    fs::remove_file(bench.cached("tokenizer.json")).expect("there");
    let checks = store.verify(&bench.open(), &NoProgress);
    let expected = (Sha256Digest::of(b"{}"), Sha256Digest::of(b"z}"));
    assert_eq!(
        checks.iter().map(|check| (check.path.as_str(), check.state.clone())).collect::<Vec<_>>(),
        [
            ("model.safetensors", FileState::Verified),
            ("config.json", FileState::Differs(Difference::Digest { expected: expected.0, actual: expected.1 })),
            ("tokenizer.json", FileState::Missing),
        ]
    );
}

#[test]
fn renewing_replaces_the_cache_and_leaves_the_models_own_folder() {
    let bench = Bench::new();
    let own = bench.path("model/tokenizer.json");
    fs::write(&own, FILES[2].1).expect("writable");
    let store = bench.store(Access::Online);
    bench.ensure(Access::Online, &NoProgress).expect("the source has the rest");
    fs::write(bench.cached("model.safetensors"), b"damaged").expect("writable");
    store.renew(&bench.open(), &NoProgress).expect("the source has the rest");
    assert_eq!(fs::read(bench.cached("model.safetensors")).expect("there"), b"weights");
    assert!(own.exists());
    let beside = fs::read_dir(bench.path("home/models/tiny")).expect("there").count();
    assert_eq!(beside, 1, "the folder of fresh files is gone");
    bench.ensure(Access::Offline, &NoProgress).expect("complete");
}

#[test]
fn what_cannot_be_renewed_stays_as_it_was() {
    let bench = Bench::new();
    bench.ensure(Access::Online, &NoProgress).expect("the source has all");
    let offline = bench.store(Access::Offline).renew(&bench.open(), &NoProgress).expect_err("fetching is off");
    assert!(
        offline.to_string().ends_with("leave out --force, or --offline (WISP_OFFLINE); nothing was deleted"),
        "{offline}"
    );
    fs::remove_file(bench.path("source/model.safetensors")).expect("there");
    bench.store(Access::Online).renew(&bench.open(), &NoProgress).expect_err("the source lacks a file");
    bench.ensure(Access::Offline, &NoProgress).expect("the old files are there");
}

#[test]
fn many_at_once_fetch_once() {
    let bench = Bench::new();
    let steps = Steps::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| bench.ensure(Access::Online, &steps))).collect();
        for thread in threads {
            let local = thread.join().expect("no panic").expect("all get the files");
            assert_eq!(fs::read(local.file).expect("there"), b"weights");
        }
    });
    let copies = steps.take().iter().filter(|step| step.starts_with("copying")).count();
    assert_eq!(copies, 3, "one thread copies each file, the others wait");
}

#[test]
fn a_leftover_of_a_killed_process_is_swept() {
    let bench = Bench::new();
    let leftover = bench.cached(".incoming-dead");
    fs::create_dir_all(leftover.join("pip")).expect("new folder");
    bench.ensure(Access::Online, &NoProgress).expect("the source has all");
    assert!(!leftover.exists());
}

#[test]
fn a_file_that_cannot_be_derived_names_the_model_and_the_reason() {
    let bench = Bench::new();
    bench.extend(&format!(
        "[[files]]\npath = 'model.onnx'\nsize_bytes = 9\nsha256 = '{}'\nformat = 'onnx'\nbackends = ['ort']\n\
         derived = {{ exporter = 'bert-onnx', from = 'model.safetensors', config = 'config.json' }}\n",
        Sha256Digest::of(b"onnx file")
    ));
    let result = bench.ensure_file(Access::Online, "model.onnx", &NoProgress);
    let text = result.expect_err("seven bytes are no model").to_string();
    assert!(text.starts_with("cannot build model.onnx of model `tiny`: "), "{text}");
    assert!(!bench.cached("model.onnx").exists());
}

#[test]
fn model_files_and_models_that_do_not_exist_are_named() {
    let bench = Bench::new();
    let store = bench.store(Access::Online);
    let error = bench.ensure_file(Access::Online, "config.json", &NoProgress).expect_err("nothing a backend loads");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), "`config.json` is no model file of model `tiny`; those are model.safetensors");
    let error = store.open("/no/such/folder").expect_err("nothing there");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with("model folder /no/such/folder: No such file or directory"), "{error}");
    for source in ["", "nosuch"] {
        let error = store.open(source).expect_err("nothing there");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let expected =
            format!("unknown model `{source}`; built in are all-minilm-l6-v2, birds-v1; imported are none; for a");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn manifests_that_cannot_be_read_are_named_with_their_place() {
    let bench = Bench::new();
    let store = bench.store(Access::Online);
    let file = bench.path("model/model.toml");
    let source = bench.path("model").to_string_lossy().into_owned();
    fs::write(&file, b"name = 'a'\nversion = '\xff'").expect("writable");
    let error = store.open(&source).expect_err("no UTF-8");
    assert_eq!(error.to_string(), format!("{}:2:12: not valid UTF-8", file.display()));

    fs::write(&file, vec![b'#'; (1 << 20) + 1]).expect("writable");
    let error = store.open(&source).expect_err("too long");
    assert!(error.to_string().ends_with("is 1048577 bytes long; at most 1048576 are read"), "{error}");

    fs::remove_file(&file).expect("there");
    let error = store.open(&source).expect_err("no manifest");
    assert!(error.to_string().starts_with(&format!("cannot read {}: ", file.display())), "{error}");
}

#[test]
fn equal_files_are_one_model_wherever_the_manifest_lies() {
    let store = Store::new(Home::at("/unused"), Access::Offline);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/all-minilm-l6-v2");
    let (builtin, folder) =
        (store.open("all-minilm-l6-v2").expect("built in"), store.open(folder).expect("in the tree"));
    assert_eq!(builtin.digest(), folder.digest());
    let golden = builtin.golden().expect("well formed").expect("it has golden vectors");
    assert_eq!((golden.texts.len(), golden.dimensions), (64, 384));
    assert_eq!(folder.golden().expect("well formed"), Some(golden.clone()));
    for index in 0..golden.texts.len() {
        let norm: f32 = golden.vector(index).iter().map(|value| value * value).sum();
        assert!((norm - 1.0).abs() < 1e-5, "vector {index} has length {norm}");
    }
}

#[test]
fn a_model_that_is_in_the_binary_is_there_without_any_network() {
    let home = tempfile::tempdir().expect("temporary folder");
    let store = Store::new(Home::at(home.path()), Access::Offline);
    let birds = store.open("birds-v1").expect("built in");
    let file = birds.manifest.model_files().next().expect("has one").clone();
    let local = store.ensure(&birds, &file, &NoProgress).expect("unpacked");
    assert_eq!(birds.labels(local.labels.as_deref()).expect("labels")[166], "Aix galericulata");
    fs::write(&local.file, b"damaged").expect("writable");
    let again = store.ensure(&birds, &file, &NoProgress).expect("unpacked again");
    assert_eq!(fs::metadata(&again.file).expect("there").len(), file.size_bytes);
}
