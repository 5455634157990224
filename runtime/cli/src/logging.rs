//! The log: standard error, filtered and formatted as the options say.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{GlobalOptions, LogFormat};

/// Sets the log up for the process. A filter that cannot be read is told and replaced by `warn`.
pub(crate) fn init(options: &GlobalOptions) {
    let filter = EnvFilter::try_new(&options.log).unwrap_or_else(|error| {
        eprintln!("wisp: log filter `{}`: {error}; using `warn`", options.log);
        EnvFilter::new("warn")
    });
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Files and journals show the codes of colours as rubbish.
    let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal());
    match options.log_format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
