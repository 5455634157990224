//! Nodes of several distributions in folders: installed, changed, broken, rolled back, and taken off again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wisp_node::bundle::Bundle;
use wisp_node::containerd::{Form, Place};
use wisp_node::{Daemon, Installed, Node, NodeError, install, status, uninstall};

/// The root of a node in a folder, and what its containerd would do.
struct Fake {
    folder: tempfile::TempDir,
    /// Units that were restarted.
    restarts: RefCell<Vec<String>>,
    /// How many restarts fail from now on.
    failing_restarts: Cell<usize>,
    /// Why containerd takes no configuration.
    refusal: RefCell<Option<&'static str>>,
}

impl Daemon for Fake {
    fn check(&self, config: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(config).map_err(|error| error.to_string())?;
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
        self.refusal.borrow().map_or(Ok(()), |reason| Err(reason.to_owned()))
    }

    fn restart(&self, place: &Place) -> Result<(), String> {
        self.restarts.borrow_mut().push(place.unit.to_owned());
        match self.failing_restarts.get() {
            0 => Ok(()),
            left => {
                self.failing_restarts.set(left - 1);
                Err("the CRI plugin did not load".to_owned())
            }
        }
    }
}

impl Fake {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("below the root")).expect("created");
            std::fs::write(path, text).expect("written");
        }
        let (restarts, failing_restarts, refusal) = Default::default();
        Self { folder, restarts, failing_restarts, refusal }
    }

    fn node(&self) -> Node {
        Node::at(self.folder.path())
    }

    fn install(&self, version: &str) -> Result<Installed, NodeError> {
        let (_folder, bundle) = bundle(version, "engine");
        install(&self.node(), &bundle, None, None, self)
    }

    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join(path)).ok()
    }

    fn restarts(&self) -> usize {
        self.restarts.borrow().len()
    }

    /// Every file and link of the node with its content, for comparison.
    fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).expect("readable").flatten() {
                let (path, kind) = (entry.path(), entry.file_type().expect("known"));
                if kind.is_dir() {
                    walk(&path, found);
                } else if kind.is_symlink() {
                    let target = std::fs::read_link(&path).expect("a link");
                    found.insert(path, target.into_os_string().into_encoded_bytes());
                } else {
                    let content = std::fs::read(&path).expect("readable");
                    found.insert(path, content);
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(self.folder.path(), &mut found);
        found
    }
}

/// A bundle as `cargo xtask bundle` lays it out, small.
fn bundle(version: &str, engine: &str) -> (tempfile::TempDir, Bundle) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (path, text, mode) in [
        ("bin/containerd-shim-wisp-v1", "shim", "755"),
        ("bin/wisp", engine, "755"),
        ("lib/libc.so.6", "library", "755"),
        ("share/licenses/LICENSE", "licence", "644"),
    ] {
        let at = folder.path().join(path);
        std::fs::create_dir_all(at.parent().expect("in a folder")).expect("created");
        std::fs::write(&at, text).expect("written");
        let sha256: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        files.push(serde_json::json!({ "path": path, "bytes": text.len(), "sha256": sha256, "mode": mode }));
    }
    std::os::unix::fs::symlink("libc.so.6", folder.path().join("lib/libc.so")).expect("a link");
    files.push(serde_json::json!({ "path": "lib/libc.so", "link": "libc.so.6" }));
    files.push(serde_json::json!({ "path": "node", "folder": true }));
    let digest = format!("sha256:{version}-{engine}");
    let manifest = serde_json::json!({ "version": version, "digest": digest, "files": files });
    std::fs::write(folder.path().join("bundle.json"), manifest.to_string()).expect("written");
    let bundle = Bundle::open(folder.path()).expect("is one");
    (folder, bundle)
}

const CONFIG: &str = "etc/containerd/config.toml";
const DEBIAN: &str = include_str!("nodes/debian.toml");
const KUBEADM: &str = include_str!("nodes/kubeadm.toml");
const GKE: &str = include_str!("nodes/gke.toml");
const CONTAINERD_2: &str = include_str!("nodes/containerd2.toml");

#[test]
fn every_distribution_gets_the_handler_where_it_reads_it_and_loses_it_without_a_trace() {
    let k3s = "var/lib/rancher/k3s/agent/etc/containerd";
    let (k3s_config, k3s_old, k3s_new) =
        (format!("{k3s}/config.toml"), format!("{k3s}/config.toml.tmpl"), format!("{k3s}/config-v3.toml.tmpl"));
    let own_template = "{{ template \"base\" . }}\n[plugins.\"x\"]\n";
    for (files, file, version, unit, systemd) in [
        (vec![(CONFIG, DEBIAN)], CONFIG, 2, "containerd", false),
        (vec![(CONFIG, KUBEADM)], CONFIG, 2, "containerd", true),
        (vec![(CONFIG, GKE)], CONFIG, 2, "containerd", false),
        (vec![(CONFIG, CONTAINERD_2)], "etc/containerd/conf.d/wisp.toml", 3, "containerd", true),
        (vec![(&*k3s_config, KUBEADM)], &*k3s_old, 2, "k3s-agent", true),
        (
            vec![(&*k3s_config, CONTAINERD_2), (&*k3s_new, own_template), ("etc/systemd/system/k3s.service", "")],
            &*k3s_new,
            3,
            "k3s",
            true,
        ),
        (vec![("etc/k0s/containerd.d/readme", "")], "etc/k0s/containerd.d/wisp.toml", 2, "k0sworker", false),
        (
            vec![("var/snap/microk8s/current/args/containerd-template.toml", GKE)],
            "var/snap/microk8s/current/args/containerd-template.toml",
            2,
            "snap.microk8s.daemon-containerd",
            false,
        ),
    ] {
        let fake = Fake::with(&files);
        let before = fake.snapshot();
        let installed = fake.install("0.1.0").unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(installed.place.file, Path::new("/").join(file));
        assert_eq!(
            (installed.place.version, &**fake.restarts.borrow().last().expect("one")),
            (version, unit),
            "{file}"
        );
        let text = fake.text(file).expect("was written");
        let plugin = if version == 3 { "io.containerd.cri.v1.runtime" } else { "io.containerd.grpc.v1.cri" };
        assert!(text.contains(&format!("[plugins.\"{plugin}\".containerd.runtimes.wisp]")), "{text}");
        assert!(text.contains(&format!("SystemdCgroup = {systemd}\n  ConfigPath")), "{text}");
        assert_eq!(status(&fake.node(), None).expect("can be read").problem, None, "{file}");

        // Debian's names no handler; the default one would be gone with ours.
        let (_, ours) = text.split_once("# BEGIN wisp").expect("is marked");
        assert_eq!(ours.contains("containerd.runtimes.runc]"), files[0].1 == DEBIAN, "{text}");

        let again = fake.install("0.1.0").expect("is there already");
        assert_eq!((again.has_copied, again.has_restarted, fake.restarts()), (false, false, 1), "{file}");
        let removed = uninstall(&fake.node(), None, &fake).expect("can be taken off");
        assert_eq!((&removed.versions[..], removed.has_restarted), (&["0.1.0".to_owned()][..], true), "{file}");
        assert_eq!(fake.snapshot(), before, "{file}");
    }
}

#[test]
fn an_upgrade_changes_a_link_and_no_running_containerd() {
    let fake = Fake::with(&[(CONFIG, DEBIAN)]);
    fake.install("0.1.0").expect("is new");
    let newer = fake.install("0.2.0").expect("is newer");
    assert_eq!((newer.former.as_deref(), newer.has_copied, newer.has_restarted), (Some("0.1.0"), true, false));
    let found = status(&fake.node(), None).expect("can be read");
    assert_eq!(
        (found.versions, found.current.as_deref()),
        (vec!["0.1.0".to_owned(), "0.2.0".to_owned()], Some("0.2.0"))
    );
    // And back: pods of the newer one go on.
    let older = fake.install("0.1.0").expect("is there");
    assert_eq!((older.former.as_deref(), older.has_copied, fake.restarts()), (Some("0.2.0"), false, 1));
    let shim = fake.folder.path().join("opt/wisp/current/bin/containerd-shim-wisp-v1");
    assert_eq!(std::fs::read_to_string(shim).expect("behind the link"), "shim");
}

#[test]
fn what_containerd_refuses_is_never_in_place() {
    let fake = Fake::with(&[(CONFIG, KUBEADM)]);
    *fake.refusal.borrow_mut() = Some("invalid plugin config");
    let error = fake.install("0.1.0").expect_err("is refused").to_string();
    assert!(error.contains("invalid plugin config") && error.contains("not put in place"), "{error}");
    assert_eq!((fake.text(CONFIG).as_deref(), fake.restarts()), (Some(KUBEADM), 0));
    assert_eq!(status(&fake.node(), None).expect("can be read").current, None);
}

#[test]
fn a_containerd_that_does_not_come_up_gets_its_former_configuration_back() {
    for (files, failing, said) in [
        (vec![(CONFIG, KUBEADM)], 1, "and containerd runs with it"),
        (vec![(CONFIG, KUBEADM)], 2, "but containerd does not run"),
        (vec![("etc/k0s/containerd.d/readme", "")], 1, "and containerd runs with it"),
    ] {
        let fake = Fake::with(&files);
        fake.failing_restarts.set(failing);
        let error = fake.install("0.1.0").expect_err("does not come up");
        assert!(matches!(error, NodeError::RolledBack { .. }), "{error}");
        assert!(error.to_string().contains(said) && error.to_string().contains("CRI plugin"), "{error}");
        assert_eq!(
            (fake.text(CONFIG).as_deref(), fake.restarts()),
            (files[0].1.starts_with("dis").then_some(KUBEADM), 2)
        );
        assert!(fake.text("etc/k0s/containerd.d/wisp.toml").is_none());
        let found = status(&fake.node(), None).expect("can be read");
        assert_eq!((found.current, found.is_configured), (None, false));
    }
}

#[test]
fn what_cannot_be_taken_out_stays_with_all_of_it() {
    for files in [vec![(CONFIG, KUBEADM)], vec![("etc/k0s/containerd.d/readme", "")]] {
        let fake = Fake::with(&files);
        fake.install("0.1.0").expect("is new");
        let before = fake.snapshot();
        fake.failing_restarts.set(1);
        let error = uninstall(&fake.node(), None, &fake).expect_err("does not come up").to_string();
        assert!(error.contains("and containerd runs with it"), "{error}");
        let mut after = fake.snapshot();
        after.retain(|path, _| !path.ends_with("containerd-config.before"));
        assert!(after.iter().all(|(path, content)| before.get(path) == Some(content)), "nothing else changed");
        assert_eq!(status(&fake.node(), None).expect("can be read").problem, None);
        uninstall(&fake.node(), None, &fake).expect("comes up");
    }
}

#[test]
fn an_interrupted_installation_is_finished_by_the_next() {
    let fake =
        Fake::with(&[(CONFIG, DEBIAN), ("opt/wisp/.partial-0.1.0/bin/wisp", "ha"), ("opt/wisp/0.0.9/bin/wisp", "x")]);
    let found = status(&fake.node(), None).expect("can be read");
    assert!(found.versions.is_empty(), "half a version is none: {found:?}");
    fake.install("0.1.0").expect("goes on");
    assert_eq!(fake.text("opt/wisp/0.1.0/bin/wisp").as_deref(), Some("engine"));
    let left: Vec<_> = std::fs::read_dir(fake.folder.path().join("opt/wisp")).expect("readable").flatten().collect();
    let names: Vec<_> = left.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.starts_with(".partial") || name == "0.0.9"), "{names:?}");
}

#[test]
fn another_content_under_the_same_version_is_refused_and_so_is_a_broken_bundle() {
    let fake = Fake::with(&[(CONFIG, DEBIAN)]);
    fake.install("0.1.0").expect("is new");
    let (_folder, other) = bundle("0.1.0", "another engine");
    let error = install(&fake.node(), &other, None, None, &fake).expect_err("differs");
    assert!(matches!(error, NodeError::OtherContent { .. }), "{error}");

    let (folder, broken) = bundle("0.3.0", "engine");
    std::fs::write(folder.path().join("bin/wisp"), "changed").expect("written");
    let error = install(&fake.node(), &broken, None, None, &fake).expect_err("has another digest").to_string();
    assert!(error.contains("bin/wisp has the digest"), "{error}");
    assert_eq!(status(&fake.node(), None).expect("can be read").current.as_deref(), Some("0.1.0"));

    for (manifest, said) in [
        ("{", "malformed"),
        (r#"{"version": "../1", "digest": "d", "files": []}"#, "no version that a folder"),
        (r#"{"version": "1", "digest": "d", "files": [{"path": "../x", "folder": true}]}"#, "leads out of it"),
        (r#"{"version": "1", "digest": "d", "files": []}"#, "lacks bin/containerd-shim-wisp-v1"),
    ] {
        std::fs::write(folder.path().join("bundle.json"), manifest).expect("written");
        let error = Bundle::open(folder.path()).expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_cannot_be_changed_says_what_to_do() {
    for (files, said) in [
        (vec![], "no containerd was found"),
        (vec![(CONFIG, "root = \"/var\"\n")], "containerd config migrate"),
        (vec![(CONFIG, "version = 4\n")], "`version = 4` is not known"),
        (vec![(CONFIG, "version = \n")], "it is no TOML"),
        (vec![(CONFIG, include_str!("nodes/docker.toml"))], "`disabled_plugins` names `cri`"),
        (
            vec![("etc/os-release", "NAME=Talos\nID=talos\n"), (CONFIG, DEBIAN)],
            "Talos does not let its files be changed",
        ),
        (vec![("etc/os-release", "ID=bottlerocket\n")], "mode container"),
    ] {
        let fake = Fake::with(&files);
        let before = fake.snapshot();
        let error = fake.install("0.1.0").expect_err(said).to_string();
        assert!(error.contains(said), "{error}");
        assert_eq!((fake.snapshot(), fake.restarts()), (before, 0), "{said}");
        let found = status(&fake.node(), None).expect("can be read");
        assert!(found.problem.is_some_and(|problem| problem.contains(said)), "{said}");
    }
}

#[test]
fn a_configuration_elsewhere_can_be_named() {
    let fake = Fake::with(&[("srv/containerd.toml", GKE)]);
    let (_folder, bundle) = bundle("0.1.0", "engine");
    let named = Some(Path::new("/srv/containerd.toml"));
    let installed = install(&fake.node(), &bundle, named, Some(true), &fake).expect("is named");
    assert_eq!((installed.place.form, installed.place.file), (Form::InPlace, PathBuf::from("/srv/containerd.toml")));
    let text = fake.text("srv/containerd.toml").expect("is there");
    assert!(text.starts_with(GKE) && text.contains("SystemdCgroup = true\n  ConfigPath"), "{text}");
    uninstall(&fake.node(), named, &fake).expect("can be taken off");
    assert_eq!(fake.text("srv/containerd.toml").as_deref(), Some(GKE));
}
