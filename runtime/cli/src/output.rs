//! Results on standard output. A reader that has seen enough (`wisp … | head`) is no failure, and no panic.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Writes one line.
///
/// # Errors
/// Whatever the stream says; [`is_closed`] knows the error of a reader that left.
pub(crate) fn line(text: impl Display) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")
}

/// An error with its causes, each of them once: many errors name their cause in their own message already.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether a command failed only because nobody reads its output any more.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_that_the_message_names_is_not_said_twice() {
        let missing = || std::io::Error::from(ErrorKind::NotFound);
        let named = anyhow::Error::new(missing()).context(format!("wisp.toml: {}", missing()));
        assert_eq!(explain(&named), "wisp.toml: entity not found");
        let unnamed = Err::<(), _>(missing()).context("wisp.toml").expect_err("is an error");
        assert_eq!(explain(&unnamed), "wisp.toml: entity not found");
    }
}
