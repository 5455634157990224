//! `ModelStreamInfer`: many requests on one stream, computed side by side and answered in their order.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};
use wisp_engine::{Engine, Method};
use wisp_proto::inference as oip;

use super::VERSION;
use super::call::Who;
use super::grpc::infer;

/// Requests of one stream that are in the engine or wait for those before them. While there are as many, no more is read, and the
/// transport holds the client back.
const STREAM_REQUESTS: usize = 16;

/// The answers of a stream, each when its turn comes.
pub(crate) struct Answers {
    turns: mpsc::Receiver<Turn>,
    next: Option<Turn>,
    /// Reads requests; ended with the stream.
    _reader: Aborted<()>,
}

/// An answer that will come, or the end of the stream.
enum Turn {
    Answer(Aborted<oip::ModelStreamInferResponse>),
    End(Status),
}

/// A task that is ended when nobody waits for it any more.
struct Aborted<T>(JoinHandle<T>);

/// The answers to the requests of a stream, which this client sends.
pub(crate) fn answers(engine: Engine, who: Who, requests: Streaming<oip::ModelInferRequest>) -> Answers {
    // One turn more is in the hands of `poll_next`.
    let (sender, turns) = mpsc::channel(STREAM_REQUESTS - 1);
    let reader = Aborted(tokio::spawn(read(engine, who, requests, sender)));
    Answers { turns, next: None, _reader: reader }
}

async fn read(engine: Engine, who: Who, mut requests: Streaming<oip::ModelInferRequest>, turns: mpsc::Sender<Turn>) {
    loop {
        // A place first: what is read is in memory, and soon in the engine.
        let Ok(place) = turns.reserve().await else { return };
        match requests.next().await {
            Some(Ok(request)) => {
                let (engine, who) =
                    (engine.clone(), Who { arrived_at: Instant::now(), method: Method::InferStream, ..who.clone() });
                let task = tokio::spawn(async move { answer(&engine, request, &who).await });
                place.send(Turn::Answer(Aborted(task)));
            }
            Some(Err(status)) => return place.send(Turn::End(status)),
            None => return,
        }
    }
}

/// The answer to one request. What is wrong with it is its own matter: the stream goes on.
async fn answer(engine: &Engine, request: oip::ModelInferRequest, who: &Who) -> oip::ModelStreamInferResponse {
    let (model_name, id) = (request.model_name.clone(), request.id.clone());
    match infer(engine, request, who).await {
        Ok(answer) => oip::ModelStreamInferResponse { error_message: String::new(), infer_response: Some(answer) },
        Err(error) => {
            let model_version = VERSION.to_owned();
            let named = oip::ModelInferResponse { model_name, model_version, id, ..Default::default() };
            oip::ModelStreamInferResponse { error_message: error.to_string(), infer_response: Some(named) }
        }
    }
}

impl Stream for Answers {
    type Item = Result<oip::ModelStreamInferResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.next.is_none() {
            self.next = ready!(self.turns.poll_recv(context));
        }
        let polled = match &mut self.next {
            None => return Poll::Ready(None),
            Some(Turn::End(status)) => Err(status.clone()),
            Some(Turn::Answer(task)) => match ready!(Pin::new(&mut task.0).poll(context)) {
                Ok(answer) => Ok(answer),
                Err(_) => Err(Status::internal("the request was given up by a fault of the server")),
            },
        };
        self.next = None;
        Poll::Ready(Some(polled))
    }
}

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
