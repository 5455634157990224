//! A private containerd: its own root, state, socket and configuration in one folder, started and ended by process id.

pub(crate) mod config;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::cri::Cri;
use crate::images::Image;
use config::Handlers;

/// Longest time from start to an answer on the socket.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Longest time from SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Lines of containerd's log that a failure shows.
const SHOWN_LINES: usize = 60;

/// A variable of containerd's environment that no container may ever see.
pub(crate) const SECRET: &str = "WISP_E2E_SECRET_OF_THE_HOST";

/// Which configuration format and which abilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// 1.x: container images only.
    One,
    /// 2.x: also artifacts, CDI devices and image volumes.
    Two,
}

/// Where a private containerd keeps what.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// The folder of everything.
    pub(crate) folder: PathBuf,
    /// Images and snapshots.
    pub(crate) root: PathBuf,
    /// What lasts as long as the processes.
    pub(crate) state: PathBuf,
    /// The socket.
    pub(crate) socket: PathBuf,
    /// The shims' socket.
    pub(crate) ttrpc: PathBuf,
    /// CDI specifications.
    pub(crate) cdi: PathBuf,
    /// Logs of the pods.
    pub(crate) logs: PathBuf,
    /// What containerd writes.
    pub(crate) log: PathBuf,
}

impl Paths {
    /// Names below `folder`, short ones: a socket's path has at most 107 bytes.
    pub(crate) fn below(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name);
        Self {
            folder: folder.to_owned(),
            root: at("root"),
            state: at("state"),
            socket: at("c.sock"),
            ttrpc: at("t.sock"),
            cdi: at("cdi"),
            logs: at("pods"),
            log: at("containerd.log"),
        }
    }

    /// The options of the shim under test.
    pub(crate) fn shim_options(&self) -> PathBuf {
        self.folder.join("shim.toml")
    }
}

/// A running containerd.
#[derive(Debug)]
pub(crate) struct Containerd {
    /// Where it keeps what.
    pub(crate) paths: Paths,
    /// What it can do.
    pub(crate) generation: Generation,
    programs: PathBuf,
    search: String,
    child: Child,
}

impl Containerd {
    /// Starts the `containerd` in the folder `programs` with everything it keeps below `folder`.
    pub(crate) async fn start(programs: &Path, folder: &Path, handlers: Handlers<'_>) -> Result<(Self, Cri)> {
        let generation = generation(programs).await?;
        let paths = Paths::below(folder);
        for path in [&paths.root, &paths.state, &paths.cdi, &paths.logs] {
            std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        let configuration = folder.join("config.toml");
        std::fs::write(&configuration, config::text(generation, &paths, handlers))
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        std::fs::write(paths.shim_options(), config::shim_options(&paths))
            .context("cannot write the shim's options")?;
        let search = search_path(programs, handlers);
        let child = spawn(programs, &search, &paths)?;
        let mut containerd = Self { paths, generation, programs: programs.to_owned(), search, child };
        let cri = containerd.connect().await?;
        Ok((containerd, cri))
    }

    /// Imports an image into the namespace of Kubernetes.
    pub(crate) async fn import(&self, image: &Image) -> Result<()> {
        let file = self.paths.folder.join("image.tar");
        std::fs::write(&file, image.archive()?).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(self.programs.join("ctr"));
        command.arg("--address").arg(&self.paths.socket).args(["--namespace", "k8s.io", "images", "import"]);
        // The other way asks a service that looks at the host's default platform only.
        if self.generation == Generation::Two {
            command.arg("--local");
        }
        command.args(["--no-unpack", "--all-platforms"]).arg(&file);
        let output = command.output().await.context("cannot start `ctr`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "image {} cannot be imported: {said}", image.name);
        std::fs::remove_file(&file).with_context(|| format!("cannot delete {}", file.display()))
    }

    /// Kills it as a crash would, and starts it again on what it left.
    pub(crate) async fn crash_and_restart(&mut self) -> Result<Cri> {
        self.child.kill().await.context("cannot kill containerd")?;
        self.child = spawn(&self.programs, &self.search, &self.paths)?;
        self.connect().await
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let process = self.process().context("containerd has ended before")?;
        kill_process(process, Signal::TERM).context("cannot send SIGTERM to containerd")?;
        let ended = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await;
        ended.context("containerd did not end after SIGTERM")?.context("cannot wait for containerd")?;
        Ok(())
    }

    /// The end of its log, without the chatter.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.paths.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("level=debug")).collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }

    fn process(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    async fn connect(&mut self) -> Result<Cri> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for containerd")? {
                bail!("containerd ended at once ({status}); its log:\n{}", self.log_tail());
            }
            let answer = match Cri::connect(&self.paths.socket).await {
                Ok(cri) => cri.version().await.map(|_| cri),
                Err(error) => Err(error),
            };
            match answer {
                Ok(cri) => return Ok(cri),
                Err(error) if started.elapsed() > START_LIMIT => {
                    return Err(error.context(format!("containerd does not answer; its log:\n{}", self.log_tail())));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Where containerd looks for shims; 1.x finds the one under test nowhere else.
fn search_path(programs: &Path, handlers: Handlers<'_>) -> String {
    let folders = [Some(programs), handlers.shim.and_then(Path::parent)].into_iter().flatten();
    let folders: String = folders.map(|folder| format!("{}:", folder.display())).collect();
    format!("{folders}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

/// Starts the daemon with an environment that holds nothing but the path and a variable that must stay outside the pods.
fn spawn(programs: &Path, search: &str, paths: &Paths) -> Result<Child> {
    let log = File::options().create(true).append(true).open(&paths.log);
    let log = log.with_context(|| format!("cannot write {}", paths.log.display()))?;
    let program = programs.join("containerd");
    Command::new(&program)
        .arg("--config")
        .arg(paths.folder.join("config.toml"))
        .env_clear()
        .env("PATH", search)
        .env(SECRET, "must stay outside")
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("cannot share the log")?)
        .stderr(log)
        // A signal from the terminal is for the harness, which then ends everything in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

async fn generation(programs: &Path) -> Result<Generation> {
    let program = programs.join("containerd");
    let output = Command::new(&program).arg("--version").output().await;
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version =
        said.split_whitespace().find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
    match version.map(|version| version.trim_start_matches('v')) {
        Some(version) if version.starts_with("1.") => Ok(Generation::One),
        Some(version) if version.starts_with("2.") => Ok(Generation::Two),
        _ => bail!("{} is neither containerd 1.x nor 2.x: {said}", program.display()),
    }
}
