//! Runs steps: each a child with an empty environment, a process group of its own and a deadline.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use log::{info, warn};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::step::{ARGUMENT, Failure};
use crate::supervisor::exits::Exits;

/// How long a step other than `create` may take.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// After a step's end its pipes are empty at once, unless something that it left behind still holds them.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a step gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// The step says why.
    #[error("{0}")]
    Refused(String),
    /// It did not end in time and was killed.
    #[error("`{step}` did not end within {} s and was stopped; a hook or mount of the container hangs", timeout.as_secs())]
    TimedOut { step: String, timeout: Duration },
    /// It ended without saying anything.
    #[error("`{step}` ended with exit code {code} and no answer; the shim's log has its last words")]
    Died { step: String, code: i32 },
    /// It could not be started.
    #[error("cannot run `{step}`: {reason}")]
    NotStarted { step: String, reason: String },
}

/// Runs the step `name` on `request` under the supervisor, which reaps all children.
pub(super) async fn run<Answer: DeserializeOwned>(
    name: &str,
    request: &impl Serialize,
    timeout: Duration,
) -> Result<Answer, StepError> {
    let not_started = |reason: String| StepError::NotStarted { step: name.to_owned(), reason };
    let mut exits = Exits::subscribe().await.map_err(|error| not_started(error.to_string()))?;
    let ended = async {
        let mut child = spawn(name, request).map_err(|error| not_started(error.to_string()))?;
        let pid = child.id();
        let pipe = |stream: Option<OwnedFd>| stream.map(Receiver::from_owned_fd).transpose();
        let stdout = pipe(child.stdout.take().map(Into::into)).map_err(|error| not_started(error.to_string()))?;
        let stderr = pipe(child.stderr.take().map(Into::into)).map_err(|error| not_started(error.to_string()))?;
        let output = tokio::spawn(read(stdout));
        let words = tokio::spawn(read(stderr));
        let Ok(code) = tokio::time::timeout(timeout, exits.of(pid)).await else {
            stop(pid);
            return Err(StepError::TimedOut { step: name.to_owned(), timeout });
        };
        let text = |task| async {
            tokio::time::timeout(DRAIN_TIMEOUT, task).await.ok().and_then(Result::ok).unwrap_or_default()
        };
        for line in String::from_utf8_lossy(&text(words).await).lines() {
            info!("{name}: {line}");
        }
        judge(name, code.unwrap_or(-1), &text(output).await)
    }
    .await;
    exits.unsubscribe().await;
    ended
}

/// Runs the step `name` where nobody else reaps: in the process that cleans up after a dead shim.
pub(super) fn run_unsupervised(name: &str, request: &impl Serialize) -> Result<(), StepError> {
    let not_started = |reason: String| StepError::NotStarted { step: name.to_owned(), reason };
    let mut child = spawn(name, request).map_err(|error| not_started(error.to_string()))?;
    let mut output = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut output).map_err(|error| not_started(error.to_string()))?;
    }
    // The signal handler of the library may have reaped the child first; its answer says enough.
    let code = child.wait().ok().and_then(|status| status.code()).unwrap_or_else(|| i32::from(output != b"null"));
    judge(name, code, &output)
}

fn spawn(name: &str, request: &impl Serialize) -> std::io::Result<Child> {
    let text = serde_json::to_vec(request)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([ARGUMENT, name])
        .env_clear()
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A request is smaller than a pipe's buffer or read at once; a step that is gone is seen by its exit code.
        let _ = stdin.write_all(&text);
    }
    Ok(child)
}

async fn read(stream: Option<Receiver>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream
        && let Err(error) = stream.read_to_end(&mut bytes).await
    {
        warn!("a step's output was cut off: {error}");
    }
    bytes
}

fn judge<Answer: DeserializeOwned>(name: &str, code: i32, output: &[u8]) -> Result<Answer, StepError> {
    let died = || StepError::Died { step: name.to_owned(), code };
    if code == 0 {
        return serde_json::from_slice(output).map_err(|_| died());
    }
    let failure: Failure = serde_json::from_slice(output).map_err(|_| died())?;
    Err(StepError::Refused(failure.message))
}

/// Kills the step and all that it started and that did not leave its group.
fn stop(pid: u32) {
    let group = Pid::from_raw(i32::try_from(pid).unwrap_or_default());
    if group.as_raw() > 1
        && let Err(error) = killpg(group, Signal::SIGKILL)
    {
        warn!("cannot stop step {pid}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_a_refusal_and_silence_are_told_apart() {
        assert_eq!(judge::<u32>("s", 0, b"7").expect("an answer"), 7);
        let refused = judge::<u32>("s", 1, br#"{"message":"no"}"#).expect_err("a refusal");
        assert_eq!(refused.to_string(), "no");
        for (code, output) in [(0, &b""[..]), (1, b"panicked"), (139, b"")] {
            assert!(matches!(judge::<u32>("s", code, output), Err(StepError::Died { .. })), "{code}");
        }
    }
}
