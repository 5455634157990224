//! The Debian mirror that this machine already trusts, read from its apt sources.

use std::path::{Path, PathBuf};

/// Where apt looks for sources.
const SOURCES_FOLDER: &str = "/etc/apt/sources.list.d";
const SOURCES_FILE: &str = "/etc/apt/sources.list";

/// Debian's own keys, for sources that name none.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A mirror of Debian, and the keys that its packages are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Address of the mirror: what ends in `/debian`.
    pub(crate) uri: String,
    /// Keyring file that its signatures are checked with; `None` leaves the choice to apt's own trusted keys.
    pub(crate) keyring: Option<PathBuf>,
}

impl Mirror {
    /// The first Debian mirror among the machine's apt sources.
    pub(crate) fn of_this_machine() -> Option<Self> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(SOURCES_FOLDER)
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        files.sort();
        files.push(SOURCES_FILE.into());
        let mut mirror = files.iter().find_map(|file| Self::in_file(file))?;
        if mirror.keyring.is_none() {
            mirror.keyring = Some(PathBuf::from(DEBIAN_KEYRING)).filter(|keyring| keyring.exists());
        }
        Some(mirror)
    }

    fn in_file(file: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "sources" => Self::in_stanzas(&text),
            "list" => Self::in_lines(&text),
            _ => None,
        }
    }

    /// The deb822 format, see the manual page sources.list(5): stanzas of `Key: value`, parted by empty lines.
    fn in_stanzas(text: &str) -> Option<Self> {
        let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        without_comments.split(|line| line.trim().is_empty()).find_map(|stanza| {
            let value = |key: &str| {
                stanza.iter().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case(key).then(|| value.trim())
                })
            };
            if value("Enabled").is_some_and(|enabled| enabled.eq_ignore_ascii_case("no")) {
                return None;
            }
            value("Types")?.split_whitespace().find(|kind| *kind == "deb")?;
            value("Components")?.split_whitespace().find(|component| *component == "main")?;
            let uri = value("URIs")?.split_whitespace().find(|uri| is_debian(uri))?;
            Some(Self { uri: uri.to_owned(), keyring: value("Signed-By").and_then(keyring_file) })
        })
    }

    /// The one-line format: `deb [options] uri suite components`.
    fn in_lines(text: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let rest = line.trim().strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
            let (options, rest) = match rest.strip_prefix('[') {
                Some(rest) => rest.split_once(']')?,
                None => ("", rest),
            };
            let mut words = rest.split_whitespace();
            let uri = words.next().filter(|uri| is_debian(uri))?;
            words.skip(1).find(|component| *component == "main")?;
            let keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
            Some(Self { uri: uri.to_owned(), keyring: keyring.and_then(keyring_file) })
        })
    }
}

/// Whether an address is that of the main archive, as against security updates and other vendors' packages.
fn is_debian(uri: &str) -> bool {
    uri.trim_end_matches('/').ends_with("/debian")
}

/// `Signed-By` may also hold a key or a fingerprint; only a file can be passed on.
fn keyring_file(value: &str) -> Option<PathBuf> {
    let first = value.split([' ', ',']).next()?;
    first.starts_with('/').then(|| first.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(uri: &str, keyring: Option<&str>) -> Option<Mirror> {
        Some(Mirror { uri: uri.to_owned(), keyring: keyring.map(PathBuf::from) })
    }

    #[test]
    fn reads_stanzas_and_passes_over_security_disabled_and_foreign_ones() {
        let text = "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n\
                    Types: deb deb-src\n# URIs: http://comment.example/debian\nURIs: http://mirror.example/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main contrib\nSigned-By: /keys/debian.gpg\n";
        assert_eq!(Mirror::in_stanzas(text), mirror("http://mirror.example/debian", Some("/keys/debian.gpg")));
    }

    #[test]
    fn reads_lines_with_and_without_options() {
        let plain = "# comment\ndeb http://mirror.example/debian/ bookworm main contrib\n";
        assert_eq!(Mirror::in_lines(plain), mirror("http://mirror.example/debian/", None));
        let options = "deb [arch=amd64 signed-by=/keys/d.gpg] https://mirror.example/debian bookworm main\n";
        assert_eq!(Mirror::in_lines(options), mirror("https://mirror.example/debian", Some("/keys/d.gpg")));
    }

    #[test]
    fn finds_nothing_in_sources_of_other_vendors() {
        assert_eq!(Mirror::in_lines("deb https://packages.example/apt tool-bookworm main\n"), None);
        assert_eq!(Mirror::in_lines("deb-src http://mirror.example/debian bookworm main\n"), None);
        assert_eq!(Mirror::in_stanzas("Types: deb\nURIs: https://x.example/node\nComponents: main\n"), None);
        assert_eq!(Mirror::in_stanzas(""), None);
    }

    #[test]
    fn a_key_in_the_stanza_itself_is_not_taken_for_a_file() {
        let text = "Types: deb\nURIs: http://m.example/debian\nSuites: s\nComponents: main\nSigned-By:\n -----BEGIN PGP-----\n";
        assert_eq!(Mirror::in_stanzas(text), mirror("http://m.example/debian", None));
    }
}
