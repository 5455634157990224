//! Each route in the document: what goes in, what comes out, and every status.

use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ArrayBuilder, Content, Ref, RefOr, Required, Response, ResponseBuilder};

use super::schema;
use crate::rest::dialect::{OpenAiError, TeiError};
use crate::rest::{openai, tei};

/// The name of the bearer token among the security schemes.
pub(super) const TOKEN: &str = "token";

/// Statuses of every request that has a body, whatever it asks for.
const BODY_STATUSES: &[(&str, &str)] = &[
    ("400", "The body is not JSON, or a value in it cannot be meant."),
    ("404", "There is no such deployment."),
    ("408", "The body did not arrive in time."),
    ("413", "The body, a text or a list is larger than this server takes."),
    ("415", "The body is not `application/json`."),
    ("429", "There is no room now; `retry-after` says when to come back."),
    ("503", "The server shuts down, or a model is out of service."),
    ("504", "The deployment took longer than it may."),
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
    add("/embed", HttpMethod::Post, embed());
    add("/rerank", HttpMethod::Post, rerank());
    add("/similarity", HttpMethod::Post, similarity());
    add("/tokenize", HttpMethod::Post, tokenize());
    add("/decode", HttpMethod::Post, decode());
    add("/info", HttpMethod::Get, info());
    add("/health", HttpMethod::Get, health());
    add("/openapi.json", HttpMethod::Get, document());
    paths
}

fn embeddings() -> OperationBuilder {
    let answer = timed(answer("The vectors.", reference::<openai::EmbeddingsResponse>()));
    let operation = operation("openai", "embeddings", "Embed texts or token ids, as OpenAI's API does.");
    let operation = body::<openai::EmbeddingsRequest>(operation).response("200", answer.build());
    let operation = refusals::<OpenAiError>(operation, BODY_STATUSES);
    refusals::<OpenAiError>(
        operation,
        &[("500", "The guest or the backend failed."), ("501", "The model does not do this.")],
    )
}

fn models() -> OperationBuilder {
    let operation = operation("openai", "models", "The deployments that embed.");
    let operation = operation.response("200", answer("The list.", reference::<openai::ModelList>()).build());
    refusals::<OpenAiError>(operation, &[])
}

fn model() -> OperationBuilder {
    let id = parameter("id", ParameterIn::Path, Required::True, Ref::from_schema_name(schema::DeploymentName::name()));
    let operation = operation("openai", "model", "A deployment that embeds.").parameter(id);
    let operation = operation.response("200", answer("The deployment.", reference::<openai::ModelObject>()).build());
    let statuses = [("400", "The name is not UTF-8."), ("404", "There is no such deployment.")];
    refusals::<OpenAiError>(operation, &statuses)
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
        ("404", "There is no such deployment."),
        ("422", "There are several deployments; name one."),
        ("424", "The deployment has no model with a tokenizer."),
    ];
    refusals::<TeiError>(operation, &statuses)
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

/// An operation that may be called with a token or without; one that nobody has is refused.
fn operation(tag: &str, id: &str, summary: &str) -> OperationBuilder {
    let with_token = SecurityRequirement::new(TOKEN, std::iter::empty::<String>());
    let operation = OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary));
    operation.securities(Some([SecurityRequirement::default(), with_token]))
}

fn tei_body<T: ToSchema>(operation: OperationBuilder) -> OperationBuilder {
    let operation = refusals::<TeiError>(body::<T>(operation), BODY_STATUSES);
    let statuses = [
        ("422", "A value of the body cannot be meant."),
        ("424", "The guest or the backend failed, or the model does not do this."),
    ];
    refusals::<TeiError>(operation, &statuses)
}

fn body<T: ToSchema>(operation: OperationBuilder) -> OperationBuilder {
    let content = Content::new(Some(reference::<T>()));
    let body = RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True)).build();
    operation.request_body(Some(body))
}

fn parameter(name: &str, place: ParameterIn, required: Required, schema: Ref) -> Parameter {
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema)).build()
}

/// These statuses, and those of whoever may not ask.
fn refusals<E: ToSchema>(operation: OperationBuilder, statuses: &[(&str, &str)]) -> OperationBuilder {
    let everywhere =
        [("401", "Nobody has the token, or one is needed."), ("403", "The tenant may not use what is deployed.")];
    everywhere.iter().chain(statuses).fold(operation, |operation, (status, description)| {
        let mut response = answer(description, reference::<E>());
        for (name, description, belongs) in [
            ("www-authenticate", "`Bearer`.", *status == "401"),
            ("retry-after", "Seconds, rounded up.", *status == "429"),
            ("retry-after-ms", "Milliseconds, rounded up.", *status == "429"),
        ] {
            if belongs {
                response = header(response, name, description);
            }
        }
        operation.response(*status, response.build())
    })
}

fn timed(response: ResponseBuilder) -> ResponseBuilder {
    TIMING_HEADERS.iter().fold(response, |response, (name, description)| header(response, name, description))
}

fn header(response: ResponseBuilder, name: &str, description: &str) -> ResponseBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    response.header(name, HeaderBuilder::new().schema(Some(Schema::from(text))).description(Some(description)).build())
}

fn answer(description: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    ResponseBuilder::new().description(description).content("application/json", Content::new(Some(schema)))
}

fn reference<T: ToSchema>() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(T::name()))
}

fn list(item: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    RefOr::T(ArrayBuilder::new().items(item.into()).build().into())
}
