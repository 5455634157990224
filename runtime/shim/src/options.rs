//! The runtime options of containerd's configuration: `[plugins…runtimes.wisp.options]`.

use std::path::PathBuf;

use containerd_shim::protos::protobuf::well_known_types::any::Any;
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::error::{Attempt, Error, Result};

/// What a node's administrator sets for all containers of the runtime.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Options {
    /// Cgroups are made by systemd (over D-Bus) and not in the file system.
    pub(crate) systemd_cgroup: bool,
    /// The node's cache of machine code and proofs; root's, made if need be.
    pub(crate) node_cache: PathBuf,
    /// How long making one container may take, compiling its module included.
    pub(crate) create_timeout_s: u64,
    /// Bytes that a module may have.
    pub(crate) module_limit_bytes: u64,
    /// Seconds of processor time that compiling one module may take.
    pub(crate) compile_cpu_s: u64,
    /// Bytes of address space that compiling one module may take.
    pub(crate) compile_memory_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            systemd_cgroup: false,
            node_cache: PathBuf::from("/var/lib/wisp"),
            create_timeout_s: 90,
            module_limit_bytes: 256 << 20,
            compile_cpu_s: 120,
            compile_memory_bytes: 4 << 30,
        }
    }
}

/// containerd's message `runtimeoptions.v1.Options`, from containerd's public API.
#[derive(Clone, PartialEq, Message)]
struct RuntimeOptions {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    config_path: String,
    #[prost(bytes = "vec", tag = "3")]
    config_body: Vec<u8>,
}

impl Options {
    /// The options that containerd attached to a request: TOML in the message itself, or in the file that it names (containerd
    /// 1.6 passes nothing but `ConfigPath`), or the defaults. Keys that mean nothing to us are containerd's own.
    pub(crate) fn from_request(options: Option<&Any>) -> Result<Self> {
        let Some(any) = options.filter(|any| any.type_url.ends_with("runtimeoptions.v1.Options")) else {
            return Ok(Self::default());
        };
        let place = "the runtime's options in containerd's configuration";
        let invalid = |reason: String| Error::Setting { place: place.to_owned(), reason };
        let message = RuntimeOptions::decode(any.value.as_slice()).map_err(|error| invalid(error.to_string()))?;
        let text = match (message.config_body.as_slice(), message.config_path.as_str()) {
            ([], "") => return Ok(Self::default()),
            ([], path) => std::fs::read_to_string(path).attempt(|| format!("read the runtime's options `{path}`"))?,
            (body, _) => String::from_utf8(body.to_vec()).map_err(|error| invalid(error.to_string()))?,
        };
        toml::from_str(&text).map_err(|error| invalid(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(message: &RuntimeOptions) -> Any {
        Any { type_url: "runtimeoptions.v1.Options".into(), value: message.encode_to_vec(), ..Any::default() }
    }

    #[test]
    fn options_come_from_the_message_or_the_file_it_names() {
        assert_eq!(Options::from_request(None).expect("defaults"), Options::default());
        let body = RuntimeOptions {
            config_body: b"SystemdCgroup = true\nNodeCache = \"/x\"\nBinaryName = \"y\"".to_vec(),
            ..Default::default()
        };
        let options = Options::from_request(Some(&any(&body))).expect("TOML that parses");
        assert!(options.systemd_cgroup);
        assert_eq!(options.node_cache, PathBuf::from("/x"));

        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), "CreateTimeoutS = 7").expect("the file is ours");
        let path = RuntimeOptions { config_path: file.path().display().to_string(), ..Default::default() };
        assert_eq!(Options::from_request(Some(&any(&path))).expect("TOML in a file").create_timeout_s, 7);
    }

    #[test]
    fn an_option_of_the_wrong_type_is_named() {
        let body = RuntimeOptions { config_body: b"SystemdCgroup = \"yes\"".to_vec(), ..Default::default() };
        let error = Options::from_request(Some(&any(&body))).expect_err("not a boolean").to_string();
        assert!(error.contains("SystemdCgroup"), "{error}");
    }
}
