//! What a deployment may use: models by the alias that its guest knows them under.

use std::collections::BTreeMap;
use std::sync::Arc;

use wisp_core::Pooling;
use wisp_scheduler::SessionQueue;

use crate::ModelTokenizer;

/// The models granted to a deployment, by alias. A guest that names any other is told so, and learns nothing else.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    models: BTreeMap<String, Arc<GrantedModel>>,
}

/// A loaded model as a guest sees it.
#[derive(Debug)]
pub struct GrantedModel {
    /// Name of the model in its manifest.
    pub name: String,
    /// The session that runs it.
    pub queue: SessionQueue,
    /// Its tokenizer, for models of text.
    pub tokenizer: Option<ModelTokenizer>,
    /// What kind of embeddings it makes, if it does.
    pub embedding: Option<EmbeddingFacts>,
    /// Names of its classes, for classifiers.
    pub labels: Vec<String>,
    /// Largest rows × padded length that one `compute` should carry.
    pub max_batch_tokens: u32,
}

/// Facts about the embeddings of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddingFacts {
    /// Length of a vector.
    pub dimensions: u32,
    /// How hidden states become one vector.
    pub pooling: Pooling,
}

impl Grants {
    /// Grants each model under its alias.
    #[must_use]
    pub fn new(models: impl IntoIterator<Item = (String, Arc<GrantedModel>)>) -> Self {
        Self { models: models.into_iter().collect() }
    }

    /// The model of this alias, if it is granted.
    #[must_use]
    pub fn get(&self, alias: &str) -> Option<&Arc<GrantedModel>> {
        self.models.get(alias)
    }

    /// The granted aliases and models, in the order of the aliases.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<GrantedModel>)> {
        self.models.iter().map(|(alias, model)| (alias.as_str(), model))
    }
}
