//! One connection's life: requests until it is told to end, by age, by shutdown, or by its client.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use axum::body::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio_util::sync::CancellationToken;
use wisp_engine::RequestLimits;
use wisp_engine::observe::{observed, observed_now};

use super::Peer;
use super::connection::Connection;
use crate::front::Front;
use crate::telemetry::{Watch, Watched};

/// How connections of a listener are conversed with.
#[derive(Clone)]
pub(super) struct Conversations {
    front: Front,
    /// Watches the requests, on listeners that clients use.
    watch: Option<Watch>,
    builder: Builder<TokioExecutor>,
    /// After which a connection is told to end; `None` for never.
    age: Option<Duration>,
    /// How long it may finish what it began then.
    age_grace: Duration,
}

impl Conversations {
    pub(super) fn new(front: Front, limits: &RequestLimits) -> Self {
        let age = Some(limits.connection_age_ms).filter(|&age| age > 0).map(Duration::from_millis);
        let age_grace = Duration::from_millis(limits.connection_age_grace_ms);
        Self { front, watch: None, builder: builder(limits), age, age_grace }
    }

    /// The same with requests that are watched.
    pub(super) fn watched_by(&self, watch: &Watch) -> Self {
        Self { watch: Some(watch.clone()), ..self.clone() }
    }

    /// Serves a connection to its end.
    pub(super) async fn hold(&self, connection: Connection, peer: Peer, closing: CancellationToken) {
        let (front, watch) = (self.front.clone(), self.watch.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            let watched = watch.as_ref().map_or_else(Watched::by_nobody, |watch| watch.begin(&request));
            let may_leave_a_rest = request.version() < Version::HTTP_2 && !request.body().is_end_stream();
            let answer = observed_now(watched.observer(), || front.answer(request));
            async move {
                let response = observed(watched.observer(), answer).await;
                let response = if may_leave_a_rest { ending_after(response) } else { response };
                Ok::<_, Infallible>(watched.answered(response))
            }
        });
        let conversation = self.builder.serve_connection(TokioIo::new(connection), service);
        let mut conversation = std::pin::pin!(conversation);
        let ended = tokio::select! {
            ended = conversation.as_mut() => Some(ended),
            () = closing.cancelled() => None,
            () = sleep(self.age.map(jittered)) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                conversation.as_mut().graceful_shutdown();
                // When the service closes, it is the service that says how long.
                let limit = (!closing.is_cancelled()).then_some(self.age_grace);
                tokio::select! {
                    ended = conversation.as_mut() => ended,
                    () = sleep(limit) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended");
        }
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Up to a tenth more or less: connections that were opened together do not end together.
fn jittered(age: Duration) -> Duration {
    // A new state hashes nothing to another number each time.
    let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
    age.mul_f64(0.9 + 0.2 * random)
}

fn builder(limits: &RequestLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let keepalive = Duration::from_millis(limits.keepalive_ms);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.handshake_ms))
        // The buffer of a connection's head; hyper asks for no less.
        .max_buf_size((limits.header_bytes as usize).max(LEAST_BUFFER_BYTES));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(keepalive)
        .keep_alive_timeout(keepalive)
        .max_header_list_size(limits.header_bytes)
        .max_concurrent_streams(limits.connection_requests);
    builder
}

/// Least buffer of an HTTP/1.1 connection. Source: the documentation of hyper's `max_buf_size`.
const LEAST_BUFFER_BYTES: usize = 8192;

/// Refusals by which a body may stay unread. A connection with such a rest is closed: clients that are not told would send their next
/// request into it.
const BEFORE_THE_BODY: [StatusCode; 9] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
];

fn ending_after(mut response: Response<Body>) -> Response<Body> {
    if BEFORE_THE_BODY.contains(&response.status()) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_and_no_more() {
        let age = Duration::from_secs(100);
        let ages: Vec<_> = (0..100).map(|_| jittered(age)).collect();
        assert!(ages.iter().all(|age| (90..=110).contains(&age.as_secs())), "{ages:?}");
        assert!(ages.windows(2).any(|pair| pair[0] != pair[1]), "{ages:?}");
    }
}
