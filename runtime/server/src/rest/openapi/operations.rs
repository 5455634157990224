//! Each route in the document: what goes in, what comes out, and every status.

use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterIn, Paths};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, Required, Response, ResponseBuilder};

use super::parts::{
    FAILED, LATE, MALFORMED, NO_ROOM, NOT_UTF8, OUT_OF_SERVICE, Status, TOO_SLOW, answer, body, header, list,
    operation, parameter, reference, refusals,
};
use super::{open_inference, schema};
use crate::rest::dialect::{OpenAiError, TeiError};
use crate::rest::{classify, openai, tei};

const UNKNOWN: Status = ("404", "There is no such deployment.");

/// Statuses of every request that has a body, whatever it asks for.
const BODY_STATUSES: &[Status] = &[
    MALFORMED,
    UNKNOWN,
    LATE,
    ("413", "The body, a text or a list is larger than this server takes."),
    ("415", "The body is not `application/json`."),
    NO_ROOM,
    OUT_OF_SERVICE,
    TOO_SLOW,
];

/// Headers in which the time of a computed request is told.
const TIMING_HEADERS: &[(&str, &str)] = &[
    ("x-compute-time", "Milliseconds of guest, gathering and inference."),
    ("x-compute-characters", "Characters of the texts."),
    ("x-compute-tokens", "Tokens that took part."),
    ("x-total-time", "Milliseconds from arrival in the engine to the answer."),
    ("x-tokenization-time", "Milliseconds of tokenising in the host."),
    ("x-queue-time", "Milliseconds of waiting for the session."),
    ("x-inference-time", "Milliseconds in the session."),
];

/// Every route.
pub(super) fn paths() -> Paths {
    let mut paths = Paths::new();
    let mut add = |path: &str, method, operation: OperationBuilder| {
        paths.add_path_operation(path, vec![method], operation.build());
    };
    add("/v1/embeddings", HttpMethod::Post, embeddings());
    add("/v1/models", HttpMethod::Get, models());
    add("/v1/models/{id}", HttpMethod::Get, model());
    add("/v1/classify", HttpMethod::Post, classify());
    add("/embed", HttpMethod::Post, embed());
    add("/rerank", HttpMethod::Post, rerank());
    add("/similarity", HttpMethod::Post, similarity());
    add("/predict", HttpMethod::Post, predict());
    add("/tokenize", HttpMethod::Post, tokenize());
    add("/decode", HttpMethod::Post, decode());
    add("/info", HttpMethod::Get, info());
    add("/health", HttpMethod::Get, health());
    add("/openapi.json", HttpMethod::Get, document());
    open_inference::add_paths(&mut paths);
    paths
}

fn embeddings() -> OperationBuilder {
    let answer = timed(answer("The vectors.", reference::<openai::EmbeddingsResponse>()));
    let operation = operation("openai", "embeddings", "Embed texts or token ids, as OpenAI's API does.");
    object_body::<openai::EmbeddingsRequest>(operation).response("200", answer.build())
}

fn classify() -> OperationBuilder {
    let answer = answer("The labels of each input.", reference::<classify::ClassificationResponse<'_>>());
    let operation = operation("wisp", "classify", "Give labels to texts or images.");
    object_body::<classify::ClassificationRequest>(operation).response("200", answer.build())
}

fn models() -> OperationBuilder {
    let operation = operation("openai", "models", "The deployments that embed.");
    let operation = operation.response("200", answer("The list.", reference::<openai::ModelList>()).build());
    openai_refusals(operation, &[])
}

fn model() -> OperationBuilder {
    let id = parameter("id", ParameterIn::Path, Required::True, Ref::from_schema_name(schema::DeploymentName::name()));
    let operation = operation("openai", "model", "A deployment that embeds.").parameter(id);
    let operation = operation.response("200", answer("The deployment.", reference::<openai::ModelObject>()).build());
    openai_refusals(operation, &[NOT_UTF8, UNKNOWN])
}

fn embed() -> OperationBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Number).build();
    let answer = timed(answer("A vector an input.", list(list(number))));
    let operation = operation("text-embeddings-inference", "embed", "Embed texts or token ids.");
    tei_body::<tei::EmbedRequest>(operation).response("200", answer.build())
}

fn rerank() -> OperationBuilder {
    let answer = timed(answer("The texts, the closest first.", list(reference::<tei::Rank>())));
    let operation = operation("text-embeddings-inference", "rerank", "Rank texts by how close they are to a query.");
    tei_body::<tei::RerankRequest>(operation).response("200", answer.build())
}

fn similarity() -> OperationBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(-1)).maximum(Some(1)).build();
    let answer = timed(answer("The cosine of each sentence.", list(number)));
    let operation = operation("text-embeddings-inference", "similarity", "Compare sentences with a sentence.");
    tei_body::<tei::SimilarityRequest>(operation).response("200", answer.build())
}

fn predict() -> OperationBuilder {
    let answer = answer("The labels of the text, or of each text of a batch.", reference::<tei::Predictions>());
    let operation = operation("text-embeddings-inference", "predict", "Give labels to texts.");
    tei_body::<tei::PredictRequest>(operation).response("200", answer.build())
}

fn tokenize() -> OperationBuilder {
    let answer = answer("The tokens of each text.", list(list(reference::<tei::SimpleToken>())));
    let operation = operation("text-embeddings-inference", "tokenize", "Turn texts into tokens.");
    tei_body::<tei::TokenizeRequest>(operation).response("200", answer.build())
}

fn decode() -> OperationBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    let operation = operation("text-embeddings-inference", "decode", "Turn token ids into texts.");
    let answer = answer("The text of each list.", list(text));
    tei_body::<tei::DecodeRequest>(operation).response("200", answer.build())
}

fn info() -> OperationBuilder {
    let name = Ref::from_schema_name(schema::DeploymentName::name());
    let model = parameter("model", ParameterIn::Query, Required::False, name);
    let operation = operation("text-embeddings-inference", "info", "What a deployment embeds with.").parameter(model);
    let operation = operation.response("200", answer("The facts.", reference::<tei::Info>()).build());
    let statuses = [
        ("400", "The query cannot be read."),
        UNKNOWN,
        ("422", "There are several deployments; name one."),
        ("424", "The deployment has no model with a tokenizer."),
    ];
    tei_refusals(operation, &statuses)
}

fn health() -> OperationBuilder {
    let operation = OperationBuilder::new().tag("text-embeddings-inference").operation_id(Some("health"));
    let operation = operation.summary(Some("Whether a deployment can answer."));
    let operation = operation.response("200", Response::new("One can."));
    operation.response("503", answer("None can, and why.", reference::<TeiError>()).build())
}

fn document() -> OperationBuilder {
    let operation = OperationBuilder::new().operation_id(Some("document")).summary(Some("This document."));
    operation.response("200", answer("OpenAPI 3.1.", ObjectBuilder::new().schema_type(Type::Object).build()).build())
}

/// A body whose refusals have OpenAI's error object.
fn object_body<T: ToSchema>(operation: OperationBuilder) -> OperationBuilder {
    let operation = openai_refusals(json_body::<T>(operation), BODY_STATUSES);
    let statuses = [FAILED, ("501", "The model or the guest does not do this.")];
    openai_refusals(operation, &statuses)
}

fn tei_body<T: ToSchema>(operation: OperationBuilder) -> OperationBuilder {
    let operation = tei_refusals(json_body::<T>(operation), BODY_STATUSES);
    let statuses = [
        ("422", "A value of the body cannot be meant."),
        ("424", "The guest or the backend failed, or the model does not do this."),
    ];
    tei_refusals(operation, &statuses)
}

fn json_body<T: ToSchema>(operation: OperationBuilder) -> OperationBuilder {
    body(operation, &T::name(), Required::True)
}

fn openai_refusals(operation: OperationBuilder, statuses: &[Status]) -> OperationBuilder {
    refusals(operation, &OpenAiError::name(), statuses)
}

fn tei_refusals(operation: OperationBuilder, statuses: &[Status]) -> OperationBuilder {
    refusals(operation, &TeiError::name(), statuses)
}

fn timed(response: ResponseBuilder) -> ResponseBuilder {
    TIMING_HEADERS.iter().fold(response, |response, (name, description)| header(response, name, description))
}
