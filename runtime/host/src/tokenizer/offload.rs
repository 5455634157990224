//! Long work for a tokenizer: off the executor's threads, bounded, and ended when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{ModelTokenizer, TokenizerError};
use crate::GrantedModel;

/// Bytes of text from which on tokenising moves off the executor's thread: below, the hop costs more than the work.
const BLOCKING_BYTES: usize = 16 << 10;

/// Tells work on another thread that nobody waits for it any more.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Has `work` done with a model's tokenizer, `None` where it has none. `work` is on so many `bytes` of text; it may ask its last argument
/// whether it should give up.
pub(crate) async fn offload<T, W>(model: &Arc<GrantedModel>, bytes: usize, work: W) -> Option<Result<T, TokenizerError>>
where
    T: Send + 'static,
    W: FnOnce(&ModelTokenizer, &dyn Fn() -> bool) -> Result<T, TokenizerError> + Send + 'static,
{
    let tokenizer = model.tokenizer.as_ref()?;
    if bytes < BLOCKING_BYTES {
        return Some(work(tokenizer, &|| false));
    }
    // The permit goes with the work, which ends a little later than a request that is dropped.
    let permit = match Arc::clone(&tokenizer.permits).acquire_owned().await {
        Ok(permit) => permit,
        Err(error) => return Some(Err(TokenizerError::Library(error.to_string()))),
    };
    let guard = CancelOnDrop(Arc::new(AtomicBool::new(false)));
    let (model, cancelled) = (Arc::clone(model), Arc::clone(&guard.0));
    let joined = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let is_cancelled = || cancelled.load(Ordering::Relaxed);
        model.tokenizer.as_ref().map(|tokenizer| work(tokenizer, &is_cancelled))
    });
    joined.await.unwrap_or_else(|error| Some(Err(TokenizerError::Library(error.to_string()))))
}
