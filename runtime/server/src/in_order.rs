//! Streams of messages: each is answered in its turn, several of them are worked on at one time.
//!
//! Each message is worked on by a task of its own, because guests compute on the thread that polls them: to decode a picture
//! takes longer than to infer from it. The tasks stand in a queue in the order of their messages, and end with the stream.

use std::pin::Pin;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;
use wisp_engine::observe;

/// The answers to a stream of messages; an error is the last of them.
pub(crate) type Answers<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// A task that ends with what holds this.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers messages, no more than `limit` of them at one time: further ones are left to the flow control of HTTP/2. An error, of a
/// message or of an answer, ends the stream after everything before it was answered.
pub(crate) fn in_order<T, R, M, F>(
    limit: usize,
    mut messages: M,
    answer: impl Fn(T) -> F + Send + 'static,
) -> Answers<R>
where
    T: Send + 'static,
    R: Send + 'static,
    M: Stream<Item = Result<T, Status>> + Send + Unpin + 'static,
    F: Future<Output = Result<R, Status>> + Send + 'static,
{
    // One more is held by the stream itself, which waits for it.
    let (send, receive) = mpsc::channel(limit.saturating_sub(1).max(1));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    const LIMIT: usize = 8;

    /// Answers each message with itself after so many milliseconds, or fails at 0.
    async fn wait(milliseconds: u64) -> Result<u64, Status> {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        if milliseconds == 0 { Err(Status::unavailable("ends here")) } else { Ok(milliseconds) }
    }

    fn said(answer: Result<u64, Status>) -> String {
        answer.map_or_else(|status| status.message().to_owned(), |milliseconds| milliseconds.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn answers_come_in_the_order_of_the_messages_and_are_made_side_by_side() {
        let started_at = Instant::now();
        let messages = tokio_stream::iter([90, 20, 70, 10].map(Ok));
        let answers: Vec<_> = in_order(LIMIT, messages, wait).map(said).collect().await;
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
        let mut answers = in_order(LIMIT, messages, wait);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(taken.load(Ordering::Relaxed), LIMIT - 1, "nobody reads yet");
        answers.next().await.expect("the first").expect("is answered");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(taken.load(Ordering::Relaxed), LIMIT);
        assert_eq!(answers.collect::<Vec<_>>().await.len(), 39);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_concerns_all_ends_the_stream() {
        let messages = [Ok(5), Ok(0), Ok(10)];
        let answers: Vec<_> = in_order(LIMIT, tokio_stream::iter(messages), wait).map(said).collect().await;
        assert_eq!(answers, ["5", "ends here"]);
        let messages = [Ok(30), Err(Status::invalid_argument("broken")), Ok(10)];
        let answers: Vec<_> = in_order(LIMIT, tokio_stream::iter(messages), wait).map(said).collect().await;
        assert_eq!(answers, ["30", "broken"]);
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
        let answers = in_order(LIMIT, tokio_stream::iter([Ok(1), Ok(2)]), move |_: i32| {
            let counted = Counted(Arc::clone(&counter));
            async move {
                let _counted = counted;
                std::future::pending::<Result<(), Status>>().await
            }
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        drop(answers);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }
}
