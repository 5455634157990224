//! Requests that guests send: only to hosts that are granted.

use std::sync::Arc;

use http::uri::Scheme;
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::account::Account;
use crate::{Grants, HttpGrant};

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
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let checked = self.check(request.uri());
        Box::new(async move {
            checked?;
            let (response, moved) = wasmtime_wasi_http::default_send_request(request, options).await?;
            let moved: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(moved);
            Ok((response.map(BodyExt::boxed_unsync), moved))
        })
    }
}
