//! The log: standard error, filtered and formatted as the options say.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::{GlobalOptions, LogFormat};

/// What a person wants to read of a command.
const COMMAND_FILTER: &str = "warn";

/// What belongs into the log of a service: how it started, what it runs on, why it ended.
const SERVICE_FILTER: &str = "warn,wisp=info";

/// Whether the log is written for programs; set once.
static IS_JSON: OnceLock<bool> = OnceLock::new();

/// Sets the log up for a command. A filter that cannot be read is told and replaced by the default.
pub(crate) fn init(options: &GlobalOptions) {
    let format = options.log_format.unwrap_or(LogFormat::Text);
    set_up(options, is_json(format), COMMAND_FILTER);
}

/// As [`init`], for `wisp serve`: logs of services are collected, and read by programs unless somebody looks on. A person is told
/// of the start by other means.
pub(crate) fn init_service(options: &GlobalOptions) {
    let is_json = is_json(options.log_format.unwrap_or_default());
    set_up(options, is_json, if is_json { SERVICE_FILTER } else { COMMAND_FILTER });
}

/// As [`init_service`], for a pod, whose log is all that is seen of it.
pub(crate) fn init_pod(options: &GlobalOptions) {
    set_up(options, is_json(options.log_format.unwrap_or_default()), SERVICE_FILTER);
}

/// Whether standard error has one JSON object a line, and nothing else may be written there.
pub(crate) fn writes_json() -> bool {
    IS_JSON.get().copied().unwrap_or(false)
}

fn is_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

fn set_up(options: &GlobalOptions, is_json: bool, default_filter: &str) {
    let filter = options.log.as_deref().unwrap_or(default_filter);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        eprintln!("wisp: log filter `{filter}`: {error}; using `{default_filter}`");
        EnvFilter::new(default_filter)
    });
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Files and journals show the codes of colours as rubbish.
    let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal());
    match is_json {
        true => subscriber.json().init(),
        false => subscriber.init(),
    }
    IS_JSON.get_or_init(|| is_json);
}
