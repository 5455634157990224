//! What is to be measured: targets, deployments, texts, load and method.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::answer::Lane;
use crate::load::{Arrivals, Load};
use crate::mix::Mix;
use crate::shapes::Shape;
use crate::slo::Slo;
use crate::stream_spec::StreamSpec;
use crate::variant::VariantChoice;

/// Longest time that any flag may name.
const DURATION_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Each of these in turn.
    pub targets: Vec<TargetChoice>,
    /// Each of these in turn; empty for all that the configuration has.
    pub deployments: Vec<DeploymentChoice>,
    /// The load.
    pub work: Work,
    /// A file of texts, one a line, in place of a mix.
    pub texts: Option<PathBuf>,
    /// Different texts of a mix, or most lines of the file that are used.
    pub pool_texts: usize,
    /// Seed of texts and arrivals.
    pub seed: u64,
    /// Time before measuring, of every run.
    pub warm_up: Duration,
    /// Time that every run measures.
    pub duration: Duration,
    /// How often every run is made.
    pub repeats: usize,
    /// Longest time that an answer is waited for.
    pub timeout: Duration,
    /// HTTP/2 connections of a stream; `None` for one for every 16 clients, at most 8.
    pub connections: Option<usize>,
    /// Threads of the client; `None` for one for every four processors.
    pub client_threads: Option<usize>,
    /// A file that holds the bearer token of every stream that has none of its own.
    pub token_file: Option<PathBuf>,
    /// Whether answers are compared with their reference.
    pub is_checked: bool,
    /// What latency is to be; runs tell how much of their throughput keeps it.
    pub slo: Option<Slo>,
    /// Whether the highest rate that keeps it is searched, in place of the loads of [`Work::Sweep`].
    pub is_search: bool,
    /// How requests of such a search arrive.
    pub arrivals: Arrivals,
    /// Placements and precisions that are measured one after the other.
    pub variants: VariantChoice,
    /// Shapes of batches that are measured without a guest.
    pub shapes: Vec<Shape>,
    /// Whether starts are measured.
    pub is_cold: bool,
}

/// The load of all runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// None: shapes or starts alone are measured.
    None,
    /// Every mix under every load, one run each.
    Sweep {
        /// The mixes; without a meaning where there is a file of texts.
        mixes: Vec<Mix>,
        /// The loads.
        loads: Vec<Load>,
        /// Texts in a request.
        request_texts: usize,
        /// The lane.
        lane: Lane,
    },
    /// All of these at one time, in one run.
    Streams(Vec<StreamSpec>),
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetChoice {
    /// A server that is started for it.
    Server,
    /// A server that runs already: `http://address:port`.
    Address(String),
    /// The engine in this process.
    Engine,
    /// The backend in this process.
    Backend,
}

/// A deployment that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentChoice {
    /// Its name.
    pub name: String,
    /// Its guest, where the configuration does not have it.
    pub guest: Option<PathBuf>,
}

impl Default for Plan {
    /// Nothing but the usual method.
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            deployments: Vec::new(),
            work: Work::None,
            texts: None,
            pool_texts: 256,
            seed: 1,
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            repeats: 1,
            timeout: Duration::from_secs(30),
            connections: None,
            client_threads: None,
            token_file: None,
            is_checked: true,
            slo: None,
            is_search: false,
            arrivals: Arrivals::default(),
            variants: VariantChoice::default(),
            shapes: Vec::new(),
            is_cold: false,
        }
    }
}

impl FromStr for TargetChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "server" => Ok(Self::Server),
            "engine" => Ok(Self::Engine),
            "backend" => Ok(Self::Backend),
            _ => {
                let address = text.strip_prefix("grpc://").or_else(|| text.strip_prefix("http://"));
                match address {
                    Some(address) if !address.is_empty() => Ok(Self::Address(format!("http://{address}"))),
                    _ => Err(format!("unknown target `{text}`; one of server, engine, backend, grpc://HOST:PORT")),
                }
            }
        }
    }
}

impl fmt::Display for TargetChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Address(address) => address,
            Self::Engine => "engine",
            Self::Backend => "backend",
        })
    }
}

impl TargetChoice {
    /// What kind of target it is, for reports: whose server it is makes none.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Server | Self::Address(_) => "server",
            Self::Engine => "engine",
            Self::Backend => "backend",
        }
    }

    /// Whether it runs in the process that measures.
    #[must_use]
    pub fn is_in_process(&self) -> bool {
        matches!(self, Self::Engine | Self::Backend)
    }
}

impl FromStr for DeploymentChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, guest) = match text.split_once('=') {
            Some((name, guest)) => (name, Some(guest)),
            None => (text, None),
        };
        if name.is_empty() || guest.is_some_and(str::is_empty) {
            return Err(format!("`{text}` is no deployment; give NAME or NAME=FILE.wasm"));
        }
        Ok(Self { name: name.to_owned(), guest: guest.map(PathBuf::from) })
    }
}

/// A time as a flag writes it: `500ms`, `10s`, `2m`.
///
/// # Errors
/// What is possible.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is no time; write 500ms, 10s or 2m, at most 24 hours");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
    let seconds = match &text[digits.len()..] {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(error()),
    };
    let number: f64 = digits.parse().map_err(|_| error())?;
    let duration = Duration::try_from_secs_f64(number * seconds).map_err(|_| error())?;
    if duration > DURATION_LIMIT { Err(error()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("1.5s", 1500), ("2m", 120_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        for text in ["", "10", "s", "-1s", "1d", "NaNs", "99999h", "1 s2"] {
            assert!(parse_duration(text).expect_err(text).contains("is no time"), "{text}");
        }
    }

    #[test]
    fn targets_and_deployments_are_read() {
        let address = TargetChoice::Address("http://127.0.0.1:50051".to_owned());
        assert_eq!("grpc://127.0.0.1:50051".parse(), Ok(address));
        assert_eq!("engine".parse(), Ok(TargetChoice::Engine));
        assert!("127.0.0.1".parse::<TargetChoice>().expect_err("lacks a scheme").contains("grpc://HOST:PORT"));
        let own = DeploymentChoice { name: "mine".to_owned(), guest: Some(PathBuf::from("a/b.wasm")) };
        assert_eq!("mine=a/b.wasm".parse(), Ok(own));
        assert!("=x".parse::<DeploymentChoice>().is_err() && "x=".parse::<DeploymentChoice>().is_err());
    }
}
