//! `wisp push`, `wisp pull` and artifacts in a configuration, against a real registry.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use wisp_testing::{Protection, RegistryServer};

use crate::support;

/// Runs `wisp` with a cache and Docker configuration of its own.
fn wisp(home: &Path, arguments: &[&str]) -> Command {
    let mut command = support::wisp();
    command.args(arguments).env("WISP_HOME", home).env("DOCKER_CONFIG", home);
    command
}

fn run(command: &mut Command) -> (bool, String, String) {
    let output = command.output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn birds() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/birds-v1").display().to_string()
}

#[test]
fn a_guest_out_of_a_registry_serves_and_one_without_digest_does_not() {
    let test = "a_guest_out_of_a_registry_serves_and_one_without_digest_does_not";
    let Some(registry) = RegistryServer::start(test) else { return };
    let (Some(real), Some(guest)) = (wisp_testing::RealModel::get(test), wisp_testing::guest(test, "embedder")) else {
        return;
    };
    let home = tempfile::tempdir().expect("temporary folder");
    for folder in ["models", "libraries", "proofs", "compiled"] {
        std::os::unix::fs::symlink(real.store.home().root().join(folder), home.path().join(folder)).expect("a link");
    }
    let (guest, reference) = (guest.display().to_string(), format!("{}/team/embedder:v1", registry.address));
    let (is_done, pinned, errors) = run(&mut wisp(home.path(), &["push", &reference, &guest]));
    assert!(is_done, "{errors}");
    let pinned = pinned.trim();
    let config = home.path().join("wisp.toml");
    let write = |guest: &str| {
        let models = "models = { encoder = \"all-minilm-l6-v2\" }";
        std::fs::write(&config, format!("[deployments.embedder]\nguest = \"oci:{guest}\"\n{models}\n"))
            .expect("written");
    };
    write(pinned);
    let config = config.display().to_string();
    let embed = ["--log", "info", "embed", "--config", &config, "a storm at sea", "an invoice"];
    let (is_done, told, errors) = run(&mut wisp(home.path(), &embed));
    assert!(is_done && told.contains("384 dimensions, all-minilm-l6-v2 on openvino:cpu"), "{told}{errors}");
    assert!(errors.contains("pulled"), "it came out of the registry: {errors}");

    // From here on the cache has it, and nobody needs the registry.
    drop(registry);
    let (is_done, _, errors) =
        run(wisp(home.path(), &["embed", "--config", &config, "a storm at sea"]).env("WISP_OFFLINE", "1"));
    assert!(is_done, "{errors}");
    write(&reference);
    let (is_done, _, errors) = run(&mut wisp(home.path(), &["embed", "--config", &config, "a storm at sea"]));
    assert!(!is_done && errors.contains("names no digest, and a tag can be moved"), "{errors}");
    assert!(errors.contains(&format!("wisp pull {reference}")) && errors.contains("wisp.toml:2:9"), "{errors}");
}

#[test]
fn a_model_out_of_a_registry_is_verified_and_configured_by_its_digest() {
    let test = "a_model_out_of_a_registry_is_verified_and_configured_by_its_digest";
    let Some(registry) = RegistryServer::start(test) else { return };
    let home = tempfile::tempdir().expect("temporary folder");
    let (reference, digest_file) = (format!("{}/birds:v1", registry.address), home.path().join("digest"));
    let file = digest_file.display().to_string();
    let push = ["push", "--format", "json", "--digest-file", &file, &reference, &birds()];
    let (is_done, told, errors) = run(&mut wisp(home.path(), &push));
    assert!(is_done, "{errors}");
    let pushed: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let digest = std::fs::read_to_string(&digest_file).expect("written").trim().to_owned();
    assert_eq!((&pushed["kind"], &pushed["digest"]), (&"model".into(), &digest.clone().into()));
    assert_eq!(pushed["pinned"], format!("{}/birds@{digest}", registry.address));

    let pinned = pushed["pinned"].as_str().expect("text");
    let (is_done, told, errors) = run(&mut wisp(home.path(), &["pull", "--format", "json", pinned]));
    assert!(is_done, "{errors}");
    let pulled: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&pulled["digest"], &pulled["is_cached"]), (&digest.into(), &false.into()));
    let (is_done, told, errors) = run(&mut wisp(home.path(), &["models", "inspect", &format!("oci:{pinned}")]));
    assert!(is_done && told.contains("birds-v1"), "{told}{errors}");

    let config = home.path().join("wisp.toml");
    std::fs::write(&config, format!("[models.birds]\nsource = \"oci:{pinned}\"\n")).expect("written");
    let (is_done, told, _) =
        run(&mut wisp(home.path(), &["config", "print", "--config", &config.display().to_string()]));
    assert!(!is_done || told.contains(pinned), "{told}");
    let output = home.path().join("there");
    let output = output.display().to_string();
    let (is_done, told, errors) = run(&mut wisp(home.path(), &["pull", &reference, "-o", &output]));
    assert!(is_done && told.trim() == output, "{told}{errors}");
    let (is_done, _, errors) = run(&mut wisp(home.path(), &["pull", &reference, "-o", &output]));
    assert!(!is_done && errors.contains("is there already"), "{errors}");
}

#[test]
fn a_credential_program_is_asked_and_what_goes_wrong_with_it_is_told() {
    let test = "a_credential_program_is_asked_and_what_goes_wrong_with_it_is_told";
    let protection = Protection { password: true, tls: None };
    let Some(registry) = RegistryServer::start_with(test, protection) else { return };
    let home = tempfile::tempdir().expect("temporary folder");
    let program = home.path().join("docker-credential-test");
    let answer = |script: &str| {
        std::fs::write(&program, format!("#!/bin/sh\nread server\n{script}\n")).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("ours");
    };
    let config = format!(r#"{{"credHelpers": {{"{}": "test"}}}}"#, registry.address);
    std::fs::write(home.path().join("config.json"), config).expect("written");
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap_or_default());
    let reference = format!("{}/birds:v1", registry.address);
    let push = || run(wisp(home.path(), &["push", &reference, &birds()]).env("PATH", &path));
    let (user, password) = (RegistryServer::USER, RegistryServer::PASSWORD);

    answer(&format!(r#"echo '{{"ServerURL": "'$server'", "Username": "{user}", "Secret": "{password}"}}'"#));
    let (is_done, _, errors) = push();
    assert!(is_done, "{errors}");
    for (script, reason) in [
        (
            "echo 'credentials not found in native keychain'; exit 1",
            "(without a credential); log in with `docker login",
        ),
        ("echo 'the vault is sealed'; exit 1", "`docker-credential-test` failed: the vault is sealed"),
        ("echo secret", "answered something else than JSON"),
        (r#"echo '{"Username": "ada", "Secret": "wrong"}'"#, "(as user ada, of docker-credential-test)"),
    ] {
        answer(script);
        let (is_done, _, errors) = push();
        assert!(!is_done && errors.contains(reason), "{script}: {errors}");
        assert!(!errors.contains("secret") && !errors.contains("wrong"), "{errors}");
    }
}

#[test]
fn mistakes_are_told_with_their_remedy() {
    let home = tempfile::tempdir().expect("temporary folder");
    let folder = home.path().join("empty");
    std::fs::create_dir(&folder).expect("new folder");
    let folder = folder.display().to_string();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let pinned = format!("127.0.0.1:1/x@sha256:{digest}");
    for (arguments, reason) in [
        (&["push", "127.0.0.1:1/x:v1", "none.wasm"][..], "none.wasm does not exist"),
        (&["push", "127.0.0.1:1/x:v1", &folder], "has no model.toml; push a .wasm file, or the folder of a model"),
        (&["push", "127.0.0.1:1/x:v1", "no-such-model"], "unknown model `no-such-model`"),
        (&["push", "127.0.0.1:1/UPPER:v1", "none.wasm"], "is no reference"),
        (&["--offline", "push", "127.0.0.1:1/x:v1", &birds()], "a push needs the registry; leave out --offline"),
        (&["--offline", "pull", &pinned], "is not in the cache, and fetching is off"),
        (&["pull", "--ca-file", "/no/such.pem", &pinned], "cannot read /no/such.pem"),
        (&["pull", "--attempts", "1", &pinned], "cannot reach 127.0.0.1:1"),
        (&["--offline", "models", "inspect", &format!("oci:{pinned}")], "run `wisp pull 127.0.0.1:1/x@sha256:"),
    ] {
        let (is_done, _, errors) = run(&mut wisp(home.path(), arguments));
        assert!(!is_done && errors.contains(reason), "{arguments:?}: {errors}");
    }
}
