//! Any text as the manifest of a model: an error has a place inside the text, and what is read can be written and read again.

#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use wisp_model_store::{Manifest, ManifestError};

fuzz_target!(|text: &str| {
    let origin = Path::new("model.toml");
    let manifest = match Manifest::parse(text, origin) {
        Ok(manifest) => manifest,
        Err(error) => return check_place(&error, text),
    };
    check_paths(&manifest);
    let written = manifest.to_toml().expect("numbers that were read from TOML can be written to it");
    let again = Manifest::parse(&written, origin).unwrap_or_else(|error| panic!("{error} in\n{written}"));
    assert_eq!(again, manifest, "{written}");
});

/// The place is in the text, or right behind it.
fn check_place(error: &ManifestError, text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    let line = error.line.checked_sub(1).and_then(|index| lines.get(index));
    let line = line.unwrap_or_else(|| panic!("{error}: {} lines", lines.len()));
    assert!((1..=line.chars().count() + 1).contains(&error.column), "{error}: {line:?}");
    assert!(!error.reason.is_empty() && !error.reason.contains('\n'), "{:?} is one line", error.reason);
}

/// Names become folders, and paths become files below them: none leads anywhere else.
fn check_paths(manifest: &Manifest) {
    for name in [&manifest.name, &manifest.version] {
        assert!(Manifest::is_name(name) && is_inside(name) && !name.contains('/'), "{name:?}");
    }
    for file in &manifest.files {
        assert!(is_inside(&file.path), "{:?}", file.path);
    }
}

fn is_inside(path: &str) -> bool {
    let is_plain = |component: Component<'_>| match component {
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        _ => false,
    };
    !path.is_empty() && !path.contains('\\') && Path::new(path).components().all(is_plain)
}
