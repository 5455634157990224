//! What is missing for CUDA is named, with path and code. Drivers are stubs that the C compiler makes here; each report comes
//! from a process of its own, because what is loaded stays loaded.

#![cfg(target_os = "linux")]

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use wisp_backends::Libraries;
use wisp_core::{Axis, Backend, BackendId, DataType, Device, LoadRequest, ModelFormat, Signature, TensorSpec};
use wisp_model_store::ONNX_RUNTIME;
use wisp_testing::{RealModel, skip};

const DRIVER_VARIABLE: &str = "WISP_CUDA_DRIVER";
const LIBRARY_VARIABLE: &str = "WISP_TEST_ONNXRUNTIME";
const CHILD: &str = "child_says_what_it_finds";
const MARK: &str = "FOUND ";

const DRIVER: &str = r#"
#include <stddef.h>
#include <string.h>
#ifndef EMPTY
int cuInit(unsigned int flags) { return flags == 0 ? INIT : 1; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 70; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device == 70 ? "NVIDIA Stub 0" : "NVIDIA Stub 1", (size_t)length);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device - 69) << 30; return 0; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
#ifdef NAME
int cuGetErrorName(int code, const char **name) { *name = NAME; return 0; }
#endif
#else
int nothing(void) { return 0; }
#endif
"#;

/// A folder for stubs, and the compiler that makes them.
struct Stubs {
    folder: tempfile::TempDir,
}

impl Stubs {
    fn get(test: &str) -> Option<Self> {
        if Command::new("cc").arg("--version").output().is_err() {
            skip(test, "there is no C compiler `cc`");
            return None;
        }
        Some(Self { folder: tempfile::tempdir().expect("temporary folder") })
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Compiles a library of this soname.
    fn library(&self, soname: &str, defines: &[&str]) -> PathBuf {
        let (source, library) = (self.folder().join("stub.c"), self.folder().join(soname));
        std::fs::write(&source, DRIVER).expect("written");
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-w", &format!("-Wl,-soname,{soname}"), "-o"])
            .arg(&library)
            .arg(&source)
            .args(defines.iter().map(|define| format!("-D{define}")))
            .output()
            .expect("the compiler runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        library
    }

    fn driver(&self, defines: &[&str]) -> PathBuf {
        self.library("libcuda.so.1", defines)
    }

    /// Stands for the toolkit: libraries that load and hold nothing.
    fn toolkit(&self) {
        for soname in ["libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudnn.so.9"] {
            self.library(soname, &["EMPTY"]);
        }
    }
}

/// What a process with these variables finds: the rows of the GPUs, and the error of a model that is placed on `gpu:0`.
fn found(variables: &[(&str, &OsStr)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test knows its file"));
    command.args([CHILD, "--exact", "--ignored", "--nocapture"]);
    for variable in [DRIVER_VARIABLE, LIBRARY_VARIABLE, "LD_LIBRARY_PATH"] {
        command.env_remove(variable);
    }
    let output = command.envs(variables.iter().copied()).output().expect("the child starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(MARK)).collect();
    assert!(lines.len() >= 2, "the child reported a row and an error: {text}");
    lines.join("\n")
}

fn found_with_driver(path: impl AsRef<OsStr>) -> String {
    found(&[(DRIVER_VARIABLE, path.as_ref())])
}

#[test]
#[ignore = "the tests of this file start it, in a process of its own"]
fn child_says_what_it_finds() {
    let onnxruntime = std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from);
    let backends = wisp_backends::all(&Libraries { onnxruntime, ..Libraries::default() });
    let backend = backends.iter().find(|backend| backend.id() == BackendId::Ort).expect("is compiled in");
    let rows = backend.probe().devices;
    for row in rows.iter().filter(|row| matches!(row.device, Device::Gpu(_))) {
        let (name, missing) = (row.name.as_deref().unwrap_or("?"), row.missing.as_deref().unwrap_or("nothing"));
        println!("\n{MARK}{} {name}: {missing}", row.device);
    }
    println!("\n{MARK}load: {}", load_error(backend.as_ref()));
}

fn load_error(backend: &dyn Backend) -> String {
    let spec = TensorSpec { name: "x".to_owned(), data_type: DataType::F32, shape: vec![Axis::Free], below: None };
    let signature = Signature { inputs: vec![spec.clone()], outputs: vec![spec] };
    let file = Path::new("/nonexistent/identity.onnx");
    let request = LoadRequest {
        device: Device::Gpu(0),
        memory_limit_bytes: Some(1 << 30),
        ..LoadRequest::plain("identity", file, ModelFormat::Onnx, &signature)
    };
    backend.load(&request).err().map_or_else(|| "loaded".to_owned(), |error| error.to_string())
}

#[test]
fn a_driver_that_fails_is_named_with_its_code() {
    let Some(stubs) = Stubs::get("a_driver_that_fails_is_named_with_its_code") else { return };
    for (code, name) in [
        (100, "CUDA_ERROR_NO_DEVICE"),
        (999, "CUDA_ERROR_UNKNOWN"),
        (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
        (34, "CUDA_ERROR_STUB_LIBRARY"),
    ] {
        let driver = stubs.driver(&[&format!("INIT={code}"), "COUNT=1", "VERSION=13000"]);
        let reason = format!("{}: cuInit failed with error {code} ({name}); ", driver.display());
        let found = found_with_driver(&driver);
        assert!(found.contains(&format!("gpu:0 ?: {reason}")), "{found}");
        assert!(found.contains(&format!("load: backend `ort` cannot use device `gpu:0`: {reason}")), "{found}");
    }
}

#[test]
fn the_driver_is_asked_for_the_name_of_its_error() {
    let Some(stubs) = Stubs::get("the_driver_is_asked_for_the_name_of_its_error") else { return };
    let driver = stubs.driver(&["INIT=4711", "COUNT=1", "VERSION=13000", "NAME=\"CUDA_ERROR_OF_A_STUB\""]);
    let found = found_with_driver(&driver);
    assert!(found.contains("cuInit failed with error 4711 (CUDA_ERROR_OF_A_STUB); "), "{found}");
}

#[test]
fn a_driver_on_the_loaders_path_is_named_with_its_path() {
    let Some(stubs) = Stubs::get("a_driver_on_the_loaders_path_is_named_with_its_path") else { return };
    let driver = stubs.driver(&["INIT=999", "COUNT=1", "VERSION=13000"]);
    let found = found(&[("LD_LIBRARY_PATH", stubs.folder().as_os_str())]);
    assert!(found.contains(&format!("{}: cuInit failed with error 999 ", driver.display())), "{found}");
}

#[test]
fn no_driver_at_all_is_a_finding() {
    let named = found_with_driver("/nonexistent/libcuda.so.1");
    assert!(named.contains("gpu:0 ?: the NVIDIA driver cannot be loaded: /nonexistent/libcuda.so.1: "), "{named}");
    let searched = found(&[]);
    // A machine with a driver, or with parts of one, has something else to say; then the case above is all there is to see.
    let has_driver = Path::new("/usr/local/nvidia/lib64/libcuda.so.1").exists() || found_by_the_loader("libcuda.so.1");
    let says_none =
        searched.contains("gpu:0 ?: no NVIDIA driver was found: libcuda.so.1 is neither known to the loader nor in");
    assert_ne!(says_none, has_driver, "{searched}");
    assert!(
        has_driver || searched.contains("/usr/local/cuda/lib64") && searched.contains("WISP_CUDA_DRIVER"),
        "{searched}"
    );
}

#[test]
fn what_is_no_driver_is_refused() {
    let Some(stubs) = Stubs::get("what_is_no_driver_is_refused") else { return };
    let text = stubs.folder().join("text.so");
    std::fs::write(&text, "this is not a library, whatever its name says").expect("written");
    let found = found_with_driver(&text);
    assert!(found.contains(&format!("the NVIDIA driver cannot be loaded: {}: ", text.display())), "{found}");
    let other = stubs.driver(&["EMPTY"]);
    let found = found_with_driver(&other);
    assert!(found.contains(&format!("{} is no NVIDIA driver: it lacks `cuInit`", other.display())), "{found}");
}

#[test]
fn a_driver_without_devices_says_so() {
    let Some(stubs) = Stubs::get("a_driver_without_devices_says_so") else { return };
    let driver = stubs.driver(&["INIT=0", "COUNT=0", "VERSION=13000"]);
    let found = found_with_driver(&driver);
    assert!(found.contains(&format!("gpu:0 ?: {}: the driver has no device", driver.display())), "{found}");
}

#[test]
fn an_old_driver_is_named_with_both_versions() {
    let Some(stubs) = Stubs::get("an_old_driver_is_named_with_both_versions") else { return };
    let driver = stubs.driver(&["INIT=0", "COUNT=1", "VERSION=12020"]);
    let found = found_with_driver(&driver);
    let reason = format!("{}: the driver supports CUDA 12.2, and CUDA 13.0 is needed", driver.display());
    assert!(found.contains(&format!("gpu:0 NVIDIA Stub 0 (1.0 GiB): {reason}")), "{found}");
}

#[test]
fn every_device_has_a_row_and_a_missing_toolkit_is_named() {
    let Some(stubs) = Stubs::get("every_device_has_a_row_and_a_missing_toolkit_is_named") else { return };
    let driver = stubs.driver(&["INIT=0", "COUNT=2", "VERSION=13010"]);
    // A text instead of the library ends the search even on machines that have the toolkit.
    let broken = stubs.folder().join("libcudart.so.13");
    std::fs::write(&broken, "this is not a library, whatever its name says").expect("written");
    let path = stubs.folder().as_os_str();
    let report = found(&[(DRIVER_VARIABLE, driver.as_os_str()), ("LD_LIBRARY_PATH", path)]);
    for name in ["gpu:0 NVIDIA Stub 0 (1.0 GiB)", "gpu:1 NVIDIA Stub 1 (2.0 GiB)"] {
        let row = format!("{name}: libcudart.so.13 cannot be loaded: {}: ", broken.display());
        assert!(report.contains(&row), "{report}");
    }
    if !found_by_the_loader("libcudart.so.13") && !Path::new("/usr/local/cuda/lib64/libcudart.so.13").exists() {
        let report = found_with_driver(&driver);
        assert!(report.contains("libcudart.so.13 is missing: ") && report.contains("nvidia-cuda-runtime"), "{report}");
    }
}

#[test]
fn each_library_of_the_toolkit_is_looked_for() {
    let Some(stubs) = Stubs::get("each_library_of_the_toolkit_is_looked_for") else { return };
    let driver = stubs.driver(&["INIT=0", "COUNT=1", "VERSION=13000"]);
    for soname in ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudnn.so.9"] {
        stubs.toolkit();
        std::fs::write(stubs.folder().join(soname), "this is not a library, whatever its name says").expect("written");
        let path = stubs.folder().as_os_str();
        let report = found(&[(DRIVER_VARIABLE, driver.as_os_str()), ("LD_LIBRARY_PATH", path)]);
        assert!(report.contains(&format!("{soname} cannot be loaded: ")), "{report}");
    }
}

#[test]
fn a_build_of_onnx_runtime_without_cuda_is_named_last() {
    let test = "a_build_of_onnx_runtime_without_cuda_is_named_last";
    let (Some(stubs), Some(real)) = (Stubs::get(test), RealModel::get(test)) else { return };
    let driver = stubs.driver(&["INIT=0", "COUNT=1", "VERSION=13000"]);
    stubs.toolkit();
    let library = real.store.find_library(&ONNX_RUNTIME).expect("was fetched");
    let mut variables: Vec<(&str, OsString)> =
        vec![(DRIVER_VARIABLE, driver.into()), ("LD_LIBRARY_PATH", stubs.folder().into())];
    let report = found(&variables.iter().map(|(name, value)| (*name, value.as_os_str())).collect::<Vec<_>>());
    assert!(
        report.contains("NVIDIA Stub 0 (1.0 GiB): ONNX Runtime is not available: no library was found"),
        "{report}"
    );
    variables.push((LIBRARY_VARIABLE, library.clone().into()));
    let report = found(&variables.iter().map(|(name, value)| (*name, value.as_os_str())).collect::<Vec<_>>());
    let reason = format!("{} is a build of ONNX Runtime without CUDA", library.display());
    assert!(report.contains(&reason) && report.contains("WISP_ONNXRUNTIME_LIBRARY"), "{report}");
}

#[test]
fn the_build_with_cuda_is_opened_in_place_of_the_other() {
    let path = |name: &str| Some(Path::new("/nonexistent").join(name));
    let libraries =
        Libraries { onnxruntime: path("cpu.so"), onnxruntime_cuda: path("cuda.so"), ..Libraries::default() };
    let backends = wisp_backends::all(&libraries);
    let backend = backends.iter().find(|backend| backend.id() == BackendId::Ort).expect("is compiled in");
    assert_eq!(backend.probe().library, path("cuda.so"));
}

/// Whether the loader's cache knows a library of this name.
fn found_by_the_loader(soname: &str) -> bool {
    let cache = Command::new("/sbin/ldconfig").arg("-p").output().expect("ldconfig runs");
    String::from_utf8_lossy(&cache.stdout).contains(soname)
}
