//! A closed loop: clients that each wait for their answer before they ask again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use super::Running;
use crate::answer::Failure;

/// What a client waits after a failure that does not say when to try again: a failure at once must not become a busy loop.
const PAUSE: Duration = Duration::from_millis(10);

/// Longest time that a client waits because it was told to.
const RETRY_LIMIT: Duration = Duration::from_secs(1);

/// Starts the clients; each holds `alive` until it is done.
pub(super) fn start(stream: &Arc<Running>, clients: usize, alive: &Sender<()>) {
    for number in 0..clients {
        let (stream, alive) = (Arc::clone(stream), alive.clone());
        tokio::spawn(async move {
            client(&stream, number).await;
            drop(alive);
        });
    }
}

async fn client(stream: &Running, number: usize) {
    while Instant::now() < stream.span.end() && !stream.stop.is_cancelled() {
        if let Err(failure) = stream.ask(number, None).await {
            tokio::select! {
                () = tokio::time::sleep(pause(&failure)) => {}
                () = stream.stop.cancelled() => {}
            }
        }
    }
}

fn pause(failure: &Failure) -> Duration {
    failure.retry_after.unwrap_or(PAUSE).min(RETRY_LIMIT)
}
