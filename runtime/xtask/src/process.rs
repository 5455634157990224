//! Running other programs, so that a failure names the command and shows what it said.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::progress::Step;

/// Lines of a failed program's output that a message shows.
const SHOWN_LINES: usize = 40;

/// The `cargo` that runs this program, or the one on the `PATH`.
///
/// `cargo run` describes the package of this program in variables; some build scripts (ring's) depend on variables of these
/// names, so that a cargo inside and one outside `cargo xtask` would each rebuild what the other has built.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let is_of_this_package =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if is_of_this_package {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program and returns what it wrote to its standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = describe(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let said = tail(&String::from_utf8_lossy(&output.stderr));
        bail!("`{shown}` failed ({}):\n{said}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program that talks to the user itself.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a program inside a step: on a terminal its last line of progress is shown beside the step, and all of its last
/// lines if it fails; elsewhere (a log file, CI) its messages pass through as they come. Returns its standard output.
pub(crate) fn run_within(step: &Step, command: &mut Command) -> Result<String> {
    let shown = describe(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if !step.relays() {
        // Through a pipe cargo shows how far it is only when asked to.
        command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "100");
    }
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let stderr = child.stderr.take().context("the child's standard error is piped")?;
    let stdout = child.stdout.take().context("the child's standard output is piped")?;

    let reader = std::thread::spawn(move || std::io::read_to_string(stdout));
    let mut last_lines = VecDeque::new();
    for_each_message(BufReader::new(stderr), |message, is_final| {
        step.relay(message);
        if is_final {
            if last_lines.len() == SHOWN_LINES {
                last_lines.pop_front();
            }
            last_lines.push_back(message.to_owned());
        }
    })
    .with_context(|| format!("cannot read the messages of `{shown}`"))?;
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    let Ok(stdout) = reader.join() else { bail!("the thread that reads the output of `{shown}` panicked") };
    if status.success() {
        return stdout.with_context(|| format!("cannot read the output of `{shown}`"));
    }
    if step.relays() {
        bail!("`{shown}` failed ({status}); its messages are above");
    }
    bail!("`{shown}` failed ({status}):\n{}", Vec::from(last_lines).join("\n"));
}

/// Where a program lies on the `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| is_executable(path))
}

/// Whether a path is a file that may be executed.
pub(crate) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Calls back for each line, and for each that a carriage return ends: such a line is not final, the next overwrites it.
fn for_each_message(mut reader: impl BufRead, mut call: impl FnMut(&str, bool)) -> std::io::Result<()> {
    let mut message = Vec::new();
    loop {
        let bytes = reader.fill_buf()?;
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        message.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
        let is_final = end.is_none_or(|end| bytes[end] == b'\n');
        let (is_last, consumed) = (bytes.is_empty(), end.map_or(bytes.len(), |end| end + 1));
        reader.consume(consumed);
        if (end.is_some() || is_last) && !message.is_empty() {
            call(&String::from_utf8_lossy(&message), is_final);
            message.clear();
        }
        if is_last {
            return Ok(());
        }
    }
}

/// The command as a user would type it.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error =
            capture(Command::new("sh").args(["-c", "echo the reason >&2; exit 3"])).expect_err("it exits with 3");
        let message = format!("{error:#}");
        assert!(message.contains("sh -c"), "{message}");
        assert!(message.contains("the reason"), "{message}");
        assert!(message.contains('3'), "{message}");
    }

    #[test]
    fn a_cargo_within_cargo_knows_nothing_of_this_package() {
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo sets it for tests too");
        let command = cargo();
        let removed = |name: &str| command.get_envs().any(|(variable, value)| variable == name && value.is_none());
        assert!(removed("CARGO_MANIFEST_DIR") && removed("CARGO_PKG_NAME"));
        assert!(!removed("PATH"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = capture(&mut Command::new("no-such-program-of-wisp")).expect_err("there is no such program");
        assert!(format!("{error:#}").contains("no-such-program-of-wisp"), "{error:#}");
    }

    #[test]
    fn lines_that_a_carriage_return_ends_are_not_final() {
        let mut messages = Vec::new();
        // A buffer of three bytes, so that messages span several reads.
        let reader = BufReader::with_capacity(3, "first\n  1/2: ä\r2/2\rsecond\n\nlast".as_bytes());
        for_each_message(reader, |message, is_final| messages.push((message.to_owned(), is_final)))
            .expect("bytes in memory can be read");
        let messages: Vec<_> = messages.iter().map(|(message, is_final)| (message.as_str(), *is_final)).collect();
        assert_eq!(messages, [("first", true), ("  1/2: ä", false), ("2/2", false), ("second", true), ("last", true)]);
    }

    #[test]
    fn a_message_shows_only_the_last_lines() {
        let text: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let shown = tail(&text);
        assert_eq!(shown.lines().count(), SHOWN_LINES);
        assert!(shown.ends_with("line 99"));
    }

    #[test]
    fn finds_programs_on_the_path_only_when_they_can_run() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-of-wisp").is_none());
    }
}
