//! Tests of unpacking: what is written, and what is refused.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{Builder, Header};

use super::*;

/// A header whose name is written as it is: the library's own setters refuse what attackers write.
fn raw(kind: EntryType, name: &str, size_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size_bytes);
    header.set_mode(0o644);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

fn archive(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, content) in entries {
        builder.append(&raw(*kind, name, content.len() as u64), *content).expect("memory");
    }
    builder.into_inner().expect("memory")
}

/// Unpacks layers and says what files there are then.
fn unpack(layers: &[(&[u8], &str)], limit_bytes: u64) -> Result<Vec<String>, RegistryError> {
    let root = tempfile::tempdir().expect("temporary folder");
    let folder = root.path().join("out");
    fs::create_dir(&folder).expect("new folder");
    let mut unpacker = Unpacker::new("r.example/m".to_owned(), &folder, limit_bytes);
    let mut result = Ok(());
    for (bytes, media_type) in layers {
        let layer = root.path().join("layer");
        fs::write(&layer, bytes).expect("writable");
        result = result.and_then(|()| unpacker.layer(&layer, media_type, &mut |_| ()));
    }
    let mut outside: Vec<_> =
        fs::read_dir(root.path()).expect("there").map(|entry| entry.expect("readable").file_name()).collect();
    outside.sort();
    assert_eq!(outside, ["layer", "out"], "nothing is written elsewhere");
    result.map(|()| unpacker.files.iter().map(|path| path.display().to_string()).collect())
}

fn one(kind: EntryType, name: &str) -> RegistryError {
    unpack(&[(&archive(&[(kind, name, b"")]), media::TAR)], 100).expect_err(name)
}

#[test]
fn files_of_all_layers_come_together_packed_or_not() {
    let first = archive(&[
        (EntryType::Directory, "./", b""),
        (EntryType::Directory, "golden/", b""),
        (EntryType::Regular, "./golden/a.npy", b"a"),
    ]);
    let mut second = GzEncoder::new(Vec::new(), Compression::fast());
    second.write_all(&archive(&[(EntryType::Regular, "deep/er/w", b"weights")])).expect("memory");
    let second = second.finish().expect("memory");
    let files = unpack(&[(&first, media::TAR), (&second, media::TAR_GZIP)], 8).expect("good layers");
    assert_eq!(files, ["deep/er/w", "golden/a.npy"]);
    assert!(is_tar(media::DOCKER_TAR_GZIP) && !is_tar("application/vnd.oci.image.layer.v1.tar+zstd"));
}

#[test]
fn what_could_write_elsewhere_is_refused_by_name() {
    for (kind, name, reason) in [
        (EntryType::Regular, "../evil", "climbs out"),
        (EntryType::Regular, "a/../../evil", "climbs out"),
        (EntryType::Directory, "../evil/", "climbs out"),
        (EntryType::Regular, "/etc/passwd", "absolute"),
        (EntryType::Symlink, "link", "it is a link"),
        (EntryType::Link, "link", "it is a link"),
        (EntryType::Char, "dev", "it is a device"),
        (EntryType::Block, "dev", "it is a device"),
        (EntryType::Fifo, "pipe", "neither a file nor a folder"),
        (EntryType::Regular, "golden/.wh.a.npy", "deletes a file"),
        (EntryType::Regular, "./", "without a name"),
        (EntryType::Regular, "a\\b", "characters"),
    ] {
        let error = one(kind, name);
        assert!(matches!(error, RegistryError::UnsafeEntry { .. }), "{error}");
        assert!(error.to_string().contains(reason) && error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_file_that_comes_twice_is_refused() {
    let layer = archive(&[(EntryType::Regular, "w", b"one")]);
    let error = unpack(&[(&layer, media::TAR), (&layer, media::TAR)], 100).expect_err("replaced");
    assert!(error.to_string().contains("there twice"), "{error}");
}

#[test]
fn no_more_is_written_than_the_limit() {
    let layer = archive(&[(EntryType::Regular, "a", b"12345"), (EntryType::Regular, "b", b"678")]);
    assert_eq!(unpack(&[(&layer, media::TAR)], 8).expect("exactly as much").len(), 2);
    let error = unpack(&[(&layer, media::TAR)], 7).expect_err("one too many");
    assert!(matches!(error, RegistryError::TooLarge { size_bytes: 8, limit_bytes: 7, .. }), "{error}");
    // A bomb: a gigabyte of zeros in a megabyte of gzip is not even begun.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(raw(EntryType::Regular, "bomb", 1 << 30).as_bytes()).expect("memory");
    bomb.write_all(&vec![0; 1 << 20]).expect("memory");
    let error = unpack(&[(&bomb.finish().expect("memory"), media::TAR_GZIP)], 1000).expect_err("too long");
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[test]
fn what_is_no_archive_is_refused() {
    for (bytes, media_type) in
        [(&b"<html>"[..], media::TAR), (b"<html>", media::TAR_GZIP), (&[1; 1024][..], media::TAR)]
    {
        let error = unpack(&[(bytes, media_type)], 100).expect_err("no archive").to_string();
        assert!(error.contains("no readable tar archive"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_name_leads_outside(name in "[a./\\\\]{0,24}") {
        if let Ok(Some(path)) = inside(&name) {
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{}", path.display());
        }
    }
}
