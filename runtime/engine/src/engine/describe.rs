//! What clients may know about deployments that embed: model, lengths, prompts.

use wisp_core::{Pooling, Precision};
use wisp_host::GuestKind;

use super::Engine;
use super::generation::Generation;
use crate::EngineError;
use crate::deployment::Deployment;

/// A deployment that embeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedderFacts {
    /// Its name.
    pub deployment: String,
    /// Its model of text; `None` where no model has a tokenizer in the host.
    pub model: Option<TextModelFacts>,
}

/// A model of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextModelFacts {
    /// Its name.
    pub name: String,
    /// Digest of its files.
    pub digest: String,
    /// The arithmetic that it runs in.
    pub precision: Precision,
    /// How hidden states become a vector, where it embeds.
    pub pooling: Option<Pooling>,
    /// Length of a vector, where it embeds.
    pub dimensions: Option<u32>,
    /// Longest input in tokens, special tokens included.
    pub max_tokens: usize,
    /// Every token id is below.
    pub vocabulary: u32,
    /// Most rows × padded length of one inference.
    pub max_batch_tokens: u32,
    /// Names of its prompts.
    pub prompts: Vec<String>,
}

impl Engine {
    /// What a deployment embeds with; `None` for the only one, or `embedder`.
    ///
    /// # Errors
    /// [`EngineError::UnknownDeployment`] and [`EngineError::AmbiguousDeployment`].
    pub fn embedder(&self, deployment: Option<&str>) -> Result<EmbedderFacts, EngineError> {
        let generation = self.shared.generation();
        Ok(facts(&generation, generation.deployment(deployment)?))
    }

    /// Every deployment that embeds.
    #[must_use]
    pub fn embedders(&self) -> Vec<EmbedderFacts> {
        let generation = self.shared.generation();
        let embedders = generation.deployments.values().filter(|found| found.guest.kind() == GuestKind::Embedder);
        embedders.map(|deployment| facts(&generation, deployment)).collect()
    }
}

fn facts(generation: &Generation, deployment: &Deployment) -> EmbedderFacts {
    let model = generation.text_model(deployment).and_then(|model| {
        let (granted, info) = (model.granted, model.info?);
        let tokenizer = granted.tokenizer.as_ref()?;
        Some(TextModelFacts {
            name: granted.name.clone(),
            digest: info.digest.clone(),
            precision: info.precision,
            pooling: granted.embedding.map(|embedding| embedding.pooling),
            dimensions: granted.embedding.map(|embedding| embedding.dimensions),
            max_tokens: tokenizer.options().max_tokens,
            vocabulary: tokenizer.vocabulary(),
            max_batch_tokens: granted.max_batch_tokens,
            prompts: info.prompts.names().map(str::to_owned).collect(),
        })
    });
    EmbedderFacts { deployment: deployment.name.to_string(), model }
}
