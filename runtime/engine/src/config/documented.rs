//! The documented configuration, held to be right and whole.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// Every key, with its meaning.
const TEXT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wisp.toml"));

/// A table of each kind, but for the grant of a model, whose reader takes a name as well and lists no keys.
const TABLES: [&str; 13] = [
    "server",
    "server.tls",
    "server.auth",
    "server.drain",
    "server.limits",
    "models.all-minilm-l6-v2",
    "models.all-minilm-l6-v2.batching",
    "devices.cpu",
    "deployments.embedder",
    "deployments.embedder.limits",
    "deployments.embedder.grants",
    "tenants.search",
    "telemetry",
];

fn documented(table: &str) -> BTreeSet<String> {
    let text: toml::Value = toml::from_str(TEXT).expect("is TOML");
    let found = table.split('.').try_fold(&text, |value, key| value.get(key)).expect(table);
    found.as_table().expect("is a table").keys().cloned().collect()
}

/// The keys that the reader knows: it lists them when it meets one that it does not.
fn known(table: &str) -> BTreeSet<String> {
    let (parent, name) = table.rsplit_once('.').map_or(("", table), |(parent, name)| (parent, name));
    let text = match parent {
        "" => format!("[{name}]\nno-such-key = 1\n"),
        _ => format!("[{parent}]\n{name} = {{ no-such-key = 1 }}\n"),
    };
    let error = Config::parse(&text, Path::new("wisp.toml")).expect_err(table).to_string();
    let (_, expected) = error.split_once("`no-such-key`, expected ").unwrap_or_else(|| panic!("{table}: {error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn it_can_be_used_and_is_printed_as_it_was_read() {
    let config = Config::parse(TEXT, Path::new("wisp.toml")).unwrap_or_else(|error| panic!("{error}"));
    let again = Config::parse(&config.to_toml(), Path::new("wisp.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config, again);
}

#[test]
fn no_key_is_missing() {
    for table in TABLES {
        assert_eq!(documented(table), known(table), "{table}");
    }
}

#[test]
fn what_it_gives_as_limits_are_the_defaults() {
    let config = Config::parse(TEXT, Path::new("wisp.toml")).unwrap_or_else(|error| panic!("{error}"));
    let defaults = ServerConfig::default();
    assert_eq!((config.server.limits, config.server.drain), (defaults.limits, defaults.drain));
    let (guest, defaults) = (config.deployments["embedder"].limits.clone(), GuestLimits::default());
    let optional = GuestLimits { fuel: None, instances: None, state_bytes: None, ..guest };
    assert_eq!(optional, defaults);
}
