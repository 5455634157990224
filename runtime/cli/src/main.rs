//! `wisp`: serve, embed, measure, look after models.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 130 and 143 interrupted before the
//! service was up or a benchmark was whole. Results go to standard output, everything else to standard error.

#![forbid(unsafe_code)]

mod bench;
mod classify;
mod compile;
mod config;
mod devices;
mod embed;
mod environment;
mod logging;
mod models;
mod neighbours;
mod node;
mod output;
mod placement;
mod pod;
mod probe;
mod progress;
mod pull;
mod push;
mod registries;
mod reload;
mod run;
mod serve;
mod signals;
mod table;
mod texts;

use std::io::Write;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Exit code of what was done.
pub(crate) const SUCCESS: u8 = 0;
/// Exit code of what failed.
const FAILURE: u8 = 1;
/// Exit code of a command that was used wrongly.
const WRONG_USAGE: u8 = 2;

/// Edge AI micro-inference: embeddings computed by sandboxed WebAssembly guests.
#[derive(Parser)]
#[command(name = "wisp", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalOptions,
}

/// Options of every command.
#[derive(Args)]
pub(crate) struct GlobalOptions {
    /// Fetch nothing; use what the cache holds, or fail with what is missing.
    #[arg(long, global = true, env = "WISP_OFFLINE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    offline: bool,
    /// What is logged: error, warn, info, debug, trace, or filters such as wisp_host=debug.
    /// By default warn; in a pod warn,wisp=info.
    #[arg(long, global = true, env = "WISP_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How it is logged; auto is text on a terminal and json elsewhere. By default auto for a service, text for other commands.
    #[arg(long, global = true, env = "WISP_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Form of log lines.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For programs, one object a line.
    Json,
}

/// Form of results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Serve deployments over gRPC.
    Serve(serve::Serve),
    /// Embed texts here, without a server.
    Embed(embed::Embed),
    /// Classify texts or images here, without a server.
    Classify(classify::Classify),
    /// Run a module: a program, an HTTP application, an embedder, a classifier.
    Run(Box<run::Run>),
    /// Measure throughput and latency, with every answer checked.
    Bench(Box<bench::Bench>),
    /// List, fetch, check and export models.
    #[command(subcommand)]
    Models(models::Models),
    /// Push a Wasm module or a model to a registry.
    Push(push::Push),
    /// Pull a Wasm module or a model from a registry.
    Pull(pull::Pull),
    /// Show every backend and device, and why one cannot be used.
    Devices(devices::Devices),
    /// Look at one backend's library.
    #[command(hide = true)]
    Probe(probe::Probe),
    /// Check or print a configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Compile a module to machine code, ahead of its first start.
    Compile(compile::Compile),
    /// Put Wisp onto a node of a cluster, and prepare it for pods.
    #[command(subcommand)]
    Node(node::Node),
    /// Serve the module of an image in a pod.
    #[command(hide = true)]
    Pod(pod::Pod),
}

fn main() {
    let code = run();
    // Whoever read the output has perhaps gone; that is no reason to stay. Standard error is not buffered.
    let _ = std::io::stdout().flush();
    wisp_engine::end_process(code)
}

/// Returns the exit code.
fn run() -> u8 {
    if pod::is_asked_for()
        && let Err(error) = pod::enter()
    {
        return pod::end(&error.into());
    }
    let matches = environment::without_empty(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Command::Pod(command) = cli.command {
        probe::install();
        let ended = command.run(&cli.global);
        return ended.map_or_else(|error| pod::end(&error), |()| SUCCESS);
    }
    match cli.command {
        Command::Serve(_) => logging::init_service(&cli.global),
        _ => logging::init(&cli.global),
    }
    if !matches!(cli.command, Command::Probe(_)) {
        probe::install();
    }
    let done = |()| SUCCESS;
    let result = match cli.command {
        Command::Pod(_) => unreachable!("it was run above"),
        Command::Run(command) => command.run(&cli.global),
        Command::Serve(command) => command.run(&cli.global).map(done),
        Command::Embed(command) => command.run(&cli.global).map(done),
        Command::Classify(command) => command.run(&cli.global).map(done),
        Command::Bench(command) => command.run(&cli.global).map(done),
        Command::Models(command) => command.run(&cli.global).map(done),
        Command::Push(command) => command.run(&cli.global).map(done),
        Command::Pull(command) => command.run(&cli.global).map(done),
        Command::Devices(command) => command.run(&cli.global).map(done),
        Command::Probe(command) => command.run(&cli.global).map(done),
        Command::Config(command) => command.run(&cli.global).map(done),
        Command::Compile(command) => command.run(&cli.global).map(done),
        Command::Node(command) => command.run(&cli.global).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) if output::is_closed(&error) => SUCCESS,
        Err(error) => {
            let reason = output::explain(&error);
            if logging::writes_json() {
                tracing::error!("{reason}");
            } else {
                eprintln!("wisp: {reason}");
            }
            exit_code(&error)
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<texts::NoTexts>() || error.is::<classify::NoLabels>() {
        return WRONG_USAGE;
    }
    if let Some(failed) = error.downcast_ref::<bench::Failed>() {
        return failed.exit_code;
    }
    error.downcast_ref::<serve::Interrupted>().map_or(FAILURE, |ended| ended.exit_code)
}

/// A cache directory that never exists.
const NO_HOME: &str = "/nonexistent/wisp";

impl GlobalOptions {
    /// The model store that the options and the environment describe.
    fn store(&self) -> anyhow::Result<wisp_model_store::Store> {
        use wisp_model_store::{Access, Home, Store};
        let access = if self.offline { Access::Offline } else { Access::Online };
        match Home::from_env() {
            Ok(home) => Ok(Store::new(home, access)),
            // A bundle brings its libraries: in a container without a home it can look at devices all the same.
            Err(_) if wisp_engine::is_bundled() => Ok(Store::new(Home::at(NO_HOME), Access::Sealed)),
            Err(error) => Err(error.into()),
        }
    }
}
