//! What operations are put together of.

use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ArrayBuilder, Content, Ref, RefOr, Required, ResponseBuilder};

/// A status, and what it means.
pub(super) type Status = (&'static str, &'static str);

pub(super) const MALFORMED: Status = ("400", "The body is not JSON, or a value in it cannot be meant.");
pub(super) const NOT_UTF8: Status = ("400", "The name is not UTF-8.");
pub(super) const LATE: Status = ("408", "The body did not arrive in time.");
pub(super) const NO_ROOM: Status = ("429", "There is no room now; `retry-after` says when to come back.");
pub(super) const FAILED: Status = ("500", "The guest or the backend failed.");
pub(super) const OUT_OF_SERVICE: Status = ("503", "The server shuts down, or a model is out of service.");
pub(super) const TOO_SLOW: Status = ("504", "The deployment took longer than it may.");

/// The name of the bearer token among the security schemes.
pub(super) const TOKEN: &str = "token";

/// An operation that may be called with a token or without; one that nobody has is refused.
pub(super) fn operation(tag: &str, id: &str, summary: &str) -> OperationBuilder {
    let with_token = SecurityRequirement::new(TOKEN, std::iter::empty::<String>());
    let operation = OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary));
    operation.securities(Some([SecurityRequirement::default(), with_token]))
}

/// A body in JSON that is a message of this name.
pub(super) fn body(operation: OperationBuilder, message: &str, required: Required) -> OperationBuilder {
    let content = Content::new(Some(Ref::from_schema_name(message)));
    let body = RequestBodyBuilder::new().content("application/json", content).required(Some(required)).build();
    operation.request_body(Some(body))
}

pub(super) fn parameter(name: &str, place: ParameterIn, required: Required, schema: Ref) -> Parameter {
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema)).build()
}

/// These statuses, and those of whoever may not ask, told by a message of this name.
pub(super) fn refusals(operation: OperationBuilder, message: &str, statuses: &[Status]) -> OperationBuilder {
    let everywhere =
        [("401", "Nobody has the token, or one is needed."), ("403", "The tenant may not use what is deployed.")];
    everywhere.iter().chain(statuses).fold(operation, |operation, (status, description)| {
        let mut response = answer(description, Ref::from_schema_name(message));
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

pub(super) fn header(response: ResponseBuilder, name: &str, description: &str) -> ResponseBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    response.header(name, HeaderBuilder::new().schema(Some(Schema::from(text))).description(Some(description)).build())
}

pub(super) fn answer(description: &str, schema: impl Into<RefOr<Schema>>) -> ResponseBuilder {
    ResponseBuilder::new().description(description).content("application/json", Content::new(Some(schema)))
}

pub(super) fn reference<T: ToSchema>() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(T::name()))
}

pub(super) fn list(item: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    RefOr::T(ArrayBuilder::new().items(item.into()).build().into())
}
