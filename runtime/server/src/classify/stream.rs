//! `ClassifyStream`: messages are answered in their order, several of them at one time.
//!
//! Each message is worked on by a task of its own, because guests compute on the thread that polls them: to decode a picture
//! takes longer than to infer from it. The tasks stand in a queue in the order of their messages, and end with the stream.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use wisp_engine::{Engine, EngineError, Method, observe};
use wisp_proto::v1;
use wisp_proto::v1::classify_stream_response::Outcome;

use super::{Caller, Refusal};
use crate::status::status;

/// Messages of one stream that are worked on at one time. Further ones are left to the flow control of HTTP/2.
const INFLIGHT: usize = 8;

type Answer = Result<v1::ClassifyStreamResponse, Status>;

/// The answers to a stream of messages.
pub(crate) type ClassifyAnswers = Pin<Box<dyn Stream<Item = Answer> + Send>>;

/// A task that ends with what holds this.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers `messages` for `caller`.
pub(super) fn answer<M>(engine: Engine, caller: Caller, messages: M) -> ClassifyAnswers
where
    M: Stream<Item = Result<v1::ClassifyRequest, Status>> + Send + Unpin + 'static,
{
    in_order(messages, move |message| {
        let (engine, caller) = (engine.clone(), caller.clone());
        async move {
            match super::answer(&engine, &caller, Method::ClassifyStream, message).await {
                Ok(response) => Ok(outcome(Outcome::Response(response))),
                Err(refusal) => in_place(refusal, caller.deadline),
            }
        }
    })
}

/// The answers to messages, in their order; an error ends them.
fn in_order<T, M, F>(mut messages: M, answer: impl Fn(T) -> F + Send + 'static) -> ClassifyAnswers
where
    T: Send + 'static,
    M: Stream<Item = Result<T, Status>> + Send + Unpin + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    // One more is held by the stream itself, which waits for it.
    let (send, receive) = mpsc::channel(INFLIGHT - 1);
    let observer = observe::current();
    let reading = Task(tokio::spawn(async move {
        // No message is read before there is a place for its answer, or somebody to read that.
        while let Ok(place) = send.reserve().await {
            match messages.next().await {
                Some(Ok(message)) => {
                    place.send(Task(tokio::spawn(observe::observed(observer.clone(), answer(message)))))
                }
                Some(Err(status)) => return place.send(Task(tokio::spawn(std::future::ready(Err(status))))),
                None => return,
            }
        }
    }));
    let answers = ReceiverStream::new(receive).then(|mut task| async move {
        let answered = (&mut task.0).await;
        answered.unwrap_or_else(|error| Err(Status::internal(format!("the request was not finished: {error}"))))
    });
    let mut ended = false;
    let answers = answers.map_while(move |answer| {
        let _until_the_end = &reading;
        (!std::mem::replace(&mut ended, answer.is_err())).then_some(answer)
    });
    Box::pin(answers)
}

/// A refusal as the answer to its message, or as the end of the stream when every other message would be refused as well.
fn in_place(refusal: Refusal, deadline: Option<Instant>) -> Answer {
    let status = match refusal {
        Refusal::Message(status) => status,
        Refusal::Engine(error @ EngineError::Draining) => return Err(status(&error)),
        Refusal::Engine(error) => status(&error),
    };
    if status.code() == Code::DeadlineExceeded && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(status);
    }
    let retry_after = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    // 2^64 nanoseconds are 584 years.
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Ok(outcome(Outcome::Error(v1::RequestError {
        code: status.code().into(),
        message: status.message().to_owned(),
        retry_after_ns: retry_after.map(nanoseconds),
    })))
}

fn outcome(outcome: Outcome) -> v1::ClassifyStreamResponse {
    v1::ClassifyStreamResponse { outcome: Some(outcome) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers each message with its number after so many milliseconds, or fails at 0.
    async fn wait(milliseconds: u64) -> Answer {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        match milliseconds {
            0 => Err(Status::unavailable("ends here")),
            _ => Ok(outcome(Outcome::Error(v1::RequestError {
                message: milliseconds.to_string(),
                ..Default::default()
            }))),
        }
    }

    fn said(answer: Answer) -> String {
        match answer.map(|answer| answer.outcome) {
            Ok(Some(Outcome::Error(error))) => error.message,
            other => format!("{:?}", other.map_err(|status| status.message().to_owned())),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_come_in_the_order_of_the_messages_and_are_made_side_by_side() {
        let started_at = Instant::now();
        let messages = tokio_stream::iter([90, 20, 70, 10].map(Ok));
        let answers: Vec<_> = in_order(messages, wait).map(said).collect().await;
        assert_eq!(answers, ["90", "20", "70", "10"]);
        assert_eq!(started_at.elapsed().as_millis(), 90, "in virtual time: as long as the longest");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_messages_are_taken_than_are_worked_on() {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let messages = tokio_stream::iter([10; 40]).map(move |message| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(message)
        });
        let mut answers = in_order(messages, wait);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(taken.load(Ordering::Relaxed), INFLIGHT - 1, "nobody reads yet");
        answers.next().await.expect("the first").expect("is answered");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(taken.load(Ordering::Relaxed), INFLIGHT);
        assert_eq!(answers.collect::<Vec<_>>().await.len(), 39);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_concerns_all_ends_the_stream() {
        let messages = [Ok(5), Ok(0), Ok(10)];
        let answers: Vec<_> = in_order(tokio_stream::iter(messages), wait).map(said).collect().await;
        assert_eq!(answers, ["5", "Err(\"ends here\")"]);
        let messages = [Ok(30), Err(Status::invalid_argument("broken")), Ok(10)];
        let answers: Vec<_> = in_order(tokio_stream::iter(messages), wait).map(said).collect().await;
        assert_eq!(answers, ["30", "Err(\"broken\")"]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_ends_all_work() {
        /// Counts what is dropped.
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&dropped);
        let answers = in_order(tokio_stream::iter([Ok(1), Ok(2)]), move |_: i32| {
            let counted = Counted(Arc::clone(&counter));
            async move {
                let _counted = counted;
                std::future::pending().await
            }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        drop(answers);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_refusal_is_answered_in_place_with_the_time_to_wait() {
        let retry_after = Duration::from_millis(3);
        let overloaded = wisp_engine::CallError::Overloaded { message: "later".to_owned(), retry_after };
        let answer = in_place(Refusal::Engine(EngineError::Call(overloaded)), None).expect("the stream goes on");
        let Some(Outcome::Error(error)) = answer.outcome else { panic!("an error") };
        assert_eq!((error.code, error.retry_after_ns), (Code::ResourceExhausted as i32, Some(3_000_000)));
        assert!(in_place(Refusal::Engine(EngineError::Draining), None).is_err(), "the next is refused as well");
    }
}
