//! Embedding: a request, its instance, and the guest's answer checked.

use std::sync::Arc;

use tokio::time::Instant;
use wisp_scheduler::BatchShare;

use crate::bindings::exports::wisp::inference::embedding::{Embeddings, Error as GuestError, Inputs, Options};
use crate::call::{late, passed_on};
use crate::convert::core_kind;
use crate::error::CallError;
use crate::keep::{Instance, Live};
use crate::terms::Terms;
use crate::{CallTimes, Copies, GrantedModel, Guest, GuestKind};

/// A request to embed.
#[derive(Debug)]
pub struct EmbedCall {
    /// The terms.
    pub terms: Terms,
    /// What to embed.
    pub inputs: EmbedInputs,
    /// How.
    pub options: EmbedOptions,
}

/// What to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmbedInputs {
    /// Texts.
    Texts(Vec<String>),
    /// Token ids with the special tokens already in place.
    Tokens(Vec<Vec<u32>>),
}

/// How to embed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbedOptions {
    /// Scale each vector to length 1.
    pub normalize: bool,
    /// Keep only the first so many dimensions.
    pub dimensions: Option<u32>,
    /// Cut inputs that are longer than the model's maximum.
    pub truncate: bool,
}

impl Default for EmbedOptions {
    /// Normalised, all dimensions, truncated.
    fn default() -> Self {
        Self { normalize: true, dimensions: None, truncate: true }
    }
}

/// The answer to an [`EmbedCall`].
#[derive(Clone, Debug)]
pub struct Embedded {
    /// All vectors, one after the other: row-major `[inputs, dimensions]`.
    pub values: Vec<f32>,
    /// Length of one vector.
    pub dimensions: usize,
    /// Tokens of each input that took part.
    pub token_counts: Vec<u32>,
    /// Where the time went.
    pub times: CallTimes,
    /// Tensors that went into the guest's memory or came out of it.
    pub copies: Copies,
    /// The inferences that computed it, and what they shared.
    pub share: BatchShare,
    /// The model that computed last, if any did.
    pub computed_by: Option<Arc<GrantedModel>>,
}

impl EmbedInputs {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(rows) => rows.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Guest {
    /// Runs the guest's `embed`, in a fresh instance unless it [reuses](Guest::reusing) them. Dropping the future ends the
    /// instance and its inference.
    ///
    /// # Errors
    /// [`CallError`]; no other request notices.
    pub async fn embed(&self, call: EmbedCall) -> Result<Embedded, CallError> {
        let EmbedCall { terms, inputs, options } = call;
        let (started_at, count) = (Instant::now(), inputs.len());
        let end = terms.end(started_at);
        let mut live = self.ready(terms.open(self, end), GuestKind::Embedder, "embeds texts")?;
        let _running = self.loaded.ticker.run();
        let inputs = match inputs {
            EmbedInputs::Texts(texts) => Inputs::Texts(texts),
            EmbedInputs::Tokens(rows) => Inputs::Tokens(rows),
        };
        let EmbedOptions { normalize, dimensions, truncate } = options;
        let run = self.run_embed(&mut live, &inputs, Options { normalize, dimensions, truncate });
        let answer = match tokio::time::timeout_at(end.at, run).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.explain(&error, &live.store.data().account)),
            Err(_) => return Err(late(&live.store.data().account, end.is_wall)),
        };
        let account = &mut live.store.data_mut().account;
        let embeddings = answer.map_err(|error| passed_on(account, core_kind(error.kind), &error.message, end))?;
        account.times.total = started_at.elapsed();
        check(&embeddings, count)
            .map_err(|reason| CallError::Result { deployment: account.deployment.to_string(), reason })?;
        let embedded = Embedded {
            values: embeddings.values,
            dimensions: embeddings.dimensions as usize,
            token_counts: embeddings.token_counts,
            times: account.times,
            copies: account.copies,
            share: account.share,
            computed_by: account.computed_by.take(),
        };
        self.keep(live);
        Ok(embedded)
    }

    async fn run_embed(
        &self,
        live: &mut Live,
        inputs: &Inputs,
        options: Options,
    ) -> wasmtime::Result<Result<Embeddings, GuestError>> {
        let (store, instance) = live.instance(self).await?;
        let Instance::Embedder(instance) = instance else { wasmtime::bail!("the guest embeds nothing") };
        instance.wisp_inference_embedding().call_embed(store, inputs, options).await
    }
}

/// Whether the guest's result answers the request.
fn check(embeddings: &Embeddings, count: usize) -> Result<(), String> {
    let (values, dimensions) = (embeddings.values.len(), embeddings.dimensions as usize);
    if dimensions == 0 {
        return Err("vectors have no dimensions".to_owned());
    }
    if count.checked_mul(dimensions) != Some(values) {
        return Err(format!("{values} values for {count} inputs of {dimensions} dimensions"));
    }
    if embeddings.token_counts.len() != count {
        return Err(format!("{} token counts for {count} inputs", embeddings.token_counts.len()));
    }
    if let Some(index) = embeddings.values.iter().position(|value| !value.is_finite()) {
        return Err(format!("vector {} holds a value that is not a finite number", index / dimensions));
    }
    Ok(())
}
