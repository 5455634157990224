//! Containerd's configuration as text: what is added stands between two marks, and everything else stays byte for byte.

use std::path::{Path, PathBuf};

use toml::Table;

use super::known::BASE_TEMPLATE;
use crate::{Node, NodeError, files};

const BEGIN: &str = "# BEGIN wisp: written by `wisp node install`, removed by `wisp node uninstall`";
const END: &str = "# END wisp";

/// The plugin that has the handlers, by the version of the configuration.
const PLUGINS: [(u8, &str); 2] = [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.runtime")];

/// How a file is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// It is the configuration: what is added stands at its end.
    InPlace,
    /// A file of its own in this folder of the node, which the configuration includes.
    DropIn(PathBuf),
    /// A template that k3s and RKE2 make the configuration from.
    Template,
}

/// The handler `wisp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The version of the configuration.
    pub version: u8,
    /// The shim, as a path of the node.
    pub shim: PathBuf,
    /// The shim's own options, as a path of the node: containerd 1.6 passes nothing else on.
    pub options: PathBuf,
    /// Whether systemd makes control groups, as the kubelet must have it, too.
    pub systemd_cgroup: bool,
    /// Whether the handler of ordinary containers must be named as well: containerd 1.x has it by default only where none is named.
    pub names_runc: bool,
}

/// How a configuration is changed, and its version; `generation` is that of the program, for a node that has no configuration.
pub(super) fn form(node: &Node, file: &Path, generation: Option<u8>) -> Result<(Form, u8), NodeError> {
    let path = node.path(file);
    let Some(text) = files::read(&path)? else { return Ok((Form::InPlace, generation.unwrap_or(2))) };
    let version = version(&path, &text)?;
    let table = parse(&path, &text)?;
    let is_cri = |plugin: &str| plugin == "cri" || plugin.ends_with(".cri") || plugin.contains(".cri.v1.");
    if let Some(plugin) = strings(&table, "disabled_plugins").find(|plugin| is_cri(plugin)) {
        let reason = format!(
            "`disabled_plugins` names `{plugin}`, without which the kubelet cannot use containerd; take it out (the packages of Docker put it in)"
        );
        return Err(NodeError::config(&path, reason));
    }
    // Before 2.0 an included file takes the place of whole plugins, network and registries with them.
    let include = (version == 3).then(|| strings(&table, "imports").find_map(folder_of_all)).flatten();
    Ok((include.map_or(Form::InPlace, Form::DropIn), version))
}

/// The version that a configuration says it has.
pub(super) fn version(path: &Path, text: &str) -> Result<u8, NodeError> {
    match parse(path, text)?.get("version").and_then(toml::Value::as_integer) {
        Some(2) => Ok(2),
        Some(3) => Ok(3),
        None | Some(1) => {
            let reason = "it has no `version`, or version 1, which has no handlers of others; `containerd config migrate` makes it newer";
            Err(NodeError::config(path, reason))
        }
        Some(other) => Err(NodeError::config(path, format!("`version = {other}` is not known here; 2 and 3 are"))),
    }
}

/// Whether the handler for ordinary containers has its control groups made by systemd.
pub(crate) fn has_systemd_cgroups(path: &Path, text: &str) -> Result<bool, NodeError> {
    let table = parse(path, text)?;
    let of_runc = |plugin: &str| {
        let keys = ["plugins", plugin, "containerd", "runtimes", "runc", "options", "SystemdCgroup"];
        look(&table, &keys).and_then(toml::Value::as_bool)
    };
    Ok(PLUGINS.iter().find_map(|(_, plugin)| of_runc(plugin)).unwrap_or(false))
}

/// Whether a configuration names handlers. Ours does not count.
pub(crate) fn names_handlers(path: &Path, text: &str) -> Result<bool, NodeError> {
    let table = parse(path, &without(text))?;
    let of =
        |plugin: &str| look(&table, &["plugins", plugin, "containerd", "runtimes"]).and_then(toml::Value::as_table);
    Ok(PLUGINS.iter().filter_map(|(_, plugin)| of(plugin)).any(|handlers| !handlers.is_empty()))
}

/// The text with the handler in it, in place of the one that stood between the marks.
///
/// # Errors
/// [`NodeError::Config`] where somebody else has written a handler of this name, or the result could not be read.
pub(crate) fn with(path: &Path, text: Option<&str>, form: &Form, handler: &Handler) -> Result<String, NodeError> {
    let block = handler.block();
    match form {
        Form::DropIn(_) => Ok(format!("version = {}\n{block}", handler.version)),
        Form::Template => {
            let kept = text.map_or_else(|| BASE_TEMPLATE.to_owned(), without);
            Ok(joined(&kept, &block))
        }
        Form::InPlace => {
            let kept = text.map_or_else(|| format!("version = {}\n", handler.version), without);
            if look(&parse(path, &kept)?, &handler.keys()).is_some() {
                let reason =
                    "it has a handler `wisp` that stands outside of the marks; take that out, and this one is written";
                return Err(NodeError::config(path, reason));
            }
            let changed = joined(&kept, &block);
            // Handlers that are written as an inline table cannot be added to from outside.
            parse(path, &changed).map_err(|error| {
                NodeError::config(
                    path,
                    format!("a handler cannot be added to it ({error}); write its handlers as tables"),
                )
            })?;
            Ok(changed)
        }
    }
}

/// The text without what stands between the marks, marks included; `None` where nothing else is left that somebody wrote.
pub(crate) fn cleaned(text: &str, form: &Form) -> Option<String> {
    let kept = without(text);
    let is_ours = match form {
        Form::DropIn(_) => true,
        Form::Template => kept.trim() == BASE_TEMPLATE.trim(),
        Form::InPlace => kept.trim() == "version = 2" || kept.trim() == "version = 3",
    };
    (!is_ours).then_some(kept)
}

/// Whether the handler stands in the text.
pub(crate) fn has_block(text: &str) -> bool {
    text.lines().any(|line| line == BEGIN)
}

fn without(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut is_inside = false;
    for line in text.split_inclusive('\n') {
        match line.trim_end() {
            BEGIN => is_inside = true,
            END if is_inside => is_inside = false,
            _ if is_inside => {}
            _ => kept.push_str(line),
        }
    }
    // The empty line that was put before the mark.
    if text.len() != kept.len() && kept.ends_with("\n\n") {
        kept.pop();
    }
    kept
}

fn joined(kept: &str, block: &str) -> String {
    let gap = if kept.is_empty() || kept.ends_with('\n') { "" } else { "\n" };
    format!("{kept}{gap}\n{block}")
}

impl Handler {
    fn plugin(&self) -> &'static str {
        PLUGINS.iter().find(|(version, _)| *version == self.version).map_or(PLUGINS[0].1, |(_, plugin)| plugin)
    }

    fn keys(&self) -> [&'static str; 5] {
        ["plugins", self.plugin(), "containerd", "runtimes", "wisp"]
    }

    fn block(&self) -> String {
        let Self { shim, options, systemd_cgroup, .. } = self;
        let handlers = format!("plugins.\"{}\".containerd.runtimes", self.plugin());
        let runc = match self.names_runc {
            true => format!("[{handlers}.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n"),
            false => String::new(),
        };
        let table = format!("{handlers}.wisp");
        format!(
            "{BEGIN}\n{runc}[{table}]\n  runtime_type = {shim:?}\n  pod_annotations = [\"wisp.dev/*\"]\n  container_annotations = [\"wisp.dev/*\"]\n\
             [{table}.options]\n  SystemdCgroup = {systemd_cgroup}\n  ConfigPath = {options:?}\n{END}\n"
        )
    }
}

fn parse(path: &Path, text: &str) -> Result<Table, NodeError> {
    text.parse().map_err(|error: toml::de::Error| {
        NodeError::config(path, format!("it is no TOML: {}", error.to_string().trim()))
    })
}

fn look<'t>(table: &'t Table, keys: &[&str]) -> Option<&'t toml::Value> {
    let (first, rest) = keys.split_first()?;
    let value = table.get(*first)?;
    if rest.is_empty() { Some(value) } else { look(value.as_table()?, rest) }
}

fn strings<'t>(table: &'t Table, key: &str) -> impl Iterator<Item = &'t str> {
    table.get(key).and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str)
}

/// The folder of an include of all files: `/etc/containerd/conf.d/*.toml`.
fn folder_of_all(include: &str) -> Option<PathBuf> {
    include.strip_suffix("/*.toml").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(version: u8) -> Handler {
        let (shim, options) = (PathBuf::from("/opt/wisp/current/bin/shim"), PathBuf::from("/opt/wisp/shim.toml"));
        Handler { version, shim, options, systemd_cgroup: true, names_runc: false }
    }

    #[test]
    fn what_is_added_is_taken_out_again_byte_for_byte() {
        for text in
            ["version = 2\n[grpc]\n  address = \"/x\" # mine\n", "version = 2\n\n\n", "version = 2\nroot = \"/r\""]
        {
            let changed = with(Path::new("c"), Some(text), &Form::InPlace, &handler(2)).expect("is valid");
            assert!(has_block(&changed) && changed.starts_with(text));
            let again = with(Path::new("c"), Some(&changed), &Form::InPlace, &handler(2)).expect("is valid");
            assert_eq!(again, changed, "a second time changes nothing");
            let back = cleaned(&changed, &Form::InPlace).unwrap_or_else(|| "version = 2\n".to_owned());
            assert_eq!(back.trim_end(), text.trim_end());
        }
    }

    #[test]
    fn the_handler_stands_in_the_plugin_of_the_version() {
        for (version, plugin) in PLUGINS {
            let text = with(Path::new("c"), None, &Form::InPlace, &handler(version)).expect("is valid");
            let table: Table = text.parse().expect("TOML");
            let wisp = look(&table, &["plugins", plugin, "containerd", "runtimes", "wisp"]).expect("is there");
            assert_eq!(wisp["runtime_type"].as_str(), Some("/opt/wisp/current/bin/shim"));
            assert_eq!(wisp["options"]["SystemdCgroup"].as_bool(), Some(true));
        }
    }

    #[test]
    fn what_cannot_be_added_to_is_refused_with_the_reason() {
        let inline = "version = 2\nplugins = { \"io.containerd.grpc.v1.cri\" = { containerd = { runtimes = {} } } }\n";
        let error = with(Path::new("c"), Some(inline), &Form::InPlace, &handler(2)).expect_err("is closed").to_string();
        assert!(error.contains("write its handlers as tables"), "{error}");
        let by_hand =
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.wisp]\nruntime_type = \"x\"\n";
        let error = with(Path::new("c"), Some(by_hand), &Form::InPlace, &handler(2)).expect_err("is there").to_string();
        assert!(error.contains("outside of the marks"), "{error}");
    }

    #[test]
    fn the_handler_that_is_there_by_default_is_named_where_none_was() {
        let named =
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nruntime_type = \"k\"\n";
        let names = |text: &str| names_handlers(Path::new("c"), text).expect("is valid");
        assert!(names(named) && !names("version = 2\n"));
        let handler = Handler { names_runc: true, ..handler(2) };
        let changed = with(Path::new("c"), Some("version = 2\n"), &Form::InPlace, &handler).expect("is valid");
        assert!(
            changed.contains("containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n"),
            "{changed}"
        );
        assert!(!names(&changed), "what stands between the marks is ours");
    }

    #[test]
    fn systemds_control_groups_are_found_in_either_version() {
        let text = |plugin: &str| {
            format!("version = 2\n[plugins.\"{plugin}\".containerd.runtimes.runc.options]\nSystemdCgroup = true\n")
        };
        for (_, plugin) in PLUGINS {
            assert_eq!(has_systemd_cgroups(Path::new("c"), &text(plugin)).ok(), Some(true), "{plugin}");
        }
        assert_eq!(has_systemd_cgroups(Path::new("c"), "version = 2\n").ok(), Some(false));
    }
}
