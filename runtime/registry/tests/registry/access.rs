//! Who may do what: passwords, certificates, and how TLS is insisted on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wisp_testing::{Protection, RegistryServer as Server};

use crate::certificates::Certificates;
use crate::oras::Oras;
use crate::support::{Bench, module};

fn auths(address: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("{}:{password}", Server::USER));
    format!(r#"{{"auths": {{"{address}": {{"auth": "{auth}"}}}}}}"#)
}

#[tokio::test]
async fn a_registry_with_tls_and_passwords_is_used_with_both() {
    let test = "a_registry_with_tls_and_passwords_is_used_with_both";
    let certificates = Certificates::new();
    let Some(server) = Server::start_with(test, Protection { password: true, tls: certificates.tls() }) else { return };
    let mut bench = Bench::new();
    let ca_file = certificates.write_authority(&bench.work());
    let Some(oras) = Oras::trusting(test, &ca_file, Server::USER, Server::PASSWORD) else { return };
    bench.options.ca_file = Some(ca_file);
    bench.docker_config(&auths(&server.address, Server::PASSWORD));
    let bytes = module(1000, 7);
    let (file, reference) = (bench.write("m.wasm", &bytes), format!("{}/m:v1", server.address));
    bench.push(&reference, &file).await.expect("pushed");
    let folder = tempfile::tempdir().expect("temporary folder");
    oras.run(folder.path(), &["pull", &reference]);
    assert_eq!(std::fs::read(folder.path().join("m.wasm")).expect("there"), bytes);
    assert_eq!(std::fs::read(bench.pull(&reference).await.expect("pulled").path).expect("there"), bytes);
}

#[tokio::test]
async fn a_wrong_password_or_none_is_told_apart() {
    let test = "a_wrong_password_or_none_is_told_apart";
    let Some(server) = Server::start_with(test, Protection { password: true, tls: None }) else { return };
    let bench = Bench::new();
    let (file, reference) = (bench.write("m.wasm", &module(10, 1)), format!("{}/m:v1", server.address));
    let errors = [bench.push(&reference, &file).await.map(drop), bench.pull(&reference).await.map(drop)];
    for error in errors {
        let error = error.expect_err("nobody").to_string();
        assert!(
            error.contains("refuses access to m (without a credential); log in with `docker login 127.0.0.1:"),
            "{error}"
        );
    }
    bench.docker_config(&auths(&server.address, "wrong"));
    let errors = [bench.push(&reference, &file).await.map(drop), bench.pull(&reference).await.map(drop)];
    for error in errors {
        let error = error.expect_err("wrong").to_string();
        assert!(error.contains("(as user ada, of ") && error.contains("check user, password and rights"), "{error}");
        assert!(!error.contains("wrong"), "a password is no part of a message: {error}");
    }
    bench.docker_config(&auths(&server.address, Server::PASSWORD));
    bench.push(&reference, &file).await.expect("the right one");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let test = "a_certificate_that_nobody_vouches_for_is_refused";
    let certificates = Certificates::new();
    let Some(server) = Server::start_with(test, Protection { password: false, tls: certificates.tls() }) else {
        return;
    };
    let mut bench = Bench::new();
    let reference = format!("{}/m:v1", server.address);
    let error = bench.pull(&reference).await.expect_err("unknown").to_string();
    assert!(error.contains("the certificate of 127.0.0.1:") && error.contains("--ca-file"), "{error}");
    bench.options.ca_file = Some(certificates.write_authority(&bench.work()));
    let error = bench.pull(&reference).await.expect_err("empty").to_string();
    assert!(error.contains(&format!("{reference} does not exist in the registry")), "{error}");
}

#[tokio::test]
async fn an_unknown_tag_repository_or_digest_is_named() {
    let test = "an_unknown_tag_repository_or_digest_is_named";
    let Some(server) = Server::start(test) else { return };
    let bench = Bench::new();
    let file = bench.write("m.wasm", &module(10, 1));
    bench.push(&format!("{}/m:v1", server.address), &file).await.expect("pushed");
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for rest in ["m:v2", "other:v1", &format!("m@sha256:{digest}")] {
        let reference = format!("{}/{rest}", server.address);
        let error = bench.pull(&reference).await.expect_err("unknown").to_string();
        assert_eq!(error, format!("{reference} does not exist in the registry; check name and tag"));
    }
}
