//! Who sends a request: the tenant behind its bearer token, or behind the certificate of its connection.

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap};
use tonic::Status;
use wisp_engine::{Credentials, Engine, Identity, Scope, Tenant};

use crate::transport::Peer;

/// The tenant that a request is served for.
///
/// # Errors
/// UNAUTHENTICATED for a token or a certificate that nobody has, and for nobody where that is not served; PERMISSION_DENIED
/// for a tenant that may not use what is deployed.
pub(crate) fn tenant(engine: &Engine, headers: &HeaderMap, extensions: &Extensions) -> Result<Tenant, Status> {
    allowed(identify(engine, headers, extensions)?, Scope::Infer)
}

/// The tenant that changes what is deployed.
///
/// # Errors
/// As [`tenant`], for the other scope.
pub(crate) fn administrator(engine: &Engine, headers: &HeaderMap, extensions: &Extensions) -> Result<Tenant, Status> {
    allowed(identify(engine, headers, extensions)?, Scope::Admin)
}

fn identify(engine: &Engine, headers: &HeaderMap, extensions: &Extensions) -> Result<Identity, Status> {
    let token = headers.get(AUTHORIZATION).map(|value| {
        bearer(value.as_bytes())
            .ok_or_else(|| Status::unauthenticated("the authorization header must be `Bearer TOKEN`"))
    });
    let sans = extensions.get::<Peer>().map_or(&[][..], |peer| &peer.names);
    let shown = Credentials { token: token.transpose()?, sans };
    engine.identify(shown).map_err(|error| Status::unauthenticated(error.to_string()))
}

fn allowed(identity: Identity, scope: Scope) -> Result<Tenant, Status> {
    if identity.may(scope) {
        return Ok(identity.tenant);
    }
    let name = identity.tenant.name();
    let scope = match scope {
        Scope::Infer => "infer",
        Scope::Admin => "admin",
    };
    Err(Status::permission_denied(format!(
        "tenant `{name}` may not do this; add \"{scope}\" to [tenants.{name}] scopes"
    )))
}

/// The token of `Bearer TOKEN`; the scheme is not case-sensitive (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_tokens_are_read() {
        assert_eq!(bearer(b"Bearer abc"), Some("abc"));
        assert_eq!(bearer(b"bEARER  abc "), Some("abc"));
        for wrong in [&b"Basic abc"[..], b"Bearer", b"Bearer  ", b"abc", b"", b"\xff abc"] {
            assert_eq!(bearer(wrong), None, "{wrong:?}");
        }
    }
}
