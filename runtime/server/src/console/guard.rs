//! Keeps the pages of others away: a site that a browser visits must not reach the console through that browser.
//!
//! Two ways lead there. A page may send requests to this address from its own origin; browsers say so in `Sec-Fetch-Site`
//! and `Origin` ([`same_origin`]). Or its own name may be made to resolve to this address (DNS rebinding), and then all of it
//! looks like one origin; but the name still stands in `Host` ([`own_host`]). Programs that are no browsers send neither
//! `Origin` nor `Sec-Fetch-Site`, have nobody's credentials, and are let through.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use wisp_engine::Engine;

use super::routes::Problem;
use crate::admin::may_administer;
use crate::transport::Peer;

/// Refuses requests whose `Host` is a name that somebody else may own. Over TLS the certificate has vouched for the name.
pub(super) async fn own_host(request: Request, next: Next) -> Response {
    let is_encrypted = request.extensions().get::<Peer>().is_some_and(|peer| peer.is_encrypted);
    let host = host(request.uri(), request.headers());
    match is_encrypted || host.as_ref().is_some_and(is_nobodys_name) {
        true => next.run(request).await,
        false => {
            let problem = "the console is opened by an address or as localhost, not by a name that others could point at \
                           it; forward its port to localhost, or let the proxy in front of it set the header Host to \
                           the address";
            (StatusCode::MISDIRECTED_REQUEST, Problem::new(problem)).into_response()
        }
    }
}

/// Refuses requests that a browser sends for a page of another origin.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    let host = host(request.uri(), request.headers());
    match is_same_origin(request.headers(), host.as_ref()) {
        true => next.run(request).await,
        false => {
            let problem = "this is answered to the console's own page only, not to pages of other origins";
            (StatusCode::FORBIDDEN, Problem::new(problem)).into_response()
        }
    }
}

/// Lets in whom the engine knows as an administrator, where it knows any; the page asks for the token.
pub(super) async fn administrators(State(engine): State<Engine>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match may_administer(&engine, &parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => *refusal,
    }
}

/// What the request says it is for: `Host`, or the authority in its target (HTTP/2, or sent as to a proxy).
fn host(target: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let named = headers.get(header::HOST).map(|host| host.to_str().ok()?.parse().ok());
    named.unwrap_or_else(|| target.authority().cloned())
}

/// An address, or a name that always means the machine itself (RFC 6761, 6.3).
fn is_nobodys_name(host: &Authority) -> bool {
    let name = host.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// What browsers say of the page that sends a request: `Sec-Fetch-Site` where the origin is trustworthy, `Origin` elsewhere.
fn is_same_origin(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        // `none` is a person who typed the address.
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    origin.is_some_and(|origin| host.is_some() && origin.authority() == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn addresses_and_localhost_are_nobodys_names() {
        for own in ["127.0.0.1:9090", "[::1]:9090", "10.1.2.3", "localhost:9090", "LOCALHOST.", "wisp.localhost:1"] {
            assert!(is_nobodys_name(&own.parse().expect("an authority")), "{own}");
        }
        for others in ["evil.example:9090", "127.0.0.1.evil.example", "localhost.evil.example", "notlocalhost"] {
            assert!(!is_nobodys_name(&others.parse().expect("an authority")), "{others}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_told_apart() {
        let host: Authority = "127.0.0.1:9090".parse().expect("an authority");
        let own = [
            &[][..],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:9090")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://127.0.0.1:9090")],
        ];
        for pairs in own {
            assert!(is_same_origin(&headers(pairs), Some(&host)), "{pairs:?}");
        }
        let others = [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:9090")],
            &[("origin", "http://127.0.0.1:8080")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
        ];
        for pairs in others {
            assert!(!is_same_origin(&headers(pairs), Some(&host)), "{pairs:?}");
        }
        assert!(!is_same_origin(&headers(&[("origin", "null")]), None));
    }

    #[test]
    fn the_host_is_read_from_the_header_or_else_from_the_target() {
        let target: Uri = "http://10.0.0.1:1/".parse().expect("a target");
        let of_header = host(&target, &headers(&[("host", "localhost:2")])).expect("stands there");
        assert_eq!(of_header, "localhost:2");
        assert_eq!(host(&target, &HeaderMap::new()).expect("stands there"), "10.0.0.1:1");
        assert_eq!(host(&Uri::from_static("/"), &headers(&[("host", "a b")])), None);
    }
}
