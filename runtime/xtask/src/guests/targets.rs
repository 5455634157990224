//! Which guests the workspace holds, by the target that each package asks for.
//!
//! A guest is a component unless its manifest says `[package.metadata.wisp] target = "wasm32-wasip1"`. A package that only
//! others build on is no guest.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use cargo_metadata::{CrateType, Metadata, Package};

use crate::toolchain::{COMPONENT_TARGET, GUEST_TARGETS};

/// Names of the guests' packages, in the order of their names, by target.
pub(super) fn by_target(metadata: &Metadata) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let mut guests: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for package in metadata.workspace_packages().into_iter().filter(|package| is_guest(package)) {
        guests.entry(target(package)?).or_default().push(package.name.to_string());
    }
    for names in guests.values_mut() {
        names.sort();
    }
    Ok(guests)
}

/// Whether a WebAssembly file comes out of a package: a program's or a reactor's.
fn is_guest(package: &Package) -> bool {
    package.targets.iter().any(|target| target.is_bin() || target.crate_types.contains(&CrateType::CDyLib))
}

/// The target that a package asks for.
fn target(package: &Package) -> Result<&'static str> {
    let asked = &package.metadata["wisp"]["target"];
    if asked.is_null() {
        return Ok(COMPONENT_TARGET);
    }
    match GUEST_TARGETS.into_iter().find(|known| asked.as_str() == Some(known)) {
        Some(target) => Ok(target),
        None => bail!(
            "guest `{}` asks for target {asked}; set [package.metadata.wisp] target to one of {} in {}",
            package.name,
            GUEST_TARGETS.join(", "),
            package.manifest_path
        ),
    }
}

#[cfg(test)]
mod tests {
    use cargo_metadata::MetadataCommand;
    use serde_json::{Value, json};

    use super::*;
    use crate::toolchain::MODULE_TARGET;

    /// What cargo says about a workspace of these packages: name, crate type, metadata.
    fn workspace(packages: &[(&str, &str, Value)]) -> Metadata {
        let id = |name: &str| format!("path+file:///guests/{name}#0.1.0");
        let packages: Vec<Value> = packages
            .iter()
            .map(|(name, crate_type, metadata)| {
                json!({
                    "id": id(name), "name": name, "version": "0.1.0", "metadata": metadata, "dependencies": [], "features": {},
                    "manifest_path": format!("/guests/{name}/Cargo.toml"),
                    "targets": [{
                        "name": name, "kind": [crate_type], "crate_types": [crate_type],
                        "src_path": format!("/guests/{name}/src/lib.rs"), "edition": "2024",
                    }],
                })
            })
            .collect();
        let ids: Vec<_> = packages.iter().map(|package| package["id"].clone()).collect();
        let described = json!({
            "packages": packages, "workspace_members": ids, "workspace_default_members": ids, "resolve": null, "version": 1,
            "workspace_root": "/guests", "target_directory": "/guests/target",
        });
        MetadataCommand::parse(described.to_string()).expect("cargo describes workspaces like this")
    }

    fn names(guests: &BTreeMap<&'static str, Vec<String>>, target: &str) -> Vec<String> {
        guests.get(target).cloned().unwrap_or_default()
    }

    #[test]
    fn a_guest_is_a_component_unless_it_asks_for_a_module() {
        let metadata = workspace(&[
            ("watcher", "bin", json!({ "wisp": { "target": "wasm32-wasip1" } })),
            ("embedder", "cdylib", Value::Null),
            ("counter", "bin", json!({ "docs": { "target": "wasm32-wasip1" } })),
            ("asker", "cdylib", json!({ "wisp": { "target": "wasm32-wasip2" } })),
        ]);
        let guests = by_target(&metadata).expect("every target is known");
        assert_eq!(names(&guests, COMPONENT_TARGET), ["asker", "counter", "embedder"]);
        assert_eq!(names(&guests, MODULE_TARGET), ["watcher"]);
    }

    #[test]
    fn a_library_is_no_guest() {
        let metadata = workspace(&[("shared", "lib", Value::Null), ("macros", "proc-macro", Value::Null)]);
        assert!(by_target(&metadata).expect("no target is asked for").is_empty());
    }

    #[test]
    fn an_unknown_target_is_refused_with_its_package_and_the_known_ones() {
        for asked in [json!("wasm32-unknown-unknown"), json!(1)] {
            let metadata = workspace(&[("odd", "bin", json!({ "wisp": { "target": asked } }))]);
            let message = by_target(&metadata).expect_err("guests cannot be built for it").to_string();
            for part in ["`odd`", &asked.to_string(), MODULE_TARGET, COMPONENT_TARGET, "/guests/odd/Cargo.toml"] {
                assert!(message.contains(part), "{part} in {message}");
            }
        }
    }
}
