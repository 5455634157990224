//! What a deployment may use: models by the alias that its guest knows them under, and whatever of the world outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wisp_core::Pooling;
use wisp_scheduler::SessionQueue;

use crate::ModelTokenizer;
use crate::outside::Outside;

/// Everything that was granted to a deployment. What is not here does not exist for its guest.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    models: BTreeMap<String, ModelGrant>,
    outside: Outside,
}

/// A model that a guest may use, and how much of it.
#[derive(Clone, Debug)]
pub struct ModelGrant {
    /// The model.
    pub model: Arc<GrantedModel>,
    /// Rows of one `compute`; `None` for as many as the model takes.
    pub max_rows: Option<usize>,
    /// Time that one `compute` may take, queue included; `None` for as long as the request has.
    pub deadline: Option<Duration>,
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
    /// Grants each model under its alias, and nothing outside.
    #[must_use]
    pub fn new(models: impl IntoIterator<Item = (String, ModelGrant)>) -> Self {
        Self { models: models.into_iter().collect(), outside: Outside::default() }
    }

    /// The same, with what is granted of the world outside.
    #[must_use]
    pub fn with_outside(self, outside: Outside) -> Self {
        Self { outside, ..self }
    }

    /// The model of this alias, if it is granted.
    #[must_use]
    pub fn get(&self, alias: &str) -> Option<&ModelGrant> {
        self.models.get(alias)
    }

    /// The granted aliases and models, in the order of the aliases.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<GrantedModel>)> {
        self.models.iter().map(|(alias, grant)| (alias.as_str(), &grant.model))
    }

    /// What is granted of the world outside.
    #[must_use]
    pub fn outside(&self) -> &Outside {
        &self.outside
    }
}

impl From<Arc<GrantedModel>> for ModelGrant {
    /// All of the model.
    fn from(model: Arc<GrantedModel>) -> Self {
        Self { model, max_rows: None, deadline: None }
    }
}
