//! Reload: the configuration is read again at SIGHUP, and, where it is watched, when its file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wisp_engine::{Config, Engine, Reloaded};
use wisp_server::Reload;

/// How often a watched file is looked at. Mounted configurations are exchanged by turning a link around, which watchers of
/// files miss; so it is read.
const POLL: Duration = Duration::from_secs(2);

/// Where another configuration comes from.
pub(crate) struct Source {
    /// Reads it, with everything that it names in the cache.
    pub(crate) read: Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>,
    /// The file to watch, if it is watched.
    pub(crate) watched: Option<PathBuf>,
}

/// Asks for reloads; never ends by itself.
pub(crate) struct Follow {
    hangup: Signal,
    watched: Option<(PathBuf, Option<Vec<u8>>)>,
}

impl Source {
    /// What reloads an engine from here.
    pub(crate) fn reload(self, engine: &Engine) -> Reload {
        let (engine, read) = (engine.clone(), self.read);
        Arc::new(move || {
            let config = read().map_err(|error| format!("{error:#}"))?;
            engine.reload(config, &crate::progress::Logged).map_err(|error| error.to_string())
        })
    }
}

impl Follow {
    /// From now on a hangup does not end the process.
    pub(crate) fn new(watched: Option<&Path>) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("signal handler")?;
        Ok(Self { hangup, watched: watched.map(|path| (path.to_owned(), std::fs::read(path).ok())) })
    }

    pub(crate) async fn run(mut self, reload: Reload) {
        loop {
            self.next().await;
            let reload = Arc::clone(&reload);
            match tokio::task::spawn_blocking(move || reload()).await {
                Ok(Ok(Reloaded { .. })) => {}
                Ok(Err(error)) => tracing::error!("reload: {error}; what was in service stays so"),
                Err(error) => tracing::error!(%error, "reload ended early; what was in service stays so"),
            }
        }
    }

    /// Waits for the next reason to reload.
    async fn next(&mut self) {
        let Some((path, known)) = &mut self.watched else {
            self.hangup.recv().await;
            return;
        };
        loop {
            tokio::select! {
                _ = self.hangup.recv() => return,
                () = tokio::time::sleep(POLL) => {
                    // A file that is being exchanged may be away for a moment.
                    let Ok(now) = std::fs::read(&*path) else { continue };
                    if known.as_ref() != Some(&now) {
                        *known = Some(now);
                        return;
                    }
                }
            }
        }
    }
}
