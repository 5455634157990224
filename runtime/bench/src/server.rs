//! A `wisp serve` of our own: started on a free loopback port, watched, and stopped the way an operator stops it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use wisp_engine::Config;

use crate::BenchError;

/// Longest time from start to readiness: the first start fetches and proves models.
const START_LIMIT: Duration = Duration::from_secs(600);

/// Longest time from SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(35);

/// What the server prints when it is ready, before its address.
const READY: &str = "listening grpc=";

/// Lines of its log that an error repeats.
const LOG_LINES: usize = 20;

/// What must not reach the server: the configuration that it is given says all.
const VARIABLES: [&str; 5] = ["WISP_CONFIG", "WISP_GRPC", "WISP_BACKEND", "WISP_DEVICE", "WISP_PRECISION"];

/// A server process; killed if it is dropped without [`ServerChild::stop`].
#[derive(Debug)]
pub struct ServerChild {
    child: Child,
    address: String,
    admin: String,
    start: Duration,
    log: PathBuf,
    _folder: TempDir,
}

/// How a server is started.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions<'a> {
    /// The binary that `serve` is a command of.
    pub program: &'a Path,
    /// What it serves.
    pub config: &'a Config,
    /// Whether it may fetch nothing.
    pub is_offline: bool,
    /// Its cache folder; `None` for that of this process.
    pub home: Option<&'a Path>,
}

impl ServerChild {
    /// Starts `program serve` with a configuration and waits until it is ready.
    ///
    /// # Errors
    /// [`BenchError::Server`] with the end of its log.
    pub fn start(options: &ServerOptions<'_>) -> Result<Self, BenchError> {
        let ServerOptions { program, config, is_offline, home } = *options;
        let folder = tempfile::tempdir().map_err(BenchError::io("a folder for the server"))?;
        let (file, log) = (folder.path().join("wisp.toml"), folder.path().join("serve.log"));
        std::fs::write(&file, config.to_toml()).map_err(BenchError::io(file.display().to_string()))?;
        let stderr = File::create(&log).map_err(BenchError::io(log.display().to_string()))?;
        let mut command = Command::new(program);
        VARIABLES.iter().for_each(|variable| {
            command.env_remove(variable);
        });
        command.arg("serve").arg("--config").arg(&file).args([
            "--grpc",
            "127.0.0.1:0",
            "--http",
            "off",
            "--admin",
            "127.0.0.1:0",
        ]);
        command.args(is_offline.then_some("--offline"));
        command.envs(home.map(|home| ("WISP_HOME", home)));
        let started_at = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(BenchError::io(format!("cannot start {}", program.display())))?;
        let stdout = child.stdout.take();
        let mut server =
            Self { child, address: String::new(), admin: String::new(), start: Duration::ZERO, log, _folder: folder };
        let (sender, ready) = mpsc::channel();
        // Reads to the end, so that the server can never block on a full pipe.
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok) {
                if let Some(addresses) = line.strip_prefix(READY) {
                    // Nobody listens when the wait was given up.
                    let _ = sender.send(split(addresses));
                }
            }
        });
        // The sender goes when the server ends, so that an early end is noticed at once.
        match ready.recv_timeout(START_LIMIT) {
            Ok((address, admin)) => {
                (server.address, server.admin, server.start) = (address, admin, started_at.elapsed());
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(server.failed(&format!("was not ready within {} s", START_LIMIT.as_secs())));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = server.child.wait().map_err(BenchError::io("cannot wait for `wisp serve`"))?;
                return Err(server.failed(&format!("ended before it was ready ({status})")));
            }
        }
        Ok(server)
    }

    /// Where clients reach it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All its figures, in the text format of OpenMetrics; `None` when they cannot be had.
    #[must_use]
    pub fn metrics(&self) -> Option<String> {
        ureq::get(format!("http://{}/metrics", self.admin)).call().ok()?.body_mut().read_to_string().ok()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// From the start of the process until it served.
    #[must_use]
    pub fn start_time(&self) -> Duration {
        self.start
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// [`BenchError::Server`] when it does not end, or not well.
    pub fn stop(mut self) -> Result<(), BenchError> {
        if self.ended().is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)
                .map_err(|error| BenchError::io("cannot send SIGTERM to `wisp serve`")(error.into()))?;
        }
        let asked_at = Instant::now();
        loop {
            match self.ended() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.failed(&format!("ended badly ({status})"))),
                None if asked_at.elapsed() > STOP_LIMIT => {
                    return Err(self.failed(&format!("did not end within {} s", STOP_LIMIT.as_secs())));
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// An error that tells what the server wrote last.
    #[must_use]
    pub fn failed(&self, what: &str) -> BenchError {
        BenchError::Server { what: what.to_owned(), log: self.log_tail() }
    }

    /// The end of what it wrote, ready to stand behind a message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        if last.is_empty() { String::new() } else { format!("; the end of its log:\n{last}") }
    }

    /// The libraries that it says its models run on, by backend, with their versions.
    #[must_use]
    pub fn libraries(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(library).collect()
    }
}

/// Both addresses of `127.0.0.1:1 admin=127.0.0.1:2`.
fn split(addresses: &str) -> (String, String) {
    let (grpc, admin) = addresses.trim().split_once(" admin=").unwrap_or((addresses.trim(), ""));
    (grpc.to_owned(), admin.to_owned())
}

/// Backend and version out of `model      NAME on BACKEND:DEVICE (VERSION), PRECISION, …`.
fn library(line: &str) -> Option<(String, String)> {
    let (_, placement) = line.strip_prefix("model ")?.split_once(" on ")?;
    let (backend, rest) = placement.split_once(':')?;
    let (_, version) = rest.split_once(" (")?;
    Some((backend.to_owned(), version.split_once(')')?.0.to_owned()))
}

impl Drop for ServerChild {
    fn drop(&mut self) {
        // After a stop both calls find an ended process and change nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let both = split("127.0.0.1:1 admin=127.0.0.1:2");
        assert_eq!(both, ("127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()));
        assert_eq!(split("127.0.0.1:1"), ("127.0.0.1:1".to_owned(), String::new()));
    }

    #[test]
    fn what_the_server_says_of_its_models_is_understood() {
        let line = "model      all-minilm-l6-v2 on openvino:cpu (2026.4.1), int8, 64 golden answers at cosine 0.99";
        assert_eq!(library(line), Some(("openvino".to_owned(), "2026.4.1".to_owned())));
        assert_eq!(library("deployment embedder: builtin:embedder (148 KB), encoder = all-minilm-l6-v2"), None);
    }
}
