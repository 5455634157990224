//! Blobs that go up as a stream, unless the registry has them already.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use oci_client::errors::OciDistributionError;
use tokio::sync::mpsc;
use wisp_model_store::Progress;

use crate::RegistryError;
use crate::connection::Connection;
use crate::document::Descriptor;
use crate::failure::Failure;
use crate::layer::{Content, PIECE_BYTES};

/// Pieces that lie ready before the registry takes them.
const READY_PIECES: usize = 2;

/// How often a person is told how far it is.
const TICK: Duration = Duration::from_millis(100);

/// Brings a blob to the registry; whether it was sent, `false` when it was there.
///
/// # Errors
/// [`RegistryError`]; the content is read anew for each attempt.
pub(crate) async fn upload(
    connection: &Connection,
    blob: &Descriptor,
    content: &Content,
    progress: &dyn Progress,
) -> Result<bool, RegistryError> {
    let what = format!("layer {} of {}", blob.digest, connection.name);
    if is_there(connection, blob, &what).await? {
        return Ok(false);
    }
    let label = blob.title().unwrap_or(blob.digest.as_str());
    let sent = connection.patiently(&what, async || {
        progress.step(&format!("pushing {label}"), Some(blob.size));
        match send(connection, blob, content, progress, false).await {
            Err(Failure::NoChunks(reason)) => {
                tracing::info!(what, reason, "the registry takes no parts; sending all at once");
                progress.step(&format!("pushing {label} in one piece"), Some(blob.size));
                send(connection, blob, content, progress, true).await
            }
            other => other,
        }
    });
    sent.await?;
    progress.done(&format!("{label} pushed"));
    Ok(true)
}

async fn is_there(connection: &Connection, blob: &Descriptor, what: &str) -> Result<bool, RegistryError> {
    let asked = connection.patiently(what, async || {
        match connection.client.blob_exists(&connection.name.reference, &blob.digest).await.map_err(Failure::from) {
            // Some registries let nobody look into a repository that is only about to be made.
            Err(Failure::Access | Failure::Missing) => Ok(false),
            other => other,
        }
    });
    asked.await
}

async fn send(
    connection: &Connection,
    blob: &Descriptor,
    content: &Content,
    progress: &dyn Progress,
    in_one_piece: bool,
) -> Result<(), Failure> {
    let sent_bytes = Arc::new(AtomicU64::new(0));
    let stream = pieces(content.clone(), Arc::clone(&sent_bytes));
    let client = if in_one_piece { &connection.monolith } else { &connection.client };
    let pushed = client.push_blob_stream(&connection.name.reference, stream, &blob.digest, Some(blob.size));
    let mut pushed = std::pin::pin!(pushed);
    let mut told_bytes = 0;
    loop {
        tokio::select! {
            answer = &mut pushed => return answer.map(drop).map_err(Failure::from),
            () = tokio::time::sleep(TICK) => {
                let now_bytes = sent_bytes.load(Ordering::Relaxed);
                progress.advance(now_bytes - told_bytes);
                told_bytes = now_bytes;
            }
        }
    }
}

/// The content in pieces, read by a thread of its own that is never far ahead.
fn pieces(
    content: Content,
    sent_bytes: Arc<AtomicU64>,
) -> impl Stream<Item = Result<Bytes, OciDistributionError>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(READY_PIECES);
    tokio::task::spawn_blocking(move || {
        let mut writer = PieceWriter { sender, piece: Vec::with_capacity(PIECE_BYTES) };
        let written = content.write_to(&mut writer).and_then(|()| writer.pass());
        if let Err(error) = written {
            // Where the reader is gone, so is whoever would want to know.
            let _ = writer.sender.blocking_send(Err(error.into()));
        }
    });
    stream::unfold((receiver, sent_bytes), async |(mut receiver, sent_bytes)| {
        let piece: Result<Bytes, OciDistributionError> = receiver.recv().await?;
        sent_bytes.fetch_add(piece.as_ref().map_or(0, |piece| piece.len() as u64), Ordering::Relaxed);
        Some((piece, (receiver, sent_bytes)))
    })
}

/// Cuts what is written into pieces and passes them on.
struct PieceWriter {
    sender: mpsc::Sender<Result<Bytes, OciDistributionError>>,
    piece: Vec<u8>,
}

impl PieceWriter {
    fn pass(&mut self) -> std::io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(piece.into())).map_err(gone)
    }
}

impl std::io::Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.pass()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn content_comes_in_pieces_of_bounded_size_and_counts_as_it_goes() {
        let bytes: Vec<u8> = (0..=250).cycle().take(2 * PIECE_BYTES + 17).collect();
        let sent_bytes = Arc::new(AtomicU64::new(0));
        let content = Content::Bytes(bytes.clone().into());
        let all: Vec<_> = pieces(content, Arc::clone(&sent_bytes)).map(|piece| piece.expect("memory")).collect().await;
        assert_eq!(all.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE_BYTES, PIECE_BYTES, 17]);
        assert_eq!(all.concat(), bytes);
        assert_eq!(sent_bytes.load(Ordering::Relaxed), bytes.len() as u64);
    }
}
