//! Who sends a request: the tenant behind the bearer token.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::Status;
use wisp_engine::{Engine, Tenant};

/// The tenant whose token the request carries; `None` for a request that carries none.
///
/// # Errors
/// UNAUTHENTICATED for a token that nobody has: to take its sender for anonymous would hide the mistake.
pub(crate) fn tenant(engine: &Engine, headers: &HeaderMap) -> Result<Option<Tenant>, Status> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = bearer(value.as_bytes())
        .ok_or_else(|| Status::unauthenticated("the authorization header must be `Bearer TOKEN`"))?;
    match engine.tenant_of_token(token) {
        Some(tenant) => Ok(Some(tenant.clone())),
        None => Err(Status::unauthenticated("the token is not that of any tenant; see [tenants.NAME] token_file")),
    }
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
