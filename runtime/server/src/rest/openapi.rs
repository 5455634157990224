//! The OpenAPI document of the REST interfaces: every route, every status, and the bounds of this server.

mod open_inference;
mod operations;
mod parts;
pub(super) mod schema;

use utoipa::openapi::schema::Components;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, License, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema, ToSchema};
use wisp_engine::{DeploymentInfo, Engine, GuestKind};

use super::{classify, dialect, openai, tei};

/// What bounds requests to a server; constraints in the document.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// Texts, or lists of token ids, of one request.
    pub(super) texts: usize,
    /// Bytes of one text.
    pub(super) text_bytes: usize,
    /// Labels of one request.
    pub(super) labels: usize,
    /// Bytes of a label, of what it means, and of a template.
    pub(super) label_bytes: usize,
    /// Bytes of an image file.
    pub(super) image_bytes: usize,
    /// Deployments that embed.
    pub(super) deployments: Vec<String>,
    /// Deployments that classify.
    pub(super) classifiers: Vec<String>,
    /// Deployments and models that take tensors.
    pub(super) endpoints: Vec<String>,
    /// Names of the prompts that any of them knows.
    pub(super) prompts: Vec<String>,
    /// Longest vector of any of them.
    pub(super) dimensions: Option<u32>,
    /// Smallest vocabulary of any of them.
    pub(super) vocabulary: Option<u32>,
}

impl Bounds {
    /// Those of an engine.
    pub(super) fn of(engine: &Engine) -> Self {
        let embedders = engine.embedders();
        let models = || embedders.iter().filter_map(|embedder| embedder.model.as_ref());
        let mut prompts: Vec<_> = models().flat_map(|model| model.prompts.iter().cloned()).collect();
        prompts.sort_unstable();
        prompts.dedup();
        let classifies = |found: &DeploymentInfo| found.kind == GuestKind::Classifier;
        let classifiers = engine.deployments().into_iter().filter(classifies).map(|found| found.name).collect();
        let limits = engine.limits();
        Self {
            texts: limits.texts,
            text_bytes: limits.text_bytes,
            labels: limits.labels,
            label_bytes: limits.label_bytes,
            image_bytes: limits.image_bytes,
            deployments: embedders.iter().map(|embedder| embedder.deployment.clone()).collect(),
            classifiers,
            endpoints: engine.endpoints().iter().map(|endpoint| endpoint.name.clone()).collect(),
            prompts,
            dimensions: models().filter_map(|model| model.dimensions).max(),
            vocabulary: models().map(|model| model.vocabulary).min(),
        }
    }
}

/// The document.
pub(super) fn document(bounds: &Bounds) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Wisp")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Embeddings and classification by sandboxed WebAssembly guests: Wisp's own API, and those of OpenAI, of \
             text-embeddings-inference and of the Open Inference Protocol. Requests carry `authorization: Bearer TOKEN` where the server has tenants.",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    OpenApiBuilder::new().info(info).paths(operations::paths()).components(Some(components(bounds))).build()
}

fn components(bounds: &Bounds) -> Components {
    let mut components = Components::new();
    add::<openai::EmbeddingsRequest>(&mut components);
    add::<openai::EmbeddingsResponse>(&mut components);
    add::<openai::ModelList>(&mut components);
    add::<openai::ModelObject>(&mut components);
    add::<dialect::OpenAiError>(&mut components);
    add::<classify::ClassificationRequest>(&mut components);
    add::<classify::ClassificationResponse<'_>>(&mut components);
    add::<tei::EmbedRequest>(&mut components);
    add::<tei::RerankRequest>(&mut components);
    add::<tei::Rank>(&mut components);
    add::<tei::SimilarityRequest>(&mut components);
    add::<tei::PredictRequest>(&mut components);
    add::<tei::Predictions>(&mut components);
    add::<tei::TokenizeRequest>(&mut components);
    add::<tei::SimpleToken>(&mut components);
    add::<tei::DecodeRequest>(&mut components);
    add::<tei::Info>(&mut components);
    add::<dialect::TeiError>(&mut components);
    // What messages refer to by name alone, with the bounds of this server.
    components.schemas.extend(schema::bounded(bounds));
    components.schemas.extend(open_inference::schemas(bounds));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(parts::TOKEN, SecurityScheme::Http(bearer));
    components
}

/// A type, and the types that it is made of.
fn add<T: ToSchema + PartialSchema>(components: &mut Components) {
    components.schemas.insert(T::name().into_owned(), T::schema());
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    components.schemas.extend(parts);
}
