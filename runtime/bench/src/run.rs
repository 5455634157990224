//! One run: streams of requests at one time, warmed up, measured, and waited for.

mod closed;
mod open;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Failure, FailureKind, Question};
use crate::expectation::Expectation;
use crate::figures::StreamFacts;
use crate::load::Load;
use crate::record::{Recorder, Times};
use crate::span::Span;
use crate::target::Target;

/// How often a run looks whether its server is still there.
const WATCH: Duration = Duration::from_millis(100);

/// Longest time that nobody may answer before a run is given up.
const GONE_LIMIT: Duration = Duration::from_secs(3);

/// Longest time between a signal that reaches the target and the same signal here.
const INTERRUPT_LIMIT: Duration = Duration::from_millis(200);

/// How a run measures.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Time before measuring begins, under the same load.
    pub warm_up: Duration,
    /// Time that is measured.
    pub duration: Duration,
    /// Windows in that time.
    pub windows: usize,
    /// Longest time that requests on their way are waited for at the end.
    pub drain: Duration,
    /// Seed of arrivals.
    pub seed: u64,
}

/// One stream of requests.
#[derive(Clone)]
pub struct Stream {
    /// What it is, for reports.
    pub facts: StreamFacts,
    /// Who is asked.
    pub target: Target,
    /// The texts, taken in turn.
    pub texts: Arc<Vec<String>>,
    /// The right answers; `None` checks nothing.
    pub expectation: Option<Arc<Expectation>>,
}

/// What a run has noted.
pub struct Outcome {
    /// One for each stream.
    pub recorders: Vec<Recorder>,
    /// Why it ended before its time, if it did.
    pub ended_early: Option<EndedEarly>,
}

/// Why a run ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedEarly {
    /// Somebody asked for it.
    Interrupted,
    /// The target is gone, and how.
    Gone(String),
}

/// A stream that runs.
struct Running {
    stream: Stream,
    span: Span,
    recorder: Mutex<Recorder>,
    next: AtomicU64,
    /// When the last answer came, successful or not, in nanoseconds after the start of the run; failures to reach the target are none.
    answered_ns: AtomicU64,
    begun_at: Instant,
    stop: CancellationToken,
}

/// Runs streams at one time. `watch` is asked now and then whether the target is gone, and says how.
///
/// Cancelling `stop` ends the run early; what was noted until then is returned.
pub async fn run(
    streams: Vec<Stream>,
    method: Method,
    stop: &CancellationToken,
    mut watch: impl FnMut() -> Option<String>,
) -> Outcome {
    let begun_at = Instant::now();
    let span = Span { start: begun_at + method.warm_up, duration: method.duration, windows: method.windows.max(1) };
    // Ends this run alone; whoever waits for `stop` ends all of them.
    let halt = stop.child_token();
    let (alive, mut all_done) = mpsc::channel::<()>(1);
    let mut running = Vec::new();
    for (number, stream) in streams.into_iter().enumerate() {
        let stream = Arc::new(Running {
            recorder: Mutex::new(Recorder::new(span)),
            span,
            next: AtomicU64::new(0),
            answered_ns: AtomicU64::new(0),
            begun_at,
            stop: halt.clone(),
            stream,
        });
        match stream.stream.facts.load {
            Load::Clients(clients) => closed::start(&stream, clients, &alive),
            Load::Rate { per_second, arrivals } => {
                open::start(&stream, per_second, arrivals, method.seed.wrapping_add(number as u64), &alive);
            }
        }
        running.push(stream);
    }
    drop(alive);
    let end = span.end() + method.drain;
    let mut gone = None;
    loop {
        tokio::select! {
            _ = all_done.recv() => break,
            () = stop.cancelled() => {}
            () = tokio::time::sleep(WATCH) => {}
        }
        gone = watch().or_else(|| running.iter().find_map(|stream| stream.gone()));
        if gone.is_some() {
            // Ctrl-C ends a server of the same terminal as well, and may be noticed there first.
            let _ = tokio::time::timeout(INTERRUPT_LIMIT, stop.cancelled()).await;
        }
        if gone.is_some() || stop.is_cancelled() || Instant::now() > end {
            halt.cancel();
            break;
        }
    }
    let ended_early = match gone {
        _ if stop.is_cancelled() => Some(EndedEarly::Interrupted),
        gone => gone.map(EndedEarly::Gone),
    };
    let measured = Instant::now().saturating_duration_since(span.start);
    let recorders = running.iter().map(|stream| {
        let mut recorder = stream.recorder().clone();
        if ended_early.is_some() && measured < span.duration {
            recorder.cut(measured);
        }
        recorder
    });
    Outcome { recorders: recorders.collect(), ended_early }
}

impl Running {
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request, and which texts of the pool it asks for. Taken in turn, so that every text is asked for as often as
    /// every other.
    fn question(&self, connection: usize) -> (Question, Vec<usize>) {
        let (texts, count) = (&self.stream.texts, self.stream.facts.request_texts);
        let first = self.next.fetch_add(1, Ordering::Relaxed) as usize * count;
        let indices: Vec<usize> = (first..first + count).map(|index| index % texts.len()).collect();
        let texts = indices.iter().map(|&index| texts[index].clone()).collect();
        (Question { texts, connection, lane: self.stream.facts.lane }, indices)
    }

    /// Asks, checks and notes. `intended` is when the request was to be sent. Returns how long to wait before the next one, when
    /// this one failed and the target said so.
    async fn ask(&self, connection: usize, intended: Option<Instant>) -> Result<(), Failure> {
        let (question, indices) = self.question(connection);
        let sent = Instant::now();
        let asked = tokio::select! {
            asked = self.stream.target.embed(question) => asked,
            () = self.stop.cancelled() => return Ok(()),
        };
        let finished = Instant::now();
        let is_counted = match intended {
            Some(intended) => self.span.window(intended).is_some(),
            None => finished >= self.span.start,
        };
        let times = Times { intended: intended.unwrap_or(sent), sent, finished, is_counted };
        if !matches!(&asked, Err(Failure { kind: FailureKind::Unreachable, .. })) {
            let since = finished.saturating_duration_since(self.begun_at);
            self.answered_ns.fetch_max(since.as_nanos() as u64, Ordering::Relaxed);
        }
        self.note(times, &indices, asked)
    }

    fn note(&self, times: Times, indices: &[usize], asked: Result<Answer, Failure>) -> Result<(), Failure> {
        match asked {
            Ok(answer) => {
                let verdict = self.stream.expectation.as_ref().map(|expected| expected.check(indices, &answer));
                self.recorder().answer(times, indices.len(), &answer, verdict);
                Ok(())
            }
            Err(failure) => {
                self.recorder().failure(times, &failure);
                Err(failure)
            }
        }
    }

    /// How the target is gone, if nobody has answered for long and requests say that nobody is there.
    fn gone(&self) -> Option<String> {
        let recorder = self.recorder();
        let unreachable = recorder.sums.failures.get("CONNECTION")?;
        let answered = self.begun_at + Duration::from_nanos(self.answered_ns.load(Ordering::Relaxed));
        let is_gone = unreachable.count > 0 && answered.elapsed() > GONE_LIMIT;
        is_gone.then(|| format!("nobody has answered for {} s: {}", GONE_LIMIT.as_secs(), unreachable.example))
    }
}
