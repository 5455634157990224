//! Modules that must not be loaded, or that must not be able to do harm when they are: what the host says of each.

use wisp_core::Kinded;
use wisp_host::{GuestKind, Host, HostConfig, HostError, Loading};

const CORE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// One section: its id, and its content with the length before it.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len() as u64), content].concat()
}

/// An unsigned number as WebAssembly writes it.
fn leb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn name(text: &str) -> Vec<u8> {
    [&leb(text.len() as u64)[..], text.as_bytes()].concat()
}

fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [CORE, &sections.concat()].concat()
}

/// The type `() -> ()`.
fn types() -> Vec<u8> {
    section(1, &[1, 0x60, 0, 0])
}

/// A program whose `_start` has this body, with these sections before its exports.
fn program(before: &[Vec<u8>], body: &[u8]) -> Vec<u8> {
    let functions = section(3, &[1, 0]);
    let exports = section(7, &[&[1][..], &name("_start"), &[0, 0]].concat());
    let code = [&[0][..], body, &[0x0b]].concat();
    let code = section(10, &[&[1][..], &leb(code.len() as u64), &code].concat());
    module(&[&[types(), functions][..], before, &[exports, code]].concat().into_iter().collect::<Vec<_>>())
}

fn host() -> Host {
    Host::new(HostConfig { max_instances: 2, ..HostConfig::default() }).expect("an engine")
}

fn refused(wasm: &[u8]) -> HostError {
    host().load("guest", wasm).expect_err("is refused")
}

#[test]
fn a_program_is_what_starts() {
    let guest = host().load("guest", &program(&[], &[])).expect("does nothing");
    assert_eq!(guest.kind(), GuestKind::Program);
    assert_eq!(wisp_host::kind_of("guest", &program(&[], &[])).expect("is one"), GuestKind::Program);
    let said = refused(CORE).to_string();
    assert!(said.contains("a core module without a function `_start`") && said.contains("wasm32-wasip2"), "{said}");
}

#[test]
fn unknown_imports_are_named_with_what_there_is_instead() {
    let import = section(2, &[&[1][..], &name("env"), &name("abort"), &[0, 0]].concat());
    let said = refused(&module(&[types(), import])).to_string();
    let told = "it imports `env.abort`, which this host does not offer; core modules can import wasi_snapshot_preview1 and \
                wasi_ephemeral_nn";
    assert!(said.contains(told), "{said}");

    let instance_type = section(7, &[1, 0x42, 0]);
    let import = section(10, &[&[1, 0][..], &name("wasi:keyvalue/store@0.2.0"), &[5, 0]].concat());
    let said = refused(&[COMPONENT, &instance_type, &import].concat()).to_string();
    assert!(
        said.contains("it imports `wasi:keyvalue/store@0.2.0`, which this host does not offer; it offers wasi:cli"),
        "{said}"
    );
    assert!(said.contains("wasi:nn/graph@0.2.0-rc-2024-10-28"), "{said}");
}

#[test]
fn a_component_that_exports_nothing_is_told_what_to_export() {
    let said = refused(COMPONENT).to_string();
    assert!(said.contains("it exports no interface; export wisp:inference/embedding@0.1.0 to embed"), "{said}");
    assert!(wisp_host::kind_of("guest", COMPONENT).is_err());
}

#[test]
fn memories_and_tables_beyond_the_limits_are_refused_before_they_are_made() {
    for (section, part) in [
        (section(5, &[&[1, 0][..], &leb(65_536)].concat()), "memory"),
        (section(4, &[&[1, 0x70, 0][..], &leb(10_000_000)].concat()), "table"),
    ] {
        let error = refused(&program(&[section], &[]));
        let said = error.to_string();
        assert!(said.contains("does not compile") && said.contains(part), "{said}");
    }
}

#[test]
fn truncated_and_random_bytes_are_refused_whatever_they_are() {
    let host = host();
    let whole = program(&[], &[]);
    for length in 0..whole.len() {
        host.load("guest", &whole[..length]).expect_err("is cut off");
    }
    // A linear congruential generator: the same bytes in every run.
    let mut state = 1_u64;
    for start in [CORE, COMPONENT, b"\0asm"] {
        for length in (0..400).step_by(7) {
            let mut wasm = start.to_vec();
            wasm.extend((0..length).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            }));
            let error = host.load("guest", &wasm).expect_err("is nothing");
            assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn deep_nesting_is_compiled_up_to_a_bound_that_keeps_the_compiler_quick() {
    let host = host();
    let nested = |depth: usize| program(&[], &[vec![[0x02, 0x40]; depth].concat(), vec![0x0b; depth]].concat());
    host.load("guest", &nested(2_000)).expect("compiles");
    for depth in [10_001, 1_000_000] {
        let said = host.load("guest", &nested(depth)).expect_err("is too deep").to_string();
        assert!(said.contains("nested deeper than 10000"), "{said}");
    }
}

#[test]
fn code_for_this_machine_is_never_taken_from_a_guest() {
    let code = wisp_host::compile("guest", &program(&[], &[]), 64 << 20).expect("compiles");
    let said = refused(&code).to_string();
    assert!(said.contains("precompiled machine code, which is never trusted"), "{said}");
}

#[test]
fn a_guest_may_have_a_smaller_bound_of_its_own() {
    let wasm = program(&[], &[]);
    let loading = Loading { max_module_bytes: Some(wasm.len() - 1), ..Loading::default() };
    let error = host().load_as("guest", &wasm, loading).expect_err("is too large");
    assert_eq!(error.kind(), wisp_core::ErrorKind::TooLarge);
    host().load_as("guest", &wasm, Loading { max_module_bytes: Some(wasm.len()), ..loading }).expect("fits");
}
