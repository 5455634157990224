//! The node's cache, filled before any pod starts: proofs of the model take a minute of work that no pod should repeat.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::embedder::MODEL;

/// Longest time until the model is proven, on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(600);

/// Lets the engine load the model once, with `cache` as its cache, and keep what it found out.
pub(crate) async fn prove(engine: &Path, model: &Path, cache: &Path) -> Result<()> {
    std::fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let config = cache.with_extension("toml");
    let text = format!(
        "server.grpc = \"127.0.0.1:0\"\nserver.http = \"off\"\nserver.admin = \"off\"\nmodels.{MODEL}.source = {model:?}\n\
         models.{MODEL}.placement = [\"candle:cpu\"]\ndeployments.embedder.guest = \"builtin:embedder\"\n\
         deployments.embedder.models.encoder = {MODEL:?}\n"
    );
    std::fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    let words = command_line(engine);
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .args(["serve", "--offline", "--config"])
        .arg(&config)
        .env("WISP_HOME", cache)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", engine.display()))?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await.context("cannot read its output")? {
            if line.starts_with("listening") {
                return Ok(());
            }
        }
        bail!("the engine ended before it had proven the model; its messages are above")
    };
    tokio::time::timeout(LIMIT, ready).await.context("the model was not proven in time")??;
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("the engine has ended")?;
    kill_process(id, Signal::TERM).context("cannot send SIGTERM to the engine")?;
    child.wait().await.context("cannot wait for the engine").map(drop)
}

/// A bundle's engine names its loader where pods see it; on the node the loader is started by its own path.
fn command_line(engine: &Path) -> Vec<OsString> {
    let bundle = engine.parent().and_then(Path::parent).map(|root| root.join("lib"));
    let loaders = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"].into_iter();
    let loader: Option<(PathBuf, PathBuf)> =
        bundle.and_then(|lib| Some((loaders.map(|name| lib.join(name)).find(|path| path.is_file())?, lib)));
    match loader {
        Some((loader, lib)) => vec![loader.into(), "--library-path".into(), lib.into(), engine.into()],
        None => vec![engine.into()],
    }
}
