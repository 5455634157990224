//! The routes of the Open Inference Protocol in the document. Their messages stand in `open_inference.json`, as the protocol has
//! them.

use std::collections::BTreeMap;

use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterIn, Paths};
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{Content, Ref, RefOr, Required};

use super::Bounds;
use super::parts::{
    FAILED, LATE, MALFORMED, NO_ROOM, NOT_UTF8, OUT_OF_SERVICE, Status, TOO_SLOW, answer, body, list, operation,
    parameter, refusals,
};
use super::schema::one_of;

const TAG: &str = "open-inference";
const ERROR: &str = "OipError";
const MODEL_NAME: &str = "OipModelName";
const VERSION: &str = "OipVersion";

const UNKNOWN: Status = ("404", "There is no such deployment or model, or not in this version.");

/// Statuses of whatever may be asked of a model.
const ABOUT_MODEL: [Status; 2] = [NOT_UTF8, UNKNOWN];

/// Statuses of every request that has a body.
const BODY_STATUSES: [Status; 4] = [
    MALFORMED,
    LATE,
    ("413", "The body, or what is in it, is larger than this server takes."),
    ("501", "This server does not do this."),
];

/// Statuses of what is computed or changed.
const WORK_STATUSES: [Status; 5] = [UNKNOWN, NO_ROOM, FAILED, OUT_OF_SERVICE, TOO_SLOW];

/// Adds every route.
pub(super) fn add_paths(paths: &mut Paths) {
    let mut add = |path: &str, method, operation: OperationBuilder| {
        paths.add_path_operation(path, vec![method], operation.build());
    };
    add("/v2", HttpMethod::Get, described("oipServer", "What this server is.", "OipServer"));
    add("/v2/health/live", HttpMethod::Get, described("oipLive", "Whether the server runs.", "OipLive"));
    add("/v2/health/ready", HttpMethod::Get, readiness("oipReady", "Whether anything can answer.", "OipReady"));
    for (path, suffix) in [("/v2/models/{model}", ""), ("/v2/models/{model}/versions/{version}", "Version")] {
        let of_model = |operation: OperationBuilder| {
            let operation =
                operation.parameter(parameter("model", ParameterIn::Path, Required::True, name(MODEL_NAME)));
            match suffix {
                "" => operation,
                _ => operation.parameter(parameter("version", ParameterIn::Path, Required::True, name(VERSION))),
            }
        };
        let named = |what: &str| format!("oipModel{what}{suffix}");
        let metadata = described(&named(""), "Inputs and outputs of a deployment or a model.", "OipMetadata");
        add(path, HttpMethod::Get, of_model(refusals(metadata, ERROR, &ABOUT_MODEL)));
        let config = described(&named("Config"), "The configuration, as Triton has it.", "OipConfig");
        add(&format!("{path}/config"), HttpMethod::Get, of_model(refusals(config, ERROR, &ABOUT_MODEL)));
        let ready = readiness(&named("Ready"), "Whether a deployment or a model can answer.", "OipModelReady");
        add(&format!("{path}/ready"), HttpMethod::Get, of_model(ready));
        add(&format!("{path}/infer"), HttpMethod::Post, of_model(infer(&named("Infer"))));
    }
    add("/v2/repository/index", HttpMethod::Post, index());
    for (verb, summary) in [
        ("load", "Put a model into service as it is configured now; needs the scope `admin`."),
        ("unload", "Take a model out of service; needs the scope `admin`."),
    ] {
        let change = operation(TAG, &format!("oip_{verb}"), summary);
        let change = change.parameter(parameter("model", ParameterIn::Path, Required::True, name(MODEL_NAME)));
        let change = body(change, "OipChangeRequest", Required::False);
        let change = change.response("200", answer("It is done.", Schema::from(Object::new())).build());
        let change = refusals(refusals(change, ERROR, &BODY_STATUSES), ERROR, &WORK_STATUSES);
        add(&format!("/v2/repository/models/{{model}}/{verb}"), HttpMethod::Post, change);
    }
}

/// The messages, and the names that this server has.
pub(super) fn schemas(bounds: &Bounds) -> impl Iterator<Item = (String, RefOr<Schema>)> {
    let messages: BTreeMap<String, RefOr<Schema>> =
        serde_json::from_str(include_str!("open_inference.json")).expect("a test reads it");
    let names = one_of(bounds.endpoints.iter().map(String::as_str));
    let named = |name: &str, object: Object| (name.to_owned(), RefOr::T(Schema::from(object)));
    messages.into_iter().chain([named(MODEL_NAME, names), named(VERSION, one_of([crate::oip::VERSION]))])
}

/// A question without a body that everybody may ask.
fn described(id: &str, summary: &str, message: &str) -> OperationBuilder {
    operation(TAG, id, summary).response("200", answer("The answer.", name(message)).build())
}

/// A question whose answer, where it is no, is 400.
fn readiness(id: &str, summary: &str, message: &str) -> OperationBuilder {
    let refused = answer("It is not ready, or not there.", name("OipNotReady"));
    described(id, summary, message).response("400", refused.build())
}

fn infer(id: &str) -> OperationBuilder {
    let binary = Content::new(Some(Ref::from_schema_name("OipBinary")));
    let tensors = answer("The outputs.", name("OipInferResponse")).content("application/octet-stream", binary);
    let operation = operation(TAG, id, "Tensors in, tensors out.").description(Some(
        "Tensors may stand behind the JSON in binary form: the header `inference-header-content-length` says where the JSON \
         ends, and does so in answers, whose type is then `application/octet-stream`.",
    ));
    let operation = body(operation, "OipInferRequest", Required::True);
    let operation = operation.response("200", tensors.build());
    refusals(refusals(operation, ERROR, &BODY_STATUSES), ERROR, &WORK_STATUSES)
}

fn index() -> OperationBuilder {
    let operation = body(operation(TAG, "oipIndex", "Every deployment and model."), "OipIndexRequest", Required::False);
    let operation = operation.response("200", answer("The list.", list(name("OipIndexed"))).build());
    refusals(operation, ERROR, &BODY_STATUSES)
}

fn name(message: &str) -> Ref {
    Ref::from_schema_name(message)
}
