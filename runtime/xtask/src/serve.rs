//! A running `wisp serve`: started on a free port, awaited, and stopped the way an operator stops it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::setup::Workplace;

/// Longest time from start to readiness; the first start compiles the guest to machine code and checks the model.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Longest time from SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What the server prints when it is ready, before its address.
const READY: &str = "listening grpc=";

/// A server process; killed if it is dropped without [`Server::stop`].
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Server {
    /// Starts the server on a free port of the loopback interface and waits until it is ready.
    pub(crate) fn start(workplace: &Workplace) -> Result<Self> {
        let program = workplace.repository.binary("wisp");
        let log = workplace.repository.server_log();
        let stderr = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut child = Command::new(&program)
            .args(["serve", "--grpc", "127.0.0.1:0", "--http", "off", "--admin", "off"])
            .env("WISP_HOME", workplace.home.root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;

        let stdout = child.stdout.take().context("the server's standard output is piped")?;
        let mut server = Self { child, address: String::new(), log };
        let (sender, ready) = mpsc::channel();
        // Reads to the end, so that the server can never block on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix(READY) {
                    let address = address.split_whitespace().next().unwrap_or_default().to_owned();
                    // Nobody listens when the wait was given up; then the address is of no use.
                    let _ = sender.send(address);
                }
            }
        });
        // The sender goes when the server ends, so that an early end is noticed at once.
        match ready.recv_timeout(START_LIMIT) {
            Ok(address) => server.address = address,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("`wisp serve` was not ready within {} s{}", START_LIMIT.as_secs(), server.log_tail())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = server.child.wait().context("cannot wait for `wisp serve`")?;
                bail!("`wisp serve` ended before it was ready ({status}){}", server.log_tail())
            }
        }
        Ok(server)
    }

    /// Where clients reach it: `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks the server to end (SIGTERM), waits until it has, and checks that it ended well.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("cannot send SIGTERM to `wisp serve`")?;
        let status = self.wait()?;
        ensure!(status.success(), "`wisp serve` ended badly after SIGTERM ({status}){}", self.log_tail());
        Ok(())
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for `wisp serve`")? {
                return Ok(status);
            }
            if started.elapsed() > STOP_LIMIT {
                bail!("`wisp serve` did not end within {} s after SIGTERM{}", STOP_LIMIT.as_secs(), self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(20)..].join("\n");
        if last.is_empty() { String::new() } else { format!("; the end of {}:\n{last}", self.log.display()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a stop both calls find an ended process and change nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
