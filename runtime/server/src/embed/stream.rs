//! `EmbedStream`: messages are answered in their order, several of them at one time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use wisp_engine::{Engine, EngineError, Method};
use wisp_proto::v1;

use super::answer::nanoseconds;
use super::caller::Caller;
use super::{Refusal, embed_message};
use crate::status::status;

/// Messages of one stream that are worked on at one time. Further ones are left to the flow control of HTTP/2.
const INFLIGHT: usize = 8;

type Answer = Result<v1::EmbedStreamResponse, Status>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The answers to a stream of messages.
pub(crate) type EmbedAnswers = Pin<Box<dyn Stream<Item = Answer> + Send>>;

/// What turns messages into answers; dropping it ends all work for them.
struct InOrder<M, F> {
    /// `None` when no more messages come.
    messages: Option<M>,
    /// Makes the answer to a message.
    answer: F,
    /// The oldest first.
    answering: VecDeque<Work>,
    /// How the stream ends when all before is answered.
    end: Option<Status>,
}

/// A message in work, or answered before its turn.
enum Work {
    Answering(Answering),
    Answered(Answer),
}

/// Answers `messages` for `caller`.
pub(super) fn answer(engine: Engine, caller: Caller, messages: Streaming<v1::EmbedRequest>) -> EmbedAnswers {
    let answer = move |message| -> Answering {
        let (engine, caller) = (engine.clone(), caller.clone());
        Box::pin(async move {
            match embed_message(&engine, &caller, Method::EmbedStream, message).await {
                Ok(response) => Ok(outcome(v1::embed_stream_response::Outcome::Response(response))),
                Err(refusal) => in_place(refusal, caller.deadline),
            }
        })
    };
    Box::pin(InOrder { messages: Some(messages), answer, answering: VecDeque::with_capacity(INFLIGHT), end: None })
}

fn outcome(outcome: v1::embed_stream_response::Outcome) -> v1::EmbedStreamResponse {
    v1::EmbedStreamResponse { outcome: Some(outcome) }
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
    Ok(outcome(v1::embed_stream_response::Outcome::Error(v1::RequestError {
        code: status.code().into(),
        message: status.message().to_owned(),
        retry_after_ns: retry_after.map(nanoseconds),
    })))
}

impl<M, T, F> InOrder<M, F>
where
    M: Stream<Item = Result<T, Status>> + Unpin,
    F: FnMut(T) -> Answering,
{
    /// Takes messages while there is room for them.
    fn take_messages(&mut self, context: &mut Context<'_>) {
        while self.answering.len() < INFLIGHT
            && let Some(messages) = &mut self.messages
        {
            match Pin::new(messages).poll_next(context) {
                Poll::Ready(Some(Ok(message))) => self.answering.push_back(Work::Answering((self.answer)(message))),
                Poll::Ready(Some(Err(status))) => {
                    self.end = Some(status);
                    self.messages = None;
                }
                Poll::Ready(None) => self.messages = None,
                Poll::Pending => return,
            }
        }
    }

    /// Goes on with every message in work.
    fn work(&mut self, context: &mut Context<'_>) {
        for work in &mut self.answering {
            if let Work::Answering(answering) = work
                && let Poll::Ready(answer) = answering.as_mut().poll(context)
            {
                *work = Work::Answered(answer);
            }
        }
    }
}

impl<M, T, F> Stream for InOrder<M, F>
where
    M: Stream<Item = Result<T, Status>> + Unpin,
    F: FnMut(T) -> Answering + Unpin,
{
    type Item = Answer;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        let this = self.get_mut();
        this.take_messages(context);
        this.work(context);
        match this.answering.pop_front() {
            Some(Work::Answered(answer)) => {
                if answer.is_err() {
                    // It concerns the whole stream.
                    (this.messages, this.end) = (None, None);
                    this.answering.clear();
                }
                Poll::Ready(Some(answer))
            }
            Some(work) => {
                this.answering.push_front(work);
                Poll::Pending
            }
            None if this.messages.is_some() => Poll::Pending,
            None => Poll::Ready(this.end.take().map(Err)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_stream::StreamExt;

    use super::*;

    /// Answers each message with its text after so many milliseconds, or fails at 0.
    fn wait(milliseconds: u64) -> Answering {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            match milliseconds {
                0 => Err(Status::unavailable("ends here")),
                _ => Ok(outcome(v1::embed_stream_response::Outcome::Error(v1::RequestError {
                    message: milliseconds.to_string(),
                    ..v1::RequestError::default()
                }))),
            }
        })
    }

    fn in_order<M>(messages: M) -> InOrder<M, fn(u64) -> Answering> {
        InOrder { messages: Some(messages), answer: wait, answering: VecDeque::new(), end: None }
    }

    fn said(answer: Answer) -> String {
        match answer.map(|answer| answer.outcome) {
            Ok(Some(v1::embed_stream_response::Outcome::Error(error))) => error.message,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_come_in_the_order_of_the_messages_and_are_made_side_by_side() {
        let started_at = Instant::now();
        let messages = [90, 20, 70, 10].map(Ok);
        let answers: Vec<_> = in_order(tokio_stream::iter(messages)).map(said).collect().await;
        assert_eq!(answers, ["90", "20", "70", "10"]);
        assert_eq!(started_at.elapsed().as_millis(), 90, "in virtual time: as long as the longest");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_messages_are_taken_than_are_worked_on() {
        let taken = std::rc::Rc::new(std::cell::Cell::new(0));
        let counter = std::rc::Rc::clone(&taken);
        let messages = tokio_stream::iter([10; 20]).map(move |message| {
            counter.set(counter.get() + 1);
            Ok(message)
        });
        let mut answers = in_order(messages);
        answers.next().await.expect("the first").expect("is answered");
        assert_eq!(taken.get(), INFLIGHT);
        assert_eq!(answers.collect::<Vec<_>>().await.len(), 19);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_answered_before_a_broken_message_ends_the_stream() {
        let messages = [Ok(30), Err(Status::invalid_argument("broken")), Ok(10)];
        let mut answers = in_order(tokio_stream::iter(messages));
        assert_eq!(said(answers.next().await.expect("the first")), "30");
        assert_eq!(answers.next().await.expect("the end").expect_err("is told").message(), "broken");
        assert!(answers.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_concerns_all_ends_the_stream() {
        let mut answers = in_order(tokio_stream::iter([5, 0, 10].map(Ok)));
        assert_eq!(said(answers.next().await.expect("the first")), "5");
        assert_eq!(answers.next().await.expect("the end").expect_err("is told").code(), Code::Unavailable);
        assert!(answers.next().await.is_none());
    }

    #[test]
    fn a_refusal_is_answered_in_place_with_the_time_to_wait() {
        let overloaded =
            wisp_engine::CallError::Overloaded { message: "later".to_owned(), retry_after: Duration::from_millis(3) };
        let answer = in_place(Refusal::Engine(EngineError::Call(overloaded)), None).expect("the stream goes on");
        let Some(v1::embed_stream_response::Outcome::Error(error)) = answer.outcome else { panic!("an error") };
        assert_eq!((error.code, error.retry_after_ns), (Code::ResourceExhausted as i32, Some(3_000_000)));
        assert!(in_place(Refusal::Engine(EngineError::Draining), None).is_err(), "the next is refused as well");
    }
}
