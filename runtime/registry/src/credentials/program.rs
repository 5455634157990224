//! Asks a credential program of Docker: `docker-credential-NAME get`, with the registry on its input.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// How long a program may think; some ask the person for a password.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest answer that is read.
const ANSWER_LIMIT_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// User and secret for a registry; `None` when the program knows none.
pub(super) async fn get(name: &str, server: &str) -> Result<Option<(String, String)>, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!("`{name}` names no credential program; it is the NAME of docker-credential-NAME"));
    }
    let program = format!("docker-credential-{name}");
    let answered = tokio::time::timeout(TIMEOUT, ask(&program, server)).await;
    let answered = answered.map_err(|_| format!("`{program}` answered nothing for {} s", TIMEOUT.as_secs()))?;
    let (is_success, answer) = answered.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("the Docker configuration names `{program}`, which is not on the PATH; install it, or log in anew")
        }
        _ => format!("`{program}`: {error}"),
    })?;
    if !is_success {
        let said = String::from_utf8_lossy(&answer).trim().to_owned();
        // The text that the protocol's own library writes for it.
        return if said.contains("credentials not found") {
            Ok(None)
        } else {
            Err(format!("`{program}` failed: {said}"))
        };
    }
    // What it said is a secret and stays out of messages.
    let answer: Answer = serde_json::from_slice(&answer)
        .map_err(|_| format!("`{program}` answered something else than JSON with Username and Secret"))?;
    Ok(Some((answer.username, answer.secret)).filter(|(user, secret)| !(user.is_empty() && secret.is_empty())))
}

/// Runs the program; whether it ended well, and what it wrote.
async fn ask(program: &str, server: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A program that reads nothing closes its end early; what it answers counts.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(ANSWER_LIMIT_BYTES).read_to_end(&mut answer).await?;
    }
    Ok((child.wait().await?.success(), answer))
}
