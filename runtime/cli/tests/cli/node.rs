//! `wisp node install`, `status` and `uninstall`, on a node in a folder.

use std::path::Path;
use std::process::Output;

use crate::support;

const CONFIG: &str = "version = 2\n[grpc]\n  address = \"/run/containerd/containerd.sock\"\n";

/// A node with containerd's configuration, and a bundle for it.
struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("in a folder")).expect("created");
            std::fs::write(path, text).expect("written");
        };
        write("root/etc/containerd/config.toml", CONFIG);
        write("bundle/bin/containerd-shim-wisp-v1", "");
        // The digest of nothing.
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let shim =
            format!(r#"{{"path": "bin/containerd-shim-wisp-v1", "bytes": 0, "sha256": "{sha256}", "mode": "755"}}"#);
        write("bundle/bundle.json", &format!(r#"{{"version": "7.0.0", "digest": "sha256:x", "files": [{shim}]}}"#));
        Self { folder }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let mut wisp = support::wisp();
        wisp.args(["node", command, "--root"]).arg(self.path("root")).args(arguments);
        if command == "install" {
            wisp.arg("--bundle").arg(self.path("bundle"));
        }
        wisp.output().expect("it starts")
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.path("root/etc/containerd/config.toml")).expect("is there")
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn a_node_is_installed_looked_at_and_left_as_it_was() {
    let node = Node::new();
    let before = node.run("status", &[]);
    assert!(!before.status.success() && told(&before).contains("`wisp node install` does it"), "{}", told(&before));

    let installed = node.run("install", &["--restart", "none"]);
    assert!(installed.status.success() && told(&installed).contains("must be restarted"), "{}", told(&installed));
    assert!(
        node.config().starts_with(CONFIG) && node.config().contains("containerd.runtimes.wisp]"),
        "{}",
        node.config()
    );
    assert!(Path::new(&node.path("root/opt/wisp/current/bin/containerd-shim-wisp-v1")).exists());
    let status = node.run("status", &["--format", "json"]);
    let shown: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert!(status.status.success(), "{}", told(&status));
    assert_eq!((&shown["current"], &shown["is_configured"]), (&"7.0.0".into(), &true.into()), "{shown}");

    let again = node.run("install", &["--restart", "exit 1"]);
    assert!(again.status.success() && told(&again).contains("knew of it already"), "{}", told(&again));
    let removed = node.run("uninstall", &["--restart", "none"]);
    assert!(removed.status.success() && told(&removed).contains("removed: 7.0.0"), "{}", told(&removed));
    assert_eq!(node.config(), CONFIG);
    assert!(!node.path("root/opt/wisp").exists());
}

#[test]
fn a_containerd_that_cannot_be_restarted_keeps_its_configuration() {
    let node = Node::new();
    let output = node.run("install", &["--restart", "echo {unit} is masked >&2; exit 1"]);
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(told.contains("containerd is masked") && told.contains("the former one is in place again"), "{told}");
    assert_eq!(node.config(), CONFIG);
}

#[test]
fn a_node_outside_of_a_cluster_cannot_be_labelled() {
    let node = Node::new();
    let output = node.run("install", &["--restart", "none", "--node-name", "worker-1"]);
    let told = told(&output);
    assert!(!output.status.success() && told.contains("label the node yourself"), "{told}");
}
