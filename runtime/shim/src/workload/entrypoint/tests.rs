//! Entrypoints of every kind, in root file systems that try to lead outside.

use std::os::unix::fs::symlink;

use oci_spec::runtime::{ProcessBuilder, SpecBuilder};

use super::*;

fn entrypoint(args: &[&str], env: &[&str]) -> Result<Entrypoint> {
    let strings = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let process =
        ProcessBuilder::default().args(strings(args)).env(strings(env)).cwd("/work").build().expect("a process");
    Entrypoint::of(&SpecBuilder::default().process(process).build().expect("a specification"))
}

fn judge(content: &[u8]) -> Result<bool> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("program"), content).expect("the folder is ours");
    let entrypoint = entrypoint(&["/program"], &[])?;
    let file = entrypoint.open_in(folder.path())?.expect("the file is there");
    is_linux_program(&entrypoint, &file)
}

fn elf(os: u8, machine: u16) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..4].copy_from_slice(ELF);
    header[7] = os;
    header[18..20].copy_from_slice(&machine.to_le_bytes());
    header
}

#[test]
fn first_bytes_decide_what_runs() {
    assert!(!judge(b"\0asm\x01\0\0\0").expect("a module"));
    assert!(judge(b"#!/bin/sh\n").expect("a script"));
    assert!(judge(&elf(0, HOST_MACHINE)).expect("a program of this node"));
    let refusals: [(&[u8], &str); 5] = [
        (b"", "it is empty"),
        (b"hello there", "begins with `hello th`"),
        (b"(module)", "begins with `(module)`"),
        (&elf(ELF_OS_WASMTIME, HOST_MACHINE), "precompiled machine code"),
        (&elf(0, 243), "a program for riscv"),
    ];
    for (content, reason) in refusals {
        let error = judge(content).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_name_without_a_folder_is_looked_up_in_the_path_of_the_container() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for name in ["opt/bin", "work"] {
        std::fs::create_dir_all(folder.path().join(name)).expect("the folder is ours");
    }
    std::fs::write(folder.path().join("opt/bin/tool"), WASM).expect("the folder is ours");
    let found = |args: &[&str], env: &[&str]| {
        entrypoint(args, env).expect("a name").open_in(folder.path()).expect("no fault").is_some()
    };
    assert!(found(&["tool"], &["PATH=/bin:/opt/bin"]));
    assert!(!found(&["tool"], &["PATH=/bin"]));
    assert!(!found(&["tool"], &[]));
    assert!(found(&["../opt/bin/tool"], &[]), "relative to the working directory");
}

#[test]
fn links_never_lead_out_of_the_root() {
    let outside = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(outside.path().join("secret"), WASM).expect("the folder is ours");
    let root = outside.path().join("root");
    std::fs::create_dir(&root).expect("the folder is ours");
    symlink(outside.path().join("secret"), root.join("absolute")).expect("the folder is ours");
    symlink("../secret", root.join("relative")).expect("the folder is ours");
    for name in ["/absolute", "/relative", "/../secret"] {
        assert!(
            entrypoint(&[name], &[]).expect("a name").open_in(&root).expect("no fault").is_none(),
            "{name} led outside"
        );
    }
}

#[test]
fn a_folder_or_nothing_is_no_entrypoint() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    assert!(entrypoint(&["/"], &[]).expect("a name").open_in(folder.path()).expect("no fault").is_none());
    assert!(entrypoint(&[], &[]).is_err());
    assert!(entrypoint(&[""], &[]).is_err());
}

#[test]
fn a_module_beyond_the_limit_is_refused_by_its_size() {
    let mut bytes = WASM.to_vec();
    bytes.resize(100, 0);
    assert!(check_module("m", &bytes, 100).is_ok());
    let error = check_module("m", &bytes, 99).expect_err("one byte more").to_string();
    assert!(error.contains("limit of 99"), "{error}");
}
