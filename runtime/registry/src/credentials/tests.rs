//! Tests of credentials: which entry is shown to which registry.

use super::*;

fn find(registry: &str, config: &str) -> Result<Credential, RegistryError> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("config.json");
    std::fs::write(&path, config).expect("writable");
    let options = RegistryOptions { docker_config: Some(path), ..RegistryOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(Credential::find(registry, &options))
}

fn basic(user: &str, password: &str) -> RegistryAuth {
    RegistryAuth::Basic(user.to_owned(), password.to_owned())
}

#[test]
fn an_entry_is_shown_to_its_registry_alone() {
    let auth = STANDARD.encode("ada:pass:word");
    let config = format!(
        r#"{{"auths": {{"r.example:5000": {{"auth": "{auth}"}}, "https://index.docker.io/v1/": {{"username": "hub", "password": "p"}},
            "r.example/team": {{"username": "part", "password": "p"}}, "empty.example": {{}}}}}}"#
    );
    for (registry, expected) in [
        ("r.example:5000", basic("ada", "pass:word")),
        ("index.docker.io", basic("hub", "p")),
        ("r.example", RegistryAuth::Anonymous),
        ("r.example:5001", RegistryAuth::Anonymous),
        ("empty.example", RegistryAuth::Anonymous),
        ("evil.example", RegistryAuth::Anonymous),
    ] {
        assert_eq!(find(registry, &config).ok().map(|found| found.auth), Some(expected), "{registry}");
    }
}

#[test]
fn a_configuration_that_is_missing_is_no_credential_and_one_that_is_wrong_is_an_error() {
    let options = RegistryOptions { docker_config: Some("/no/such/config.json".into()), ..RegistryOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let found = runtime.block_on(Credential::find("r.example", &options)).expect("none");
    assert!(!found.is_known && found.auth == RegistryAuth::Anonymous);

    for (config, reason) in [
        ("{ not json", "config.json"),
        (r#"{"auths": {"r.example": {"auth": "!"}}}"#, "not USER:PASSWORD in base64"),
        (r#"{"auths": {"r.example": {"auth": "YWRh"}}}"#, "not USER:PASSWORD in base64"),
        (r#"{"auths": {"r.example": {"identitytoken": "t"}}}"#, "identity token"),
        (r#"{"credHelpers": {"r.example": "../../bin/sh"}}"#, "names no credential program"),
        (
            r#"{"credsStore": "no-such-program-of-wisp"}"#,
            "`docker-credential-no-such-program-of-wisp`, which is not on the PATH",
        ),
    ] {
        let error = find("r.example", config).err().expect(reason).to_string();
        assert!(error.contains(reason) && error.contains("r.example"), "{error}");
    }
}
