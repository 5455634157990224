//! The charts: what helm renders of them is valid, the same each time, and what `wisp` reads.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use wisp_testing::{HELM, KUBERNETES};

use crate::support;

/// The version that is rendered for: helm built from source believes in an old one.
const KUBERNETES_VERSION: &str = "1.34.0";

/// Set to 1, a test writes what is rendered in place of what it expects.
const UPDATE_VARIABLE: &str = "WISP_UPDATE_GOLDEN";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// Helm, with its files in a folder of their own.
struct Helm {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Helm {
    fn get(test: &str) -> Option<Self> {
        Some(Self { program: HELM.get(test)?, home: tempfile::tempdir().expect("a folder") })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut helm = Command::new(&self.program);
        helm.args(arguments).current_dir(repository().join("charts")).stdin(Stdio::null());
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(variable, self.home.path());
        }
        helm.output().expect("helm starts")
    }

    /// What is rendered of a chart with these values, as a release `demo` in the namespace `inference`.
    fn render(&self, chart: &str, values: &Path) -> String {
        let values = values.display().to_string();
        let version = ["--kube-version", KUBERNETES_VERSION];
        let output = self.run(
            &[&["template", "demo", chart, "--namespace", "inference", "--values", &values], &version[..]].concat(),
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Why a chart refuses these values.
    fn refusal(&self, chart: &str, values: &str) -> String {
        let file = self.home.path().join("values.yaml");
        std::fs::write(&file, values).expect("written");
        let file = file.display().to_string();
        let output = self.run(&["template", "demo", chart, "--values", &file, "--kube-version", KUBERNETES_VERSION]);
        assert!(!output.status.success(), "{values} is taken");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// Chart and values of every rendering that is looked at, and the objects whose pods need more than "restricted" allows.
fn renderings() -> Vec<(&'static str, PathBuf, &'static str)> {
    let values = |chart: &str, name: &str| repository().join("charts/ci").join(chart).join(format!("{name}.yaml"));
    vec![
        ("wisp", values("wisp", "minimal"), ""),
        // A model in a folder of the node.
        ("wisp", values("wisp", "full"), "demo-wisp-npu"),
        ("wisp", values("wisp", "dashboard"), ""),
        // Whoever changes the node's own files is the node's root.
        ("wisp-node", values("wisp-node", "full"), "demo-wisp-node"),
    ]
}

#[test]
fn charts_pass_helms_own_check() {
    let Some(helm) = Helm::get("charts_pass_helms_own_check") else { return };
    for (chart, values, _) in renderings() {
        let output = helm.run(&["lint", "--strict", chart, "--values", &values.display().to_string()]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("0 chart(s) failed"), "{told}");
    }
}

#[test]
fn what_is_rendered_is_as_expected_and_the_same_each_time() {
    let Some(helm) = Helm::get("what_is_rendered_is_as_expected_and_the_same_each_time") else { return };
    for (chart, values, _) in renderings() {
        let rendered = helm.render(chart, &values);
        assert_eq!(helm.render(chart, &values), rendered, "a second rendering differs");
        if values.ends_with("dashboard.yaml") {
            continue;
        }
        let golden = values.with_extension("rendered.yaml");
        if std::env::var(UPDATE_VARIABLE).is_ok_and(|value| value == "1") {
            std::fs::write(&golden, &rendered).expect("written");
        }
        let expected = std::fs::read_to_string(&golden).expect("a committed rendering");
        let place = rendered.lines().zip(expected.lines()).position(|(new, old)| new != old);
        assert!(
            rendered == expected,
            "{} differs from line {}; if it should, set {UPDATE_VARIABLE}=1 and look at the difference",
            golden.display(),
            place.map_or(expected.lines().count(), |place| place) + 1
        );
    }
}

#[test]
fn what_is_rendered_holds_to_the_schemas_and_pods_are_restricted() {
    let test = "what_is_rendered_holds_to_the_schemas_and_pods_are_restricted";
    let Some(helm) = Helm::get(test) else { return };
    let validate = repository().join("charts/ci/validate.py");
    for (chart, values, unrestricted) in renderings() {
        let Some(mut python) = KUBERNETES.python(test) else { return };
        python.arg(&validate).arg("--unrestricted").arg(unrestricted);
        let (worked, told) = fed(&mut python, &helm.render(chart, &values));
        assert!(worked, "{chart} with {}: {told}", values.display());
    }
}

#[test]
fn every_example_holds_to_the_schemas_and_its_pods_are_restricted() {
    let test = "every_example_holds_to_the_schemas_and_its_pods_are_restricted";
    let mut looked_at = 0;
    for entry in std::fs::read_dir(repository().join("examples/kubernetes")).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let Some(mut python) = KUBERNETES.python(test) else { return };
        let text = std::fs::read_to_string(&path).expect("readable");
        let (worked, told) = fed(python.arg(repository().join("charts/ci/validate.py")), &text);
        assert!(worked, "{}: {told}", path.display());
        looked_at += 1;
    }
    assert_eq!(looked_at, 8);
}

#[test]
fn a_misspelt_field_of_kubernetes_would_be_found() {
    let test = "a_misspelt_field_of_kubernetes_would_be_found";
    let (Some(helm), Some(mut python)) = (Helm::get(test), KUBERNETES.python(test)) else { return };
    let (chart, values, _) = &renderings()[0];
    let rendered = helm.render(chart, values);
    let misspelt = rendered.replace("readOnlyRootFilesystem", "readonlyRootFilesystem").replace("drop:", "add:");
    assert_ne!(misspelt, rendered);
    let (worked, told) = fed(python.arg(repository().join("charts/ci/validate.py")), &misspelt);
    assert!(!worked && told.contains("readonlyRootFilesystem") && told.contains("keeps capabilities"), "{told}");
}

#[test]
fn every_configuration_that_is_rendered_can_be_read() {
    let Some(helm) = Helm::get("every_configuration_that_is_rendered_can_be_read") else { return };
    // What is mounted in a pod lies here: the model that is built in, a certificate, a token.
    let mounted = helm.home.path().join("etc");
    for (name, text) in mounts() {
        let file = mounted.join(name);
        std::fs::create_dir_all(file.parent().expect("in a folder")).expect("created");
        std::fs::write(file, text).expect("written");
    }
    let mut read = 0;
    for (chart, values, _) in renderings() {
        for text in configurations(&helm.render(chart, &values)) {
            let text = text.replace("\"/models/", "\"").replace("/etc/wisp", &mounted.display().to_string());
            let file = helm.home.path().join("wisp.toml");
            std::fs::write(&file, &text).expect("written");
            let output = support::wisp().args(["config", "check"]).arg(&file).output().expect("it starts");
            assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
            read += 1;
        }
    }
    assert_eq!(read, 7, "one a module");
}

#[test]
fn wrong_values_are_refused_by_their_name() {
    let Some(helm) = Helm::get("wrong_values_are_refused_by_their_name") else { return };
    for (values, said) in [
        ("module: {}", "module"),
        ("modules: { a: { imag: x } }", "imag"),
        ("modules: { A: {} }", "A"),
        ("modules: { a: { image: x, replicas: two } }", "replicas"),
        ("modules: { a: { image: x, mode: pod } }", "mode"),
        ("modules: { a: { image: x, autoscaling: { kind: vpa } } }", "autoscaling/kind"),
        ("modules: { a: { image: x, models: { m: { hostPath: models } } } }", "hostPath"),
        ("modules: { a: { models: { m: { claim: x } } } }", "modules.a.image is missing"),
        ("modules: { a: { image: x } }", "modules.a.models is empty"),
        (
            "modules: { a: { image: x, models: { m: {} } } }",
            "modules.a.models.m must have one of image, claim and hostPath",
        ),
        ("modules: { a: { image: x, models: { m: { claim: x, image: z } } } }", "it has 2"),
        ("modules: { a: { mode: container, models: { m: { claim: x } } } }", "engine.image is missing"),
        (
            "{ engine: { image: x }, modules: { a: { mode: container, models: { m: { claim: x } } } } }",
            "modules.a.config.deployments is missing",
        ),
        (
            "modules: { a: { image: x, models: { m: { claim: x } }, tls: { certManager: { issuerRef: { name: i } } } } }",
            "modules.a.tls.secretName is missing",
        ),
    ] {
        let refusal = helm.refusal("wisp", values);
        assert!(refusal.contains(said), "{values}: {refusal}");
    }
    for (values, said) in [
        ("imag: x", "imag"),
        ("{}", "image is missing"),
        ("{ image: x, installer: { systemdCgroup: maybe } }", "systemdCgroup"),
        ("{ image: x, runtimeClass: { name: Wisp } }", "runtimeClass"),
    ] {
        let refusal = helm.refusal("wisp-node", values);
        assert!(refusal.contains(said), "{values}: {refusal}");
    }
}

/// Whether a program that is fed this ended well, and what it printed.
fn fed(command: &mut Command, input: &str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), input).expect("written");
    let output = command.stdin(file.reopen().expect("is there")).output().expect("it starts");
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

/// Names and texts of what secrets put into a pod.
fn mounts() -> [(&'static str, String); 4] {
    let issued = rcgen::generate_simple_self_signed(["embedder.example".to_owned()]).expect("a certificate");
    let certificate = issued.cert.pem();
    [
        ("tls/tls.crt", certificate.clone()),
        ("tls/ca.crt", certificate),
        ("tls/tls.key", issued.signing_key.serialize_pem()),
        ("tenants/search/token", "a-token-of-more-than-thirty-two-characters".to_owned()),
    ]
}

/// The texts of every `wisp.toml` in a rendering.
fn configurations(rendered: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut lines = rendered.lines();
    while let Some(line) = lines.next() {
        if line == "  wisp.toml: |" {
            let text = lines.by_ref().take_while(|line| line.starts_with("    ") || line.trim().is_empty());
            texts.push(text.map(|line| line.get(4..).unwrap_or_default()).collect::<Vec<_>>().join("\n"));
        }
    }
    texts
}
