//! The signals that ask a process to end.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopSignal {
    /// SIGTERM, from whatever manages the process.
    Terminate,
    /// SIGINT, from a terminal.
    Interrupt,
}

/// Both of them, which do not end the process by themselves from here on.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen; within a runtime.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("signal handler")?;
        let interrupt = signal(SignalKind::interrupt()).context("signal handler")?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the next one.
    pub(crate) async fn recv(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }
}
