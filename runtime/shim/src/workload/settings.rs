//! The engine's configuration for one container: from a mounted file and from the pod's annotations, never from image or environment.

use std::io::Read;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};
use toml::{Table, Value};

use crate::error::{Attempt, Error, Result};

/// Where a pod mounts a configuration file.
const MOUNTED: &str = "/etc/wisp/wisp.toml";
/// Annotations that are ours: `wisp.dev/config` holds a whole file, `wisp.dev/<dotted.key>` one value.
const PREFIX: &str = "wisp.dev/";
const WHOLE: &str = "config";
/// Bytes that a configuration file may have; a ConfigMap has at most 1 MiB.
const LIMIT_BYTES: u64 = 1 << 20;

/// What the pod sets.
pub(crate) struct Settings(Table);

impl Settings {
    /// As the text of a configuration file; empty where the pod says nothing.
    pub(crate) fn to_toml(&self) -> Result<String> {
        toml::to_string(&self.0)
            .map_err(|error| Error::Setting { place: "the pod's settings".into(), reason: error.to_string() })
    }

    /// The most memory that a deployment gives its instances, which machine code depends on; `None` where none says.
    pub(crate) fn guest_memory_bytes(&self) -> Option<u64> {
        let deployments = self.0.get("deployments")?.as_table()?;
        let limit = |deployment: &Value| deployment.get("limits")?.get("memory_bytes")?.as_integer();
        deployments.values().filter_map(limit).filter_map(|bytes| u64::try_from(bytes).ok()).max()
    }
}

/// The configuration of the pod: the mounted file, over it `wisp.dev/config`, over both the single keys.
pub(crate) fn settings(spec: &Spec) -> Result<Settings> {
    let mut settings = match mounted_file(spec.mounts().as_deref().unwrap_or_default()) {
        Some(path) => parse(&read(&path)?, MOUNTED)?,
        None => Table::new(),
    };
    let annotations = spec.annotations().clone().unwrap_or_default();
    let mut ours: Vec<(&str, &String)> =
        annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value))).collect();
    // The whole comes first, then single keys in a fixed order, so that equal annotations make equal settings.
    ours.sort_by_key(|&(key, _)| (key != WHOLE, key));
    for (key, value) in ours {
        let place = format!("annotation `{PREFIX}{key}`");
        if key == WHOLE {
            merge(&mut settings, parse(value, &place)?);
        } else {
            set(&mut settings, key, scalar(value), &place)?;
        }
    }
    Ok(Settings(settings))
}

/// The file on the node that is mounted as the configuration. A file that merely lies in the image is not one.
fn mounted_file(mounts: &[Mount]) -> Option<PathBuf> {
    let wanted = Path::new(MOUNTED);
    // The last of several mounts at one place is the one that is seen.
    mounts.iter().rev().find_map(|mount| {
        let source = mount.source().as_ref()?;
        let rest = wanted.strip_prefix(mount.destination()).ok()?;
        if mount.destination() == Path::new("/") {
            return None;
        }
        Some(if rest.as_os_str().is_empty() { source.clone() } else { source.join(rest) })
    })
}

fn read(path: &Path) -> Result<String> {
    let file = std::fs::File::open(path)
        .attempt(|| format!("open the mounted configuration {MOUNTED} ({})", path.display()))?;
    let mut text = String::new();
    file.take(LIMIT_BYTES + 1)
        .read_to_string(&mut text)
        .attempt(|| format!("read the mounted configuration {MOUNTED}"))?;
    if text.len() as u64 > LIMIT_BYTES {
        return Err(Error::Setting { place: MOUNTED.into(), reason: format!("more than {LIMIT_BYTES} bytes") });
    }
    Ok(text)
}

fn parse(text: &str, place: &str) -> Result<Table> {
    text.parse().map_err(|error: toml::de::Error| Error::Setting { place: place.to_owned(), reason: error.to_string() })
}

/// A value is TOML where it parses as such (`8`, `true`, `["a"]`), otherwise it is text, so that paths need no quotes.
fn scalar(text: &str) -> Value {
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn set(settings: &mut Table, dotted: &str, value: Value, place: &str) -> Result<()> {
    let mut table = settings;
    let (path, last) = dotted.rsplit_once('.').map_or((None, dotted), |(path, last)| (Some(path), last));
    for part in path.into_iter().flat_map(|path| path.split('.')) {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        let reason = format!("`{part}` is a value already and cannot hold more keys");
        table = entry.as_table_mut().ok_or(Error::Setting { place: place.to_owned(), reason })?;
    }
    if dotted.split('.').any(str::is_empty) {
        return Err(Error::Setting {
            place: place.to_owned(),
            reason: "is no dotted key of wisp.toml, such as `server.grpc`".into(),
        });
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use oci_spec::runtime::{MountBuilder, SpecBuilder};

    use super::*;

    fn spec(annotations: &[(&str, &str)], mounts: Vec<Mount>) -> Spec {
        let annotations: HashMap<String, String> =
            annotations.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        SpecBuilder::default().annotations(annotations).mounts(mounts).build().expect("a specification")
    }

    fn mount(source: &Path, destination: &str) -> Mount {
        MountBuilder::default().source(source).destination(destination).build().expect("a mount")
    }

    fn table(spec: &Spec) -> Table {
        settings(spec).and_then(|settings| settings.to_toml()).expect("valid settings").parse().expect("TOML")
    }

    #[test]
    fn single_keys_lie_over_the_whole_and_that_over_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("wisp.toml"), "[server]\ngrpc = \"a\"\nadmin = \"a\"\nlimit = 1")
            .expect("the folder is ours");
        let annotations = [
            ("wisp.dev/server.grpc", "127.0.0.1:1"),
            ("wisp.dev/config", "[server]\ngrpc = \"b\"\nadmin = \"b\""),
            ("wisp.dev/models.all-minilm-l6-v2.source", "/models/m"),
            ("wisp.dev/models.all-minilm-l6-v2.sessions", "2"),
            ("wisp.dev/models.all-minilm-l6-v2.placement", r#"["ort:cpu"]"#),
            ("other.dev/server.grpc", "c"),
        ];
        let settings = table(&spec(&annotations, vec![mount(folder.path(), "/etc/wisp")]));
        let expected = "[server]\ngrpc = \"127.0.0.1:1\"\nadmin = \"b\"\nlimit = 1\n\
                        [models.all-minilm-l6-v2]\nsource = \"/models/m\"\nsessions = 2\nplacement = [\"ort:cpu\"]";
        assert_eq!(settings, expected.parse::<Table>().expect("TOML"));
    }

    #[test]
    fn only_a_mount_makes_a_file_count() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("x");
        std::fs::write(&file, "[server]\ngrpc = \"a\"").expect("the folder is ours");
        assert!(table(&spec(&[], vec![])).is_empty());
        assert!(table(&spec(&[], vec![mount(folder.path(), "/")])).is_empty(), "the root is the image");
        assert!(!table(&spec(&[], vec![mount(&file, MOUNTED)])).is_empty());
        let error = settings(&spec(&[], vec![mount(folder.path(), "/etc/wisp")]))
            .map(|_| ())
            .expect_err("no such file there")
            .to_string();
        assert!(error.contains(MOUNTED), "{error}");
    }

    #[test]
    fn machine_code_is_made_for_the_largest_deployment() {
        let limits = [
            ("wisp.dev/deployments.a.limits.memory_bytes", "5"),
            ("wisp.dev/deployments.b.limits", "{memory_bytes = 7}"),
        ];
        assert_eq!(settings(&spec(&limits, vec![])).expect("valid settings").guest_memory_bytes(), Some(7));
        assert_eq!(settings(&spec(&[], vec![])).expect("valid settings").guest_memory_bytes(), None);
    }

    #[test]
    fn a_bad_annotation_is_named() {
        for (annotations, reason) in [
            (vec![("wisp.dev/config", "[server")], "annotation `wisp.dev/config`"),
            (vec![("wisp.dev/server", "x"), ("wisp.dev/server.grpc", "y")], "annotation `wisp.dev/server.grpc`"),
            (vec![("wisp.dev/server..grpc", "y")], "annotation `wisp.dev/server..grpc`"),
            (vec![("wisp.dev/", "y")], "annotation `wisp.dev/`"),
        ] {
            let error = settings(&spec(&annotations, vec![])).map(|_| ()).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
