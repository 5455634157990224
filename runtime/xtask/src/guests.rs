//! `cargo xtask guests`: builds every guest of `examples/guests` into `target/guests/<name>.wasm`.

mod targets;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};
use serde_json::Value;

use crate::process::{capture, run_within};
use crate::progress::{Step, readable_bytes};
use crate::repository::Repository;
use crate::toolchain::GuestToolchain;

/// Where a guest with a tokenizer of its own finds the files that it compiles in: `vocab.txt` and `tokenizer.json`.
pub(crate) const TOKENIZER_VARIABLE: &str = "WISP_TOKENIZER_DIR";

/// A built guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    /// Name of its crate.
    pub(crate) name: String,
    /// The component or module.
    pub(crate) path: PathBuf,
    /// Its size.
    pub(crate) size_bytes: u64,
}

/// Builds all guests and copies each under its crate's name; cargo skips what has not changed.
pub(crate) fn build(
    repository: &Repository,
    toolchain: &GuestToolchain,
    tokenizer: &Path,
    step: &Step,
) -> Result<Vec<Guest>> {
    let folder = repository.built_guests();
    let metadata = describe(repository, toolchain)?;
    let mut guests = Vec::new();
    for (target, packages) in targets::by_target(&metadata)? {
        let mut command = toolchain.cargo(&folder)?;
        command.args(["build", "--release", "--locked", "--message-format=json-render-diagnostics"]);
        command.args(["--target", target, "--manifest-path"]).arg(repository.guest_workspace());
        command.args(packages.iter().flat_map(|package| ["--package", package]));
        command.env(TOKENIZER_VARIABLE, tokenizer);
        let messages = run_within(step, &mut command)?;
        for (name, built) in artifacts(&messages) {
            let path = folder.join(format!("{name}.wasm"));
            let size_bytes = copy_if_changed(&built, &path)?;
            guests.push(Guest { name, path, size_bytes });
        }
    }
    ensure!(!guests.is_empty(), "{} builds no guest", repository.guest_workspace().display());
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

/// The guests as a table of names, sizes and places.
pub(crate) fn table(guests: &[Guest]) -> String {
    let width = guests.iter().map(|guest| guest.name.len()).max().unwrap_or_default();
    let row = |guest: &Guest| {
        format!("{:width$}  {:>8}  {}\n", guest.name, readable_bytes(guest.size_bytes), guest.path.display())
    };
    guests.iter().map(row).collect()
}

/// The packages of the guests' workspace.
fn describe(repository: &Repository, toolchain: &GuestToolchain) -> Result<Metadata> {
    let mut command = toolchain.cargo(&repository.built_guests())?;
    command.args(["metadata", "--no-deps", "--locked", "--format-version=1", "--manifest-path"]);
    let described = capture(command.arg(repository.guest_workspace()))?;
    MetadataCommand::parse(described)
        .with_context(|| format!("cannot understand what cargo says about {}", repository.guest_workspace().display()))
}

/// Names and files of the components and modules among cargo's messages, one message a line.
fn artifacts(messages: &str) -> Vec<(String, PathBuf)> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            let files = message["filenames"].as_array()?;
            let file = files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm"))?;
            // A library target is named with underscores, its crate and folder with hyphens.
            let name = message["target"]["name"].as_str()?.replace('_', "-");
            Some((name, PathBuf::from(file)))
        })
        .collect()
}

/// Copies a file unless the same bytes are there, so that what includes the copy is not compiled anew. Returns its size.
fn copy_if_changed(from: &Path, to: &Path) -> Result<u64> {
    let bytes = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if std::fs::read(to).ok().as_deref() != Some(&bytes) {
        let partial = to.with_extension("wasm.partial");
        std::fs::write(&partial, &bytes).with_context(|| format!("cannot write {}", partial.display()))?;
        std::fs::rename(&partial, to)
            .with_context(|| format!("cannot rename {} to {}", partial.display(), to.display()))?;
    }
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_guests_among_the_messages_of_cargo() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"filenames":["/t/libserde.rlib"]}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"embedder_portable"},"filenames":["/t/embedder_portable.wasm"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let expected = [("embedder-portable".to_owned(), PathBuf::from("/t/embedder_portable.wasm"))];
        assert_eq!(artifacts(messages), expected);
    }

    #[test]
    fn an_unchanged_guest_is_not_written_again() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (from, to) = (folder.path().join("built.wasm"), folder.path().join("guest.wasm"));
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let set_time = |path: &Path| {
            let file = std::fs::File::options().write(true).open(path).expect("the copy can be opened");
            file.set_modified(long_ago).expect("its time can be set");
        };
        let time = || to.metadata().and_then(|metadata| metadata.modified()).expect("the copy is there");

        std::fs::write(&from, b"one").expect("the folder can be written to");
        assert_eq!(copy_if_changed(&from, &to).expect("the files are there"), 3);
        set_time(&to);
        copy_if_changed(&from, &to).expect("the files are there");
        assert_eq!(time(), long_ago);

        std::fs::write(&from, b"other").expect("the folder can be written to");
        assert_eq!(copy_if_changed(&from, &to).expect("the files are there"), 5);
        assert_ne!(time(), long_ago);
        assert_eq!(std::fs::read(&to).expect("the copy is there"), b"other");
    }
}
