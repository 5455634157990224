//! A real registry program on a free port of loopback, with its storage in a temporary folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// User and bcrypt of the password, which is the only form that the registry takes.
const PASSWORD_FILE: &str = "ada:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n";

/// A running registry. Killed when dropped.
pub struct RegistryServer {
    child: Child,
    folder: TempDir,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

/// How a registry is protected.
#[derive(Clone, Copy, Debug, Default)]
pub struct Protection<'a> {
    /// Whether it lets in [`RegistryServer::USER`] alone.
    pub password: bool,
    /// Certificate and key, in PEM form.
    pub tls: Option<(&'a str, &'a str)>,
}

impl RegistryServer {
    /// The only user that a registry with a password knows.
    pub const USER: &str = "ada";
    /// Their password.
    pub const PASSWORD: &str = "correct horse";

    /// Starts one without protection; a skip of `test` when the program is not installed.
    ///
    /// # Panics
    /// When the program is there and does not start.
    #[must_use]
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, Protection::default())
    }

    /// As [`RegistryServer::start`], with protection.
    ///
    /// # Panics
    /// When the program is there and does not start.
    #[must_use]
    pub fn start_with(test: &str, protection: Protection<'_>) -> Option<Self> {
        let program = crate::REGISTRY.get(test)?;
        let folder = tempfile::tempdir().expect("temporary folder");
        let config = configuration(folder.path(), protection);
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).expect("writable");
        let mut child = Command::new(program)
            .arg("serve")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("is piped"));
        let mut said = String::new();
        let address = loop {
            let start = said.len();
            let count = log.read_line(&mut said).expect("the log is text");
            assert!(count > 0, "the registry ended: {said}");
            if let Some((_, address)) = said[start..].split_once("listening on ") {
                let end =
                    address.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':')).unwrap_or(address.len());
                break address[..end].to_owned();
            }
        };
        // A log that nobody reads would stop the program once the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Self { child, folder, address })
    }

    /// Where a blob lies in its storage.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, protection: Protection<'_>) -> String {
    let shown = folder.display();
    let mut config = format!(
        "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {shown}/storage}}\n"
    );
    if protection.password {
        std::fs::write(folder.join("htpasswd"), PASSWORD_FILE).expect("writable");
        config += &format!("auth:\n  htpasswd: {{realm: wisp, path: {shown}/htpasswd}}\n");
    }
    config += "http:\n  addr: 127.0.0.1:0\n";
    if let Some((certificate, key)) = protection.tls {
        std::fs::write(folder.join("server.pem"), certificate).expect("writable");
        std::fs::write(folder.join("server.key"), key).expect("writable");
        config += &format!("  tls: {{certificate: {shown}/server.pem, key: {shown}/server.key}}\n");
    }
    config
}
