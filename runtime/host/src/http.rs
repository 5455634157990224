//! `wasi:http`: applications that answer requests, and the requests that guests may send.

mod body;
mod outgoing;

use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::HostResponseOutparam;
use wisp_core::ErrorKind;
use wisp_scheduler::observe::GuestCall;

pub use body::{GuestBody, GuestBodyError};
pub(crate) use outgoing::OutgoingHttp;

use crate::Guest;
use crate::call::late;
use crate::error::CallError;
use crate::guest::Shape;
use crate::state::State;
use crate::terms::{End, Terms};
use crate::wasi::Streams;

/// An HTTP request to a guest.
pub struct HttpCall<B> {
    /// The terms. The deadline holds for the whole answer, its body included.
    pub terms: Terms,
    /// The request.
    pub request: http::Request<B>,
    /// Whether it came over TLS.
    pub is_encrypted: bool,
    /// Dropped when the guest has ended, however it did: such as a permit.
    pub until_end: Box<dyn Send>,
}

/// What a guest's task sends first.
type Answer = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

impl Guest {
    /// Has the guest answer a request in a fresh instance. The guest goes on until its body is sent; dropping the future or the
    /// body ends it.
    ///
    /// # Errors
    /// [`CallError`] for whatever happens before the guest answers. What happens later ends the body with an error.
    pub async fn handle<B>(&self, call: HttpCall<B>) -> Result<http::Response<GuestBody>, CallError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let HttpCall { terms, request, is_encrypted, until_end } = call;
        let started_at = Instant::now();
        let end = terms.end(started_at);
        let (send, answer) = oneshot::channel();
        let task = self.start(terms, end, request, is_encrypted, send, until_end)?;
        let task = AbortOnDrop(Some(task));
        match answer.await {
            Ok(Ok(response)) => Ok(response.map(|body| GuestBody::new(body, task))),
            Ok(Err(code)) => Err(CallError::Guest {
                kind: ErrorKind::Internal,
                message: format!("the application answered with the error {code}"),
            }),
            Err(_) => Err(task.reason().await),
        }
    }

    fn start<B>(
        &self,
        terms: Terms,
        end: End,
        request: http::Request<B>,
        is_encrypted: bool,
        send: oneshot::Sender<Answer>,
        until_end: Box<dyn Send>,
    ) -> Result<JoinHandle<CallError>, CallError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let account = terms.open(self, end);
        let deployment = Arc::clone(&account.deployment);
        if !matches!(self.loaded.shape, Shape::Http(_)) {
            return Err(self.wrong_kind(&account, "serves HTTP"));
        }
        let state = State::new(account, Streams::Log).map_err(|error| CallError::granting(&deployment, &error))?;
        let mut store = self.loaded.store(state);
        let request = request.map(|body| body.map_err(|error| body::incoming_error(&error)).boxed_unsync());
        let scheme = if is_encrypted { Scheme::Https } else { Scheme::Http };
        let malformed = |error: wasmtime::Error| CallError::Guest {
            kind: ErrorKind::InvalidArgument,
            message: format!("the request cannot be given to the application: {error:#}"),
        };
        let request = store.data_mut().http().new_incoming_request(scheme, request).map_err(malformed)?;
        let respond = HostResponseOutparam { send: Box::new(move |answer| drop(send.send(answer))) };
        let respond = store.data_mut().table.push(respond).map_err(|error| malformed(error.into()))?;
        let guest = self.clone();
        // The task is another one, and the call is observed there all the same.
        let observed = GuestCall::begin(&deployment);
        Ok(tokio::spawn(async move {
            let _until_end = until_end;
            let _running = guest.loaded.ticker.run();
            let ended = observed.run(async {
                let run = async {
                    let proxy = guest.proxy(&mut store).await?;
                    proxy.wasi_http_incoming_handler().call_handle(&mut store, request, respond).await
                };
                let ended = tokio::time::timeout_at(end.at, run).await;
                match ended {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(guest.explain(&error, &store.data().account)),
                    Err(_) => Err(late(&store.data().account, end.is_wall)),
                }
            });
            match ended.await {
                Ok(()) => CallError::Result {
                    deployment: deployment.to_string(),
                    reason: "it returned without an answer".to_owned(),
                },
                Err(error) => error,
            }
        }))
    }

    async fn proxy(&self, store: &mut Store<State>) -> wasmtime::Result<Proxy> {
        let Shape::Http(proxy) = &self.loaded.shape else { wasmtime::bail!("the guest serves no HTTP") };
        let started_at = Instant::now();
        let proxy = proxy.instantiate_async(&mut *store).await?;
        store.data_mut().account.made_instance(started_at);
        Ok(proxy)
    }
}

/// The task of a guest, which ends with what holds this.
pub(crate) struct AbortOnDrop(Option<JoinHandle<CallError>>);

impl AbortOnDrop {
    /// Leaves the task to its own end.
    fn let_go(&mut self) {
        self.0 = None;
    }

    /// Why the task ended without an answer.
    async fn reason(mut self) -> CallError {
        let trapped = |reason: String| CallError::Trap { deployment: String::new(), reason };
        match self.0.take() {
            Some(task) => task.await.unwrap_or_else(|error| trapped(error.to_string())),
            None => trapped("its task is gone".to_owned()),
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
