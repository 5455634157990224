//! Requests that guests send: only to hosts that are granted.

use std::sync::Arc;

use http::uri::Scheme;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};
use wisp_scheduler::observe::{self, SpanIds};

use crate::account::Account;
use crate::{Grants, HttpGrant};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// What the requests of one instance are checked against.
pub(crate) struct OutgoingHttp {
    deployment: Arc<str>,
    grants: Arc<Grants>,
}

/// A request's answer, and the task that moves it.
type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl OutgoingHttp {
    pub(crate) fn of(account: &Account) -> Self {
        Self { deployment: Arc::clone(&account.deployment), grants: Arc::clone(&account.grants) }
    }

    fn check(&self, uri: &http::Uri) -> Result<(), Error> {
        let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?;
        let usual = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        let outside = self.grants.outside();
        if outside.http.iter().any(|grant| grant.allows(host, port)) {
            return Ok(());
        }
        let wanted = HttpGrant { host: host.to_ascii_lowercase(), port: uri.port_u16() };
        let remedy = outside.written_in.for_http(&self.deployment, &wanted.to_string());
        tracing::warn!(
            target: "wisp::guest", deployment = &*self.deployment,
            "a request to `{wanted}` is not granted; {remedy}"
        );
        Err(Error::HttpRequestDenied)
    }
}

impl WasiHttpHooks for OutgoingHttp {
    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let checked = self.check(request.uri());
        continue_trace(request.headers_mut());
        Box::new(async move {
            checked?;
            let (response, moved) = wasmtime_wasi_http::default_send_request(request, options).await?;
            let moved: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(moved);
            Ok((response.map(BodyExt::boxed_unsync), moved))
        })
    }
}

/// Tells who is asked next which trace the request belongs to, where it is sampled and the guest says nothing of it itself.
/// Source: W3C Trace Context.
fn continue_trace(headers: &mut HeaderMap) {
    if headers.contains_key(TRACEPARENT) {
        return;
    }
    observe::tell(|observer| {
        let SpanIds { trace, span } = observer.ids();
        if let Ok(value) = HeaderValue::from_str(&format!("00-{trace:032x}-{span:016x}-01")) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(state) = observer.trace_state().and_then(|state| HeaderValue::from_str(&state).ok()) {
            headers.insert(TRACESTATE, state);
        }
    });
}
