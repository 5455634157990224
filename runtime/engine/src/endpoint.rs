//! Endpoints: the names that clients may send tensors to, and what each takes and gives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wisp_core::{Axis, DataType, NamedTensor, TensorSpec};
use wisp_host::{EmbeddingFacts, GrantedModel, GuestKind};
use wisp_scheduler::HealthState;

use crate::deployment::Deployment;
use crate::infer::InputError;
use crate::metrics::{Metrics, RequestMetrics};
use crate::shelf::Shelf;
use crate::{DeploymentHealth, EngineError, ValueSpec, ValueType};

/// The input of deployments that embed, and of those that classify texts: `[n]` or `[n, 1]`.
pub const TEXTS_INPUT: &str = "texts";

/// The output with the vectors, `[n, dimensions]`.
pub const EMBEDDINGS_OUTPUT: &str = "embeddings";

/// The output with the tokens of each text, `[n]`.
pub const TOKEN_COUNTS_OUTPUT: &str = "token_counts";

/// The input of deployments that classify pictures, in place of texts: their files, `[n]` or `[n, 1]`.
pub const IMAGES_INPUT: &str = "images";

/// The labels to choose from, `[m]` or `[m, 1]`; without it those that the deployment or its model has.
pub const CANDIDATES_INPUT: &str = "candidates";

/// What each candidate means, as many as candidates; an empty one lets the label speak for itself.
pub const DESCRIPTIONS_INPUT: &str = "descriptions";

/// The output with the labels of each input, the best first, `[n, k]`.
pub const LABELS_OUTPUT: &str = "labels";

/// The output with their scores, `[n, k]`.
pub const SCORES_OUTPUT: &str = "scores";

/// The output with their positions among the candidates or the labels of the model, `[n, k]`; -1 where an input has fewer
/// labels.
pub const INDICES_OUTPUT: &str = "indices";

/// Inferences of full size that one request to a model may ask for: what it holds in memory is bounded by them.
const INFERENCES_LIMIT: usize = 16;

/// Time that a request to a model may take, its wait included: what `limits.wall_ms` is to a deployment.
pub(crate) const LIMIT_WITHOUT_GUEST: Duration = Duration::from_secs(30);

/// Something that tensors can be sent to by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// What answers.
    pub kind: EndpointKind,
    /// Everything that it takes.
    pub inputs: Vec<ValueSpec>,
    /// Everything that it gives.
    pub outputs: Vec<ValueSpec>,
    /// What else is known of it, in the order of the keys.
    pub properties: BTreeMap<&'static str, String>,
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointKind {
    /// The guest of a deployment that embeds.
    Embedder,
    /// The guest of a deployment that classifies.
    Classifier,
    /// A model by itself.
    Model {
        /// Rows that one inference takes; 0 where rows are none of the model's axes.
        max_rows: usize,
        /// Whether rows of several requests share inferences.
        shares_rows: bool,
    },
}

/// All endpoints of an engine.
#[derive(Default)]
pub(crate) struct Endpoints {
    all: BTreeMap<String, Target>,
}

/// Who answers under a name.
pub(crate) struct Target {
    pub(crate) endpoint: Arc<Endpoint>,
    /// The model that answers; `None` where the deployment of this name does.
    pub(crate) model: Option<BareModel>,
}

/// A model that clients compute with, without a guest.
pub(crate) struct BareModel {
    pub(crate) granted: Arc<GrantedModel>,
    pub(crate) metrics: RequestMetrics,
}

impl Endpoint {
    /// The declared input of this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&ValueSpec> {
        self.inputs.iter().find(|spec| spec.name == name)
    }

    /// The names of all inputs, for messages.
    #[must_use]
    pub fn input_names(&self) -> String {
        let names: Vec<_> = self.inputs.iter().map(|spec| format!("`{}`", spec.name)).collect();
        names.join(", ")
    }

    fn of_embedder(deployment: &Deployment) -> Self {
        let mut properties = properties_of(deployment);
        // With several models only the guest knows which of them embeds.
        if let [Some(EmbeddingFacts { dimensions, .. })] =
            deployment.grants.iter().map(|(_, model)| model.embedding).collect::<Vec<_>>()[..]
        {
            properties.insert("dimensions", dimensions.to_string());
        }
        Self {
            name: deployment.name.to_string(),
            kind: EndpointKind::Embedder,
            inputs: vec![free(TEXTS_INPUT, ValueType::String, 1)],
            outputs: vec![
                free(EMBEDDINGS_OUTPUT, ValueType::Number(DataType::F32), 2),
                free(TOKEN_COUNTS_OUTPUT, ValueType::Count, 1),
            ],
            properties,
        }
    }

    fn of_classifier(deployment: &Deployment) -> Self {
        let inputs = [TEXTS_INPUT, IMAGES_INPUT, CANDIDATES_INPUT, DESCRIPTIONS_INPUT];
        Self {
            name: deployment.name.to_string(),
            kind: EndpointKind::Classifier,
            inputs: inputs.map(|name| free(name, ValueType::String, 1)).to_vec(),
            outputs: vec![
                free(LABELS_OUTPUT, ValueType::String, 2),
                free(SCORES_OUTPUT, ValueType::Number(DataType::F32), 2),
                free(INDICES_OUTPUT, ValueType::Number(DataType::I32), 2),
                free(TOKEN_COUNTS_OUTPUT, ValueType::Count, 1),
            ],
            properties: properties_of(deployment),
        }
    }

    fn of_model(name: &str, model: &GrantedModel) -> Self {
        let session = model.queue.info();
        let specs = |specs: &[TensorSpec]| -> Vec<ValueSpec> {
            let specs = specs.iter().map(|spec| ValueSpec {
                name: spec.name.clone(),
                value_type: ValueType::Number(spec.data_type),
                shape: spec.shape.clone(),
            });
            specs.collect()
        };
        let (inputs, outputs) = (specs(&session.signature.inputs), specs(&session.signature.outputs));
        let has_rows =
            inputs.iter().chain(&outputs).all(|spec| spec.shape.len() > 1 && spec.shape.first() == Some(&Axis::Free));
        let rules = model.queue.rules();
        let mut properties = BTreeMap::from([("kind", "model".to_owned())]);
        properties.insert("backend", session.placement.backend.to_string());
        properties.insert("device", session.placement.device.to_string());
        properties.insert("precision", session.precision.to_string());
        properties.insert("library_version", session.library_version.clone());
        let kind =
            EndpointKind::Model { max_rows: if has_rows { rules.max_rows } else { 0 }, shares_rows: rules.shares_rows };
        Self { name: name.to_owned(), kind, inputs, outputs, properties }
    }
}

impl Endpoints {
    /// The deployments that embed or classify, and the models that clients may use. A deployment hides a model of its name:
    /// whoever has put a guest before a model wants it to be asked.
    pub(crate) fn of(
        deployments: &BTreeMap<String, Deployment>,
        models: &BTreeMap<String, Arc<GrantedModel>>,
        metrics: &Metrics,
    ) -> Self {
        let mut all: BTreeMap<String, Target> = BTreeMap::new();
        for (name, model) in models {
            let bare = BareModel { granted: Arc::clone(model), metrics: metrics.requests_of(name) };
            let endpoint = Arc::new(Endpoint::of_model(name, model));
            all.insert(name.clone(), Target { endpoint, model: Some(bare) });
        }
        for (name, deployment) in deployments {
            let endpoint = match deployment.guest.kind() {
                GuestKind::Embedder => Endpoint::of_embedder(deployment),
                GuestKind::Classifier => Endpoint::of_classifier(deployment),
                _ => continue,
            };
            all.insert(name.clone(), Target { endpoint: Arc::new(endpoint), model: None });
        }
        Self { all }
    }

    /// Who answers under this name.
    ///
    /// # Errors
    /// [`EngineError::UnknownEndpoint`].
    pub(crate) fn named(&self, name: &str) -> Result<&Target, EngineError> {
        self.all.get(name).ok_or_else(|| EngineError::UnknownEndpoint {
            name: name.chars().take(128).collect(),
            available: self.names(),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Target> {
        self.all.values()
    }

    /// Whether each of the models that clients compute with can answer.
    pub(crate) fn health(&self, shelf: &Shelf) -> impl Iterator<Item = DeploymentHealth> {
        let models = self.all.iter().filter_map(|(name, target)| Some((name, target.model.as_ref()?)));
        models.map(|(name, model)| DeploymentHealth::of(name, shelf, || model.problem()))
    }

    /// Whether clients may send tensors to a model of this name.
    pub(crate) fn has_model(&self, name: &str) -> bool {
        self.all.get(name).is_some_and(|target| target.model.is_some())
    }

    /// The models that clients compute with, whatever deployments do.
    pub(crate) fn models(&self) -> impl Iterator<Item = &Arc<GrantedModel>> {
        self.all.values().filter_map(|target| Some(&target.model.as_ref()?.granted))
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.all.keys().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "nothing that takes tensors".to_owned() } else { names.join(", ") }
    }
}

impl BareModel {
    /// What is out of service, if it is.
    pub(crate) fn problem(&self) -> Option<String> {
        match self.granted.queue.health() {
            HealthState::Healthy => None,
            HealthState::Unhealthy { reason, .. } => Some(reason),
        }
    }

    /// Refuses what would take more memory or time than one request may. Names, types and shapes are the queue's to check.
    pub(crate) fn check_size(&self, inputs: &[NamedTensor]) -> Result<(), InputError> {
        let (queue, model) = (&self.granted.queue, || self.granted.queue.model().to_owned());
        let rules = queue.rules();
        let length = rules.ragged.as_ref().map_or(1, |ragged| longest(inputs, ragged.axis));
        let limit = self.granted.tokenizer.as_ref().map_or(rules.max_tokens, |it| it.options().max_tokens);
        if length > limit {
            return Err(InputError::RowTooLong { model: model(), length, limit });
        }
        let rows = longest(inputs, 0);
        let inferences = if rules.shares_rows { INFERENCES_LIMIT } else { 1 };
        let max_rows = rules.max_rows.saturating_mul(inferences);
        let max_tokens = rules.max_tokens.saturating_mul(inferences);
        if queue.info().signature.inputs.iter().all(|spec| spec.shape.first() != Some(&Axis::Free)) {
            return Ok(());
        }
        if rows > max_rows || rows.saturating_mul(length) > max_tokens {
            let remedy = format!("send at most {max_rows} rows, and {max_tokens} rows times length");
            return Err(InputError::TooManyRows { model: model(), rows, length, remedy });
        }
        Ok(())
    }
}

/// A tensor whose axes may have any length.
fn free(name: &str, value_type: ValueType, axes: usize) -> ValueSpec {
    ValueSpec { name: name.to_owned(), value_type, shape: vec![Axis::Free; axes] }
}

/// What is known of every deployment.
fn properties_of(deployment: &Deployment) -> BTreeMap<&'static str, String> {
    let models: Vec<_> = deployment.grants.iter().map(|(_, model)| model.name.as_str()).collect();
    BTreeMap::from([("kind", "deployment".to_owned()), ("models", models.join(","))])
}

/// The greatest length of an axis, in the inputs that have it.
fn longest(inputs: &[NamedTensor], axis: usize) -> usize {
    inputs.iter().filter_map(|input| input.tensor.shape().get(axis).copied()).max().unwrap_or(1)
}
