//! Models go up as container images and come down as folders; images that are none, or mean harm, are refused.

use std::path::Path;
use std::process::Command;

use wisp_model_store::{FileState, NoProgress};
use wisp_registry::{ArtifactKind, Pushed, push_model};
use wisp_testing::RegistryServer as Server;

use crate::oras::Oras;
use crate::support::{Bench, birds, name};

async fn push(bench: &Bench, reference: &str, folder: &Path) -> Pushed {
    let model = bench.store.open(&folder.display().to_string()).expect("a manifest");
    push_model(&name(reference), &model, &bench.store, &bench.options, &NoProgress).await.expect("pushed")
}

/// Every file of the model, by what the manifest names.
const FILES: [&str; 5] = ["model.toml", "birds_v1.tflite", "labels.txt", "golden/input.npy", "golden/output.npy"];

fn assert_is_birds(folder: &Path) {
    for file in FILES {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(read(folder) == read(&birds()), "{file}");
    }
}

/// A copy of the model with a file beside it that no manifest names.
fn copy(to: &Path) {
    std::fs::create_dir_all(to.join("golden")).expect("new folder");
    for file in FILES {
        std::fs::copy(birds().join(file), to.join(file)).expect("copied");
    }
    std::fs::write(to.join("private-notes.txt"), "not part of the model").expect("writable");
}

#[tokio::test]
async fn a_model_goes_up_and_comes_down_as_a_folder_that_the_store_takes() {
    let test = "a_model_goes_up_and_comes_down_as_a_folder_that_the_store_takes";
    let Some(server) = Server::start(test) else { return };
    let bench = Bench::new();
    let pushed = push(&bench, &format!("{}/birds:v1", server.address), &birds()).await;
    // Another folder, other times, other rights: the same model.
    let elsewhere = bench.work().join("elsewhere");
    copy(&elsewhere);
    let again = push(&bench, &format!("{}/birds:v2", server.address), &elsewhere).await;
    assert_eq!((again.digest, again.sent_bytes), (pushed.digest, 0), "deterministic, and there already");

    let pulled = bench.pull(&format!("{}/birds:v1", server.address)).await.expect("pulled");
    assert_eq!((pulled.kind, pulled.digest), (ArtifactKind::Model, pushed.digest));
    assert_is_birds(&pulled.path);
    assert!(!pulled.path.join("private-notes.txt").exists());
    let model = bench.store.open(&format!("oci:{}", pushed.pinned)).expect("configurations name it so");
    assert!(bench.store.verify(&model, &NoProgress).iter().all(|check| check.state == FileState::Verified));
    assert!(model.golden_tensors().expect("whole").is_some());

    let output = bench.work().join("out");
    bench.pull_to(&pushed.pinned, &output).await.expect("pulled");
    assert_is_birds(&output);
}

#[tokio::test]
async fn the_image_is_one_that_others_unpack() {
    let test = "the_image_is_one_that_others_unpack";
    let (Some(server), Some(oras)) = (Server::start(test), Oras::plain(test)) else { return };
    let bench = Bench::new();
    let reference = format!("{}/birds:v1", server.address);
    push(&bench, &reference, &birds()).await;
    let index = oras.manifest(&bench.work(), &reference);
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let folder = bench.work();
    for architecture in ["amd64", "arm64"] {
        let platform = format!("linux/{architecture}");
        let manifest = oras.run(&folder, &["manifest", "fetch", "--platform", &platform, &reference]);
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
        let digest = manifest["config"]["digest"].as_str().expect("text");
        let config = oras.blob(&folder, &format!("{}/birds@{digest}", server.address));
        let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
        assert_eq!((&config["os"], &config["architecture"]), (&"linux".into(), &architecture.into()));
        let layers = manifest["layers"].as_array().expect("a list");
        let digests: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
        assert_eq!(config["rootfs"]["diff_ids"], serde_json::Value::Array(digests));
        assert!(layers.iter().all(|layer| layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar"));
    }
    oras.run(&folder, &["pull", "--platform", "linux/arm64", &reference]);
    let unpacked = folder.join("unpacked");
    std::fs::create_dir(&unpacked).expect("new folder");
    for layer in ["manifest-and-small-files.tar", "birds_v1.tflite.tar"] {
        let status = Command::new("tar").arg("-xf").arg(folder.join(layer)).arg("-C").arg(&unpacked).status();
        assert!(status.expect("tar runs").success(), "{layer}");
    }
    assert_is_birds(&unpacked);
}

/// Pushes an image of one layer as other tools do, and says what comes of pulling it.
async fn pull_image(bench: &Bench, oras: &Oras, reference: &str, layer: &[u8], media_type: &str) -> Result<(), String> {
    bench.write("config.json", br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
    bench.write("layer.tar", layer);
    let config = "config.json:application/vnd.oci.image.config.v1+json";
    oras.run(&bench.work(), &["push", "--config", config, reference, &format!("layer.tar:{media_type}")]);
    bench.pull(reference).await.map(|pulled| assert_is_birds(&pulled.path)).map_err(|error| error.to_string())
}

fn tar(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").current_dir(folder).args(arguments).output().expect("tar runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn images_of_other_tools_are_models_when_they_hold_one_whole() {
    let test = "images_of_other_tools_are_models_when_they_hold_one_whole";
    let (Some(server), Some(oras)) = (Server::start(test), Oras::plain(test)) else { return };
    let bench = Bench::new();
    let (folder, reference) = (bench.work().join("model"), |tag: &str| format!("{}/made:{tag}", server.address));
    copy(&folder);
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    let image = tar(&folder, &["-czf", "-", "."]);
    pull_image(&bench, &oras, &reference("whole"), &image, gzip).await.expect("a model");

    std::fs::write(folder.join("labels.txt"), "another bird\n").expect("writable");
    let image = tar(&folder, &["-czf", "-", "."]);
    let error = pull_image(&bench, &oras, &reference("changed"), &image, gzip).await.expect_err("another file");
    assert!(error.contains("labels.txt is another file (expected 18628 bytes, found 13)"), "{error}");

    let image = tar(&folder, &["-czf", "-", "model.toml", "golden"]);
    let error = pull_image(&bench, &oras, &reference("partial"), &image, gzip).await.expect_err("not whole");
    assert!(error.contains("birds_v1.tflite is missing"), "{error}");

    let image = tar(&folder, &["-czf", "-", "golden"]);
    let error = pull_image(&bench, &oras, &reference("none"), &image, gzip).await.expect_err("no manifest");
    assert!(error.contains("an image without model.toml at its root"), "{error}");
}

#[tokio::test]
async fn images_that_would_write_elsewhere_are_refused_whole() {
    let test = "images_that_would_write_elsewhere_are_refused_whole";
    let (Some(server), Some(oras)) = (Server::start(test), Oras::plain(test)) else { return };
    let bench = Bench::new();
    let (folder, media_type) = (bench.work().join("model"), "application/vnd.oci.image.layer.v1.tar");
    copy(&folder);
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).expect("a link");
    std::fs::write(bench.work().join("evil.txt"), "evil").expect("writable");
    for (tag, arguments, reason) in [
        (
            "climb",
            &["-cPf", "-", "model.toml", "../evil.txt"][..],
            "entry `../evil.txt` of a layer is refused: its path climbs",
        ),
        (
            "absolute",
            &["-cPf", "-", "/etc/hostname"],
            "entry `/etc/hostname` of a layer is refused: its path is absolute",
        ),
        ("link", &["-cf", "-", "link"], "entry `link` of a layer is refused: it is a link"),
        (
            "device",
            &["-cPf", "-", "--transform", "s,^/dev/,,", "/dev/null"],
            "entry `null` of a layer is refused: it is a device",
        ),
    ] {
        let reference = format!("{}/evil:{tag}", server.address);
        let image = tar(&folder, arguments);
        let error = pull_image(&bench, &oras, &reference, &image, media_type).await.expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
    for entry in std::fs::read_dir(bench.store.home().artifacts()).expect("there").flatten() {
        assert!(!entry.path().join("model").exists() && !entry.path().join("evil.txt").exists());
    }
}
