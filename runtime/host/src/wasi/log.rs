//! Standard error of guests: whole lines go to the log, within a budget, under the name of the deployment.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Longest line that is passed on in one piece.
const LINE_LIMIT_BYTES: usize = 1024;

/// Most bytes that one write of a guest may bring.
const WRITE_LIMIT_BYTES: usize = 64 << 10;

/// Standard error of one instance: whole lines go to the log under the name of the deployment.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Mutex<Lines>>);

struct Lines {
    deployment: Arc<str>,
    pending: Vec<u8>,
    left_bytes: usize,
    is_cut: bool,
}

impl GuestLog {
    pub(crate) fn new(deployment: Arc<str>, limit_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Lines { deployment, pending: Vec::new(), left_bytes: limit_bytes, is_cut: false })))
    }
}

impl Lines {
    /// Takes what the budget allows and drops the rest, so that no guest can fill the log.
    fn write(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.left_bytes);
        self.left_bytes -= taken;
        for &byte in &bytes[..taken] {
            if byte == b'\n' {
                self.flush_line();
                continue;
            }
            self.pending.push(byte);
            if self.pending.len() >= LINE_LIMIT_BYTES {
                self.flush_line();
            }
        }
        if taken < bytes.len() && !self.is_cut {
            self.is_cut = true;
            tracing::warn!(deployment = &*self.deployment, "the guest wrote more to standard error than is logged");
        }
    }

    fn flush_line(&mut self) {
        if !self.pending.is_empty() {
            // Control characters would let a guest write lines that look like the host's own.
            let line: String = String::from_utf8_lossy(&self.pending)
                .chars()
                .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
                .collect();
            tracing::info!(target: "wisp::guest", deployment = &*self.deployment, "{line}");
            self.pending.clear();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.flush_line();
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    /// Writes at once: the adapter over [`AsyncWrite`] would start a task for every line.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestLog {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_LIMIT_BYTES)
    }
}

impl AsyncWrite for GuestLog {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(limit_bytes: usize) -> Lines {
        Lines { deployment: "d".into(), pending: Vec::new(), left_bytes: limit_bytes, is_cut: false }
    }

    #[test]
    fn what_is_over_the_budget_is_dropped() {
        let mut lines = lines(10);
        lines.write(b"12345\n67");
        assert_eq!((lines.left_bytes, lines.is_cut, &*lines.pending), (2, false, &b"67"[..]));
        lines.write(b"89and more");
        assert_eq!((lines.left_bytes, lines.is_cut, &*lines.pending), (0, true, &b"6789"[..]));
    }

    #[test]
    fn a_line_without_an_end_is_passed_on_in_pieces() {
        let mut lines = lines(1 << 20);
        lines.write(&vec![b'x'; 3 * LINE_LIMIT_BYTES + 5]);
        assert_eq!(lines.pending.len(), 5);
    }
}
