//! What containerd learns about tasks without asking, in the order in which it happened.

use containerd_shim::Context;
use containerd_shim::event::Event;
use containerd_shim::publisher::RemotePublisher;
use log::{error, warn};
use tokio::sync::mpsc;

/// Events on their way; more than this wait only if containerd has been away for long.
const MAX_WAITING: usize = 256;

/// A queue to containerd. One task sends, so events never overtake each other.
pub(super) struct Events {
    sender: mpsc::Sender<Box<dyn Event + Send>>,
}

impl Events {
    /// Starts to publish in containerd's `namespace`.
    pub(super) fn new(publisher: RemotePublisher, namespace: String) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Box<dyn Event + Send>>(MAX_WAITING);
        tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                let topic = event.topic();
                if let Err(error) = publisher.publish(Context::default(), &topic, &namespace, event).await {
                    warn!("event {topic} was not taken: {error}");
                }
            }
        });
        Self { sender }
    }

    /// Queues an event behind those before it.
    pub(super) async fn send(&self, event: impl Event + Send + 'static) {
        if self.sender.send(Box::new(event)).await.is_err() {
            error!("events are no longer published");
        }
    }
}
