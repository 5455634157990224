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

/// Whether a command failed only because nobody reads its output any more.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe))
}
