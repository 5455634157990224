//! What a file of WebAssembly is: module or component, and what it exports and imports.

use std::path::Path;

use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};
use wisp_model_store::Sha256Digest;

use crate::RegistryError;
use crate::document::{WasmComponent, WasmConfig};

/// The time that stands in configurations: the beginning of Unix time, so that equal modules have equal digests.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Reads a file of WebAssembly and says what its artifact's configuration says of it.
///
/// # Errors
/// [`RegistryError::Io`], [`RegistryError::TooLarge`], and as [`describe`].
pub(crate) fn read(path: &Path, limit_bytes: u64) -> Result<(Vec<u8>, WasmConfig), RegistryError> {
    let size_bytes = std::fs::metadata(path).map_err(RegistryError::io("read", path))?.len();
    let what = path.display().to_string();
    if size_bytes > limit_bytes {
        return Err(RegistryError::TooLarge { what, size_bytes, limit_bytes });
    }
    let bytes = std::fs::read(path).map_err(RegistryError::io("read", path))?;
    let config = describe(&bytes, &what)?;
    Ok((bytes, config))
}

/// Checks every byte of a module or component, and describes it.
///
/// # Errors
/// [`RegistryError::NotWasm`], [`RegistryError::Precompiled`], [`RegistryError::InvalidWasm`]; `what` names it there.
pub(crate) fn describe(bytes: &[u8], what: &str) -> Result<WasmConfig, RegistryError> {
    if bytes.starts_with(b"\x7fELF") {
        return Err(RegistryError::Precompiled { what: what.to_owned() });
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(RegistryError::NotWasm { what: what.to_owned(), found: looks_like(bytes) });
    }
    let invalid = |error: wasmparser::BinaryReaderError| RegistryError::InvalidWasm {
        what: what.to_owned(),
        reason: error.to_string(),
    };
    // Whether an engine has switched a proposal on is for the engine to say.
    Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).map_err(invalid)?;
    let component = component(bytes).map_err(invalid)?;
    Ok(WasmConfig {
        created: CREATED,
        architecture: "wasm",
        os: if component.is_some() { "wasip2" } else { "wasip1" },
        layer_digests: vec![Sha256Digest::of(bytes).to_oci()],
        component,
    })
}

/// Names of what the outermost component exports and imports; `None` for a module.
fn component(bytes: &[u8]) -> Result<Option<WasmComponent>, wasmparser::BinaryReaderError> {
    let mut found: Option<WasmComponent> = None;
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding: Encoding::Component, .. } if found.is_none() => {
                found = Some(WasmComponent::default());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import?.name.name.to_owned();
                    found.get_or_insert_default().imports.push(import);
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    let export = export?.name.name.to_owned();
                    found.get_or_insert_default().exports.push(export);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn looks_like(bytes: &[u8]) -> String {
    match bytes {
        [] => "it is empty".to_owned(),
        [b'(', ..] => "it looks like the text form; convert it with `wasm-tools parse`".to_owned(),
        [0x1f, 0x8b, ..] => "it is compressed with gzip".to_owned(),
        [b'P', b'K', ..] => "it is a zip archive".to_owned(),
        [b'#', b'!', ..] => "it is a script".to_owned(),
        _ => "it does not begin with \\0asm".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn modules_and_components_are_told_apart() {
        let module = describe(MODULE, "m").expect("an empty module");
        assert_eq!((module.architecture, module.os, module.component), ("wasm", "wasip1", None));
        let component = describe(COMPONENT, "c").expect("an empty component");
        assert_eq!((component.os, component.component), ("wasip2", Some(WasmComponent::default())));
        assert_eq!(component.layer_digests, [format!("sha256:{}", Sha256Digest::of(COMPONENT))]);
    }

    #[test]
    fn what_is_no_wasm_is_refused_by_name_and_reason() {
        for (bytes, reason) in [
            (&b""[..], "x.wasm is no WebAssembly (it is empty)"),
            (b"(module)", "it looks like the text form"),
            (b"\x1f\x8b\x08", "it is compressed with gzip"),
            (b"#!/bin/sh", "it is a script"),
            (b"\x7fELF\x02\x01", "x.wasm is precompiled machine code, which would run outside the sandbox"),
            (b"\0asm\x01\0\0\0\x01", "x.wasm is damaged WebAssembly"),
            (b"\0asm\x07\0\0\0", "x.wasm is damaged WebAssembly"),
            (b"\0asm", "x.wasm is damaged WebAssembly"),
        ] {
            let error = describe(bytes, "x.wasm").expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..200), is_component: bool) {
            let mut bytes = if is_component { COMPONENT.to_vec() } else { MODULE.to_vec() };
            bytes.extend(tail);
            let _ = describe(&bytes, "x.wasm");
        }
    }
}
