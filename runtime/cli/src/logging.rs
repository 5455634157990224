//! The log: standard error, filtered and formatted as the options say.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{GlobalOptions, LogFormat};

/// What a person wants to read of a command.
const COMMAND_FILTER: &str = "warn";

/// What belongs into the log of a pod: how it started, what it runs on, why it ended.
const POD_FILTER: &str = "warn,wisp=info";

/// Sets the log up for the process. A filter that cannot be read is told and replaced by the default.
pub(crate) fn init(options: &GlobalOptions) {
    set_up(options, COMMAND_FILTER, LogFormat::Text);
}

/// As [`init`], for a pod: logs of pods are collected, and read by programs unless somebody looks on.
pub(crate) fn init_pod(options: &GlobalOptions) {
    let format = if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    set_up(options, POD_FILTER, format);
}

fn set_up(options: &GlobalOptions, default_filter: &str, default_format: LogFormat) {
    let filter = options.log.as_deref().unwrap_or(default_filter);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        eprintln!("wisp: log filter `{filter}`: {error}; using `{default_filter}`");
        EnvFilter::new(default_filter)
    });
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Files and journals show the codes of colours as rubbish.
    let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal());
    match options.log_format.unwrap_or(default_format) {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
