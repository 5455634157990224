//! Configurations that are right, and what is said of those that are wrong.

use std::path::Path;

use wisp_core::{BackendId, Precision};

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("etc/wisp.toml")).map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse("").expect("valid"), Config::default());
}

#[test]
fn a_full_file_reads_as_written_and_reads_back() {
    let text = r#"
        [server]
        grpc = "127.0.0.1:6000"
        bare_models = false
        limits = { texts = 8, text_bytes = 1024 }
        [models.minilm]
        source = "../models/all-minilm-l6-v2"
        placement = ["candle:cpu"]
        precision = "f32"
        [deployments.embed]
        guest = "guests/embedder.wasm"
        models = { encoder = "minilm" }
        limits = { memory_bytes = 1048576, wall_ms = 100 }
    "#;
    let config = parse(text).expect("valid");
    assert_eq!((config.server.grpc.port(), config.server.bare_models), (6000, false));
    assert_eq!((config.server.limits.texts, config.server.limits.inflight_requests), (8, 256));
    let model = &config.models["minilm"];
    assert_eq!(model.source, "etc/../models/all-minilm-l6-v2");
    assert_eq!(model.placement[0].backend, BackendId::Candle);
    assert_eq!(model.precision, PrecisionChoice::Exactly(Precision::F32));
    let deployment = &config.deployments["embed"];
    assert_eq!(deployment.guest, "etc/guests/embedder.wasm");
    assert_eq!(deployment.limits.wall_ms, 100);

    // Paths are resolved already, so the printed text is read from the folder it was resolved against.
    let printed = config.to_toml().replace("etc/", "");
    assert_eq!(parse(&printed).expect("valid"), config);
}

#[test]
fn grants_trust_and_limits_of_a_deployment_read_as_written_and_read_back() {
    let text = r#"
        [models.minilm]
        source = "all-minilm-l6-v2"
        [deployments.app]
        guest = "builtin:embedder"
        digest = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        signature = "app.sig"
        signed_by = ["keys/team.pem"]
        instances = "reuse"
        route = "/search/"
        models = { encoder = { model = "minilm", max_rows = 8, deadline_ms = 250 }, plain = "minilm" }
        limits = { fuel = 1000000, instances = 4, module_bytes = 1048576, compile_ms = 1000, hostcall_bytes = 1024 }
        [deployments.app.grants]
        dirs = ["data::/data", "/srv"]
        env = ["MODE=fast", "HOME"]
        http = ["api.example.com", "127.0.0.1:8080"]
        load = ["openvino:cpu"]
    "#;
    let config = parse(text).expect("valid");
    let app = &config.deployments["app"];
    assert_eq!(app.trust.digest.as_deref(), Some(&*format!("sha256:{}", "a".repeat(64))));
    assert_eq!(app.trust.signed_by, [Path::new("etc/keys/team.pem")]);
    assert_eq!((app.instances, app.route.as_deref()), (InstancesChoice::Reuse, Some("/search")));
    let grant = &app.models["encoder"];
    assert_eq!((grant.max_rows, grant.deadline_ms), (Some(8), Some(250)));
    assert_eq!(app.models["plain"], "minilm".into());
    assert_eq!((app.limits.fuel, app.limits.instances), (Some(1_000_000), Some(4)));
    assert_eq!(app.grants.dirs[0], DirConfig { host: "etc/data".into(), guest: "/data".to_owned() });
    assert_eq!(app.grants.dirs[1], DirConfig { host: "/srv".into(), guest: "/srv".to_owned() });
    assert_eq!(app.grants.env[0], EnvConfig { name: "MODE".to_owned(), value: Some("fast".to_owned()) });
    assert_eq!(app.grants.http[1].port, Some(8080));
    assert_eq!(app.grants.load[0].backend, BackendId::OpenVino);

    let printed = config.to_toml().replace("etc/", "");
    assert_eq!(parse(&printed).expect("valid"), config);
}

#[test]
fn mistakes_in_grants_and_trust_are_located_and_explained() {
    let deployment = "[deployments.d]\nguest = \"builtin:embedder\"\nmodels = {}\n";
    for (text, message) in [
        ("digest = \"sha1:00\"", "4:10: `sha1:00` is no digest; write sha256: and 64 hexadecimal digits"),
        (
            "signed_by = []",
            "4:13: signed_by is empty, which nobody can satisfy; list public keys in PEM, or leave it out",
        ),
        ("instances = \"many\"", "4:13: unknown variant `many`, expected `fresh` or `reuse`"),
        ("route = \"search\"", "4:9: `search` is no route; write the beginning of a path, such as /search"),
        ("limits = { fuel = 0 }", "4:10: deployments.d.limits.fuel is 0; it can be 1 to 18446744073709551615"),
        ("grants = { http = [\"https://x\"] }", "4:20: `https://x` is no host; write NAME or NAME:PORT"),
        ("grants = { env = [\"=x\"] }", "4:19: `=x` is no variable; write NAME, or NAME=VALUE"),
        ("grants = { dirs = [\"\"] }", "4:20: `` names no folder; write HOST, or HOST::GUEST"),
        ("grants = { load = [\"gpu\"] }", "4:20: `gpu` is not a placement; write backend:device, such as ort:cpu"),
        ("grants = { files = [] }", "4:12: unknown field `files`, expected one of `dirs`, `env`, `http`, `load`"),
    ] {
        let said = parse(&format!("{deployment}{text}")).expect_err(text);
        assert!(said.starts_with(&format!("etc/wisp.toml:{message}")), "{text}: {said}");
    }
    let said = parse("[deployments.d]\nguest = \"builtin:embedder\"\nmodels = { a = 3, b = { max_rows = 1 } }")
        .expect_err("two");
    assert!(said.contains("expected the name of a model, or a table of model, max_rows and deadline_ms"), "{said}");
    let said = parse(
        "[models.m]\n[deployments.d]\nguest = \"builtin:embedder\"\nmodels = { a = { model = \"m\", max_rows = 0 } }",
    );
    assert!(said.expect_err("zero").contains("deployments.d.models.a.max_rows is 0; it can be 1 to 1000000"));
}

#[test]
fn a_model_without_a_source_is_the_built_in_of_that_name() {
    let config = parse("[models.all-minilm-l6-v2]\nplacement = [\"candle:cpu\"]").expect("valid");
    assert_eq!(config.models["all-minilm-l6-v2"].source, "all-minilm-l6-v2");
    assert_eq!(config.deployments.len(), 1);
}

#[test]
fn every_mistake_is_located_and_explained() {
    let deployment = "[deployments.d]\nguest = \"builtin:embedder\"\n";
    for (text, message) in [
        (
            "[server]\nport = 1",
            "etc/wisp.toml:2:1: unknown field `port`, expected one of `grpc`, `http`, `admin`, `tls`, `auth`, `drain`, `cors_origins`, `bare_models`, `limits`",
        ),
        ("[server]\ngrpc = 50051", "etc/wisp.toml:2:8: invalid type: integer `50051`, expected a string"),
        (
            "[server]\ngrpc = \"localhost\"",
            "etc/wisp.toml:2:8: `localhost` is not an address; write IP:PORT, such as 127.0.0.1:50051",
        ),
        (
            "[models.m]\nplacement = [\"ort:cpu\", \"tpu\"]",
            "etc/wisp.toml:2:25: `tpu` is not a placement; write backend:device, such as ort:cpu",
        ),
        (
            "[models.m]\nplacement = []",
            "etc/wisp.toml:2:13: placement is empty; list at least one backend:device, such as \"ort:cpu\"",
        ),
        (
            "[models.m]\nprecision = \"fp8\"",
            "etc/wisp.toml:2:13: unknown precision `fp8`; one of f32, f16, bf16, int8, or auto",
        ),
        (
            &format!("{deployment}models = {{ encoder = \"nope\" }}"),
            "etc/wisp.toml:3:22: model `nope` is not configured; add [models.nope] or use one of `all-minilm-l6-v2`",
        ),
        (deployment, "etc/wisp.toml:1:1: missing field `models`"),
        (
            "server.bare_models = false\n[models.m]",
            "etc/wisp.toml:1:1: no deployment is configured, and server.bare_models is off; add [deployments.NAME] with guest and models",
        ),
        ("[models.\"a b\"]", "etc/wisp.toml:1:9: `a b` is no name; use 1 to 63 of a-z, A-Z, 0-9, `-`, `_` and `.`"),
        (
            "[server]\nadmin = \"yes\"",
            "etc/wisp.toml:2:9: `yes` is not an address; write IP:PORT, such as 127.0.0.1:9090, or off",
        ),
        ("[models.m]\nsessions = 0", "etc/wisp.toml:2:12: models.m.sessions is 0; it can be 1 to 64, or auto"),
        (
            "[models.m.batching]\nmax_batch_ms = 0",
            "etc/wisp.toml:1:1: models.m.batching.max_batch_ms is 0; it can be 1 to 3600000",
        ),
        (
            "[tenants.t]\nshare = 1",
            "etc/wisp.toml:1:1: tenant `t` has neither token_file nor sans; only `anonymous`, whoever shows nothing, can do without",
        ),
        ("[tenants.anonymous]\nshare = 0", "etc/wisp.toml:1:1: tenants.anonymous.share is 0; it can be 0.001 to 1000"),
        (
            "[tenants.anonymous]\ninflight_requests = 0",
            "etc/wisp.toml:1:1: tenants.anonymous.inflight_requests is 0; it can be 1 to 4294967295",
        ),
        ("[server", "etc/wisp.toml:1:8: unclosed table, expected `]`"),
    ] {
        assert_eq!(parse(text).expect_err(message), message, "{text}");
    }
}

#[test]
fn every_mistake_of_a_file_is_reported() {
    let text = "[server]\ngrpc = \"here\"\nlimits = { texts = 0, inflight_requests = 0 }\n[models.m]\nsource = \"\"\n\
                memory_bytes = 0\n[deployments.d]\nguest = \"\"\nmodels = { \"a b\" = \"nope\" }\nlimits = { wall_ms = 0 }\n";
    let said = parse(text).expect_err("nine mistakes");
    for (line, message) in [
        "2:8: `here` is not an address",
        "3:10: server.limits.texts is 0; it can be 1 to 1000000",
        "3:10: server.limits.inflight_requests is 0",
        "5:10: source is empty",
        "6:16: models.m.memory_bytes is 0",
        "8:9: guest is empty",
        "9:12: `a b` is no name",
        "9:20: model `nope` is not configured",
        "10:10: deployments.d.limits.wall_ms is 0",
    ]
    .iter()
    .enumerate()
    {
        let found = said.lines().nth(line).unwrap_or_default();
        assert!(found.starts_with(&format!("etc/wisp.toml:{message}")), "{message}: {said}");
    }
}

#[test]
fn a_file_is_read_with_its_guests_and_its_encoding() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("wisp.toml");
    let text = "[deployments.d]\nguest = \"g.wasm\"\nmodels = {}\n";
    std::fs::write(&path, text).expect("written");
    let missing = Config::read(&path).expect_err("no guest").to_string();
    assert!(missing.contains("wisp.toml:2:9: guest ") && missing.contains("No such file"), "{missing}");
    std::fs::create_dir(folder.path().join("g.wasm")).expect("made");
    assert!(Config::read(&path).expect_err("a folder").to_string().contains("this is no regular file"));
    std::fs::remove_dir(folder.path().join("g.wasm")).expect("there");
    std::fs::write(folder.path().join("g.wasm"), b"").expect("written");
    Config::read(&path).expect("is there now");
    std::fs::write(&path, b"[server]\n# caf\xE9\n").expect("written");
    let encoding = Config::read(&path).expect_err("Latin-1").to_string();
    assert!(encoding.contains("wisp.toml:2:6: this is not UTF-8"), "{encoding}");
}

#[test]
fn sessions_are_a_number_or_auto() {
    let config = parse("[models.all-minilm-l6-v2]\nsessions = \"auto\"\n").expect("is right");
    assert_eq!(config.models["all-minilm-l6-v2"].sessions, SessionsChoice::Auto);
    assert_eq!(Config::parse(&config.to_toml(), Path::new("wisp.toml")).expect("reads back"), config);
    for wrong in ["\"many\"", "-1", "true"] {
        let error = parse(&format!("[models.all-minilm-l6-v2]\nsessions = {wrong}\n")).expect_err(wrong);
        assert!(
            error.contains("wisp.toml:2:12") && error.contains("expected a number of sessions, or \"auto\""),
            "{error}"
        );
    }
}

#[test]
fn sharing_and_tenants_are_printed_and_read_back() {
    let text = "[server]\nadmin = \"off\"\n[models.all-minilm-l6-v2]\nsessions = 2\n\
                batching = { enabled = false, max_queue_delay_us = 500 }\n\
                [tenants.search]\ntoken_file = \"search.token\"\nshare = 2\ninflight_requests = 8\n";
    let config = parse(text).expect("is right");
    let model = &config.models["all-minilm-l6-v2"];
    assert_eq!(
        (config.server.admin, model.sessions, model.batching.enabled),
        (None, SessionsChoice::Exactly(2), false)
    );
    assert_eq!((model.batching.max_queue_delay_us, model.batching.max_batch_ms), (500, 50));
    let tenant = &config.tenants["search"];
    assert_eq!(tenant.token_file.as_deref(), Some(Path::new("etc/search.token")));
    assert_eq!((tenant.share, tenant.inflight_requests), (2.0, Some(8)));
    let printed = Config::parse(&config.to_toml(), Path::new("wisp.toml")).expect("reads back");
    assert_eq!(printed, config);
}

#[test]
fn devices_have_a_memory_that_is_printed_and_read_back() {
    let read = |text: &str| Config::parse(text, std::path::Path::new("etc/wisp.toml"));
    let config = read("[devices.\"gpu:0\"]\nmemory_bytes = 1000\n").expect("a device");
    assert_eq!(config.devices[&wisp_core::Device::Gpu(0)].memory_bytes, 1000);
    assert_eq!(read(&config.to_toml()).expect("was printed"), config);
    for (text, message) in [
        ("[devices.tpu]\nmemory_bytes = 1\n", "etc/wisp.toml:1:10: unknown device `tpu`"),
        ("[devices.cpu]\nmemory_bytes = 0\n", "etc/wisp.toml:2:16: memory_bytes must be at least 1"),
        ("[devices.cpu]\n", "missing field `memory_bytes`"),
        (
            "[models.m]\nunload_after_ms = 1000\n",
            "etc/wisp.toml:2:19: models.m.unload_after_ms is for models that are loaded when they are needed; add load = \"on-demand\"",
        ),
        ("[models.m]\nload = \"on-demand\"\nunload_after_ms = 0\n", "etc/wisp.toml:3:19: models.m.unload_after_ms"),
        (
            "[server]\ncors_origins = [\"https://a.example\", \"https://a.example/page\"]\n",
            "etc/wisp.toml:2:38: `https://a.example/page` is no origin; write scheme://HOST",
        ),
        ("[models.m]\nload = \"lazy\"\n", "unknown variant `lazy`, expected `start` or `on-demand`"),
    ] {
        let error = read(text).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn guests_and_models_may_be_artifacts_that_are_pinned_by_their_digest() {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let pinned = |name: &str| format!("oci:127.0.0.1:5000/{name}@sha256:{digest}");
    let (guest, source) = (pinned("embedder"), pinned("minilm"));
    let text = |guest: &str, source: &str| {
        format!("[models.m]\nsource = \"{source}\"\n[deployments.d]\nguest = \"{guest}\"\nmodels = {{ e = \"m\" }}\n")
    };
    let config = parse(&text(&guest, &source)).expect("both are pinned");
    assert_eq!((&config.deployments["d"].guest, &config.models["m"].source), (&guest, &source), "kept as written");
    let references: Vec<_> = config.artifacts().iter().map(|found| format!("oci:{}", found.reference())).collect();
    assert_eq!(references, [guest, source]);

    let said = parse(&text("oci:127.0.0.1:5000/embedder:v1", "oci:r.example/m@sha256:12")).expect_err("not pinned");
    let lines: Vec<_> = said.lines().collect();
    assert!(
        lines[0].starts_with("etc/wisp.toml:2:10: `oci:r.example/m@sha256:12`: `sha256:12` is no digest"),
        "{said}"
    );
    assert!(lines[1].starts_with("etc/wisp.toml:4:9: `oci:127.0.0.1:5000/embedder:v1` names no digest"), "{said}");
    assert!(lines[1].contains("wisp pull 127.0.0.1:5000/embedder:v1"), "{said}");
}

fn parse_pod(text: &str) -> Result<Config, String> {
    Config::parse_pod(text.as_bytes(), Path::new("/etc/wisp/wisp.toml")).map_err(|error| error.to_string())
}

#[test]
fn a_pod_grants_its_models_to_the_module_of_its_image() {
    let config = parse_pod("[models.minilm]\nsource = \"/models/minilm\"\n").expect("valid");
    assert_eq!(config.server.grpc.to_string(), "0.0.0.0:50051");
    assert!(!config.server.bare_models, "models are granted to the guest");
    assert_eq!(config.server.admin.map(|address| address.to_string()).as_deref(), Some("0.0.0.0:9090"));
    let deployment = &config.deployments["default"];
    assert_eq!((config.deployments.len(), deployment.guest.as_str()), (1, crate::IMAGE_GUEST));
    assert_eq!(deployment.models, BTreeMap::from([("encoder".to_owned(), "minilm".into())]));

    let config = parse_pod("[models.a]\nsource = \"/models/a\"\n[models.b]\nsource = \"b/c\"\n").expect("valid");
    let granted = &config.deployments["default"].models;
    assert!(granted.iter().all(|(alias, grant)| *alias == grant.model) && granted.len() == 2, "{granted:?}");
    assert_eq!(config.models["b"].source, "/etc/wisp/b/c");
}

#[test]
fn a_pod_without_models_is_told_so_and_has_none_by_default() {
    for text in ["", "[server]\ngrpc = \"[::]:50051\"\n"] {
        let error = parse_pod(text).expect_err("grants nothing");
        assert!(error.starts_with("no model is granted to this pod"), "{error}");
    }
    let text = "[deployments.d]\nguest = \"image\"\nmodels = { encoder = \"minilm\" }\n";
    let error = parse_pod(text).expect_err("grants what is not there");
    assert!(error.starts_with("/etc/wisp/wisp.toml:3:") && error.contains("`minilm` is not configured"), "{error}");
}

#[test]
fn outside_a_pod_an_image_is_a_path_like_any_other() {
    let text = "[deployments.d]\nguest = \"image\"\nmodels = { encoder = \"all-minilm-l6-v2\" }\n";
    assert_eq!(parse(text).expect("no file is looked for").deployments["d"].guest, "etc/image");
}

#[test]
fn who_may_connect_is_read_and_written_as_it_was() {
    let text = "[server.auth]\nanonymous = false\n[server.drain]\ndelay_ms = 5000\n\
        [server.tls]\ncert = \"tls.crt\"\nkey = \"tls.key\"\nclient_ca = \"ca.crt\"\nclient_certificates = \"optional\"\n\
        [tenants.web]\nsans = [\"spiffe://a/b\", \"web.example\"]\nscopes = [\"infer\", \"admin\"]\n";
    let config = parse(text).expect("valid");
    let tls = config.server.tls.clone().expect("is configured");
    assert_eq!((tls.cert.as_path(), tls.admin), (Path::new("etc/tls.crt"), false));
    assert_eq!(tls.client_certificates, ClientCertificates::Optional);
    assert!(!config.server.auth.anonymous);
    assert_eq!((config.server.drain.delay_ms, config.server.drain.timeout_ms), (5000, 30_000));
    assert_eq!(config.tenants["web"].scopes, [Scope::Infer, Scope::Admin]);
    assert_eq!(Config::parse(&config.to_toml(), Path::new("wisp.toml")).expect("was printed"), config);
}

#[test]
fn mistakes_in_who_may_connect_are_located_and_explained() {
    let tls = "[server.tls]\ncert = \"a\"\nkey = \"b\"\n";
    for (text, message) in [
        (
            format!("{tls}client_certificates = \"optional\""),
            "etc/wisp.toml:4:23: client_certificates needs client_ca, the file with the authorities that issue them",
        ),
        (
            format!("{tls}[tenants.web]\nsans = [\"a\"]"),
            "etc/wisp.toml:5:9: sans are names in clients' certificates; set client_ca under [server.tls]",
        ),
        (
            format!("{tls}client_ca = \"c\"\n[tenants.a]\nsans = [\"x\"]\n[tenants.b]\nsans = [\"x\"]"),
            "etc/wisp.toml:8:9: `x` is a name of tenant `a` already",
        ),
        (
            "[server.drain]\ntimeout_ms = 86400001".to_owned(),
            "etc/wisp.toml:1:1: server.drain.timeout_ms is 86400001; it can be 0 to 86400000",
        ),
        (
            "[server]\ngprc = \"127.0.0.1:1\"".to_owned(),
            "etc/wisp.toml:2:1: unknown field `gprc`, expected one of `grpc`, `http`, `admin`, `tls`, `auth`, `drain`, \
             `cors_origins`, `bare_models`, `limits`; did you mean `grpc`?",
        ),
    ] {
        assert_eq!(parse(&text).expect_err(&text).to_string(), message, "{text}");
    }
}

#[test]
fn telemetry_is_bounded_printed_and_read_back() {
    let text = r#"
        [telemetry]
        otlp = "https://collector:4317"
        ca_file = "ca.pem"
        sample_ratio = 0.1
        service_name = "edge"
        resource = { "deployment.environment.name" = "production" }
    "#;
    let config = parse(text).expect("valid");
    assert_eq!(config.telemetry.ca_file.as_deref(), Some(Path::new("etc/ca.pem")));
    assert_eq!((config.telemetry.sample_ratio, config.telemetry.service_name.as_str()), (0.1, "edge"));
    let printed = config.to_toml().replace("etc/", "");
    assert_eq!(parse(&printed).expect("valid"), config);
    for (table, expected) in [
        ("otlp = \"collector:4317\"", "telemetry.otlp `collector:4317` has no http:// or https://"),
        ("otlp = \"https://c:4317\"", "name its certificates with telemetry.ca_file"),
        ("sample_ratio = 1.5", "telemetry.sample_ratio is 1.5; it can be 0 to 1"),
        ("queued_spans = 0", "telemetry.queued_spans is 0; it can be 512 to 1000000"),
        ("service_name = \"\"", "telemetry.service_name must have 1 to 256 characters"),
        ("resource = { \"service.name\" = \"x\" }", "write it as telemetry.service_name"),
        ("sampling = 1", "unknown field `sampling`"),
    ] {
        let error = parse(&format!("[telemetry]\n{table}\n")).expect_err(table);
        assert!(error.starts_with("etc/wisp.toml:") && error.contains(expected), "{error}");
    }
}
