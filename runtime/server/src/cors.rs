//! Pages of other origins, which browsers let in where the service says so.

use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_secs(600);

/// What pages may read of an answer beside its body: how a call of gRPC-Web ended, when to come again, and its trace.
const EXPOSED: [HeaderName; 5] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    RETRY_AFTER,
    HeaderName::from_static("traceresponse"),
];

/// The layer for these origins; `None` for none, which leaves answers as they are. `*` is every origin.
///
/// Tokens come in a header that scripts set themselves, so that no browser sends any by itself: credentials need no permission.
pub(crate) fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        // The configuration was checked: an origin is ASCII.
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let layer = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET, Method::POST]).max_age(MAX_AGE);
    Some(layer.allow_headers(AllowHeaders::mirror_request()).expose_headers(EXPOSED))
}
