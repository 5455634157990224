//! Looking at native libraries from another process: one that crashes when it is loaded must not take the engine along.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use wisp_core::{BackendId, BackendReport};

/// The longest that a library may take to load and to look for its devices.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How often the child is looked at.
const POLL: Duration = Duration::from_millis(5);

/// The longest report that is read.
const REPORT_LIMIT_BYTES: u64 = 1 << 20;

/// The program that probes, and what it is called with before the name of the backend.
static PROGRAM: OnceLock<(PathBuf, Vec<String>)> = OnceLock::new();

/// What was found, once a process: libraries do not change under it.
static FOUND: Mutex<Vec<(BackendId, Result<BackendReport, String>)>> = Mutex::new(Vec::new());

/// Names the program that is started to look at a backend: with these arguments and the backend's name it must print the
/// [`BackendReport`] as JSON. Without one, libraries are loaded unseen. The first call counts: libraries are the process's,
/// and so is this.
pub fn use_probe_program(program: PathBuf, arguments: Vec<String>) {
    // A second call names the same program or comes too late; neither is worth failing for.
    let _ = PROGRAM.set((program, arguments));
}

/// What another process finds of a backend; `None` when no program was named.
///
/// # Errors
/// How that process ended, when it did not end well.
pub(super) fn report(backend: BackendId) -> Option<Result<BackendReport, String>> {
    let (program, arguments) = PROGRAM.get()?;
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, report)) = found.iter().find(|(known, _)| *known == backend) {
        return Some(report.clone());
    }
    let report = run(Command::new(program).args(arguments).arg(backend.name()));
    found.push((backend, report.clone()));
    Some(report)
}

fn run(command: &mut Command) -> Result<BackendReport, String> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.map_err(|error| format!("the process that looks at libraries does not start: {error}"))?;
    // Read beside waiting: a child that fills the pipe would wait for us.
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.map(|output| output.take(REPORT_LIMIT_BYTES).read_to_string(&mut text));
        read.transpose().map(|_| text)
    });
    let status = wait(&mut child)?;
    let text = reader.join().ok().and_then(Result::ok).unwrap_or_default();
    if !status.success() {
        return Err(format!("a library crashes when it is loaded: the process that looked at it ended with {status}"));
    }
    serde_json::from_str(&text).map_err(|error| format!("the process that looks at libraries gave no report: {error}"))
}

fn wait(child: &mut Child) -> Result<ExitStatus, String> {
    let begun_at = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if begun_at.elapsed() < TIME_LIMIT => std::thread::sleep(POLL),
            Ok(None) => {
                // It may have ended meanwhile; either way it is gone.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "a library hangs when it is loaded: nothing came within {} s",
                    TIME_LIMIT.as_secs()
                ));
            }
            Err(error) => return Err(format!("the process that looks at libraries is lost: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<BackendReport, String> {
        run(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_report_comes_back_as_it_was_printed() {
        let report = BackendReport {
            backend: BackendId::Ort,
            version: Some("1.0".to_owned()),
            library: None,
            devices: Vec::new(),
        };
        let json = serde_json::to_string(&report).expect("plain data");
        assert_eq!(shell(&format!("echo '{json}'")), Ok(report));
    }

    #[test]
    fn a_crash_is_told_and_survived() {
        let error = shell("kill -SEGV $$").expect_err("crashed");
        assert!(error.contains("crashes when it is loaded") && error.contains("11"), "{error}");
        let error = shell("echo nonsense").expect_err("says nothing");
        assert!(error.contains("gave no report"), "{error}");
    }
}
