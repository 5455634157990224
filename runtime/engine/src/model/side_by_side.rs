//! Whether several sessions do more than one with all threads: measured at load once, and remembered with the proof.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use wisp_core::rows::gather;
use wisp_core::{Batch, Device, Session};

use super::loader::{Loader, Subject};
use super::select::Chosen;
use crate::proof::{SideBySide, prove_quickly, typical};

/// What another session must gain: it halves the speed of a lone request and takes the memory of a model once more.
const WORTH_IT: f64 = 1.15;

/// Most sessions that are tried.
const MOST: usize = 8;

/// Rows of the inferences that are measured: load, not a lone request.
const ROWS: usize = 8;

/// Both ways are measured in turn, so often; the best of each counts, because whatever disturbs only makes slower.
const ROUNDS: usize = 3;

/// Time of one measurement.
const SPAN: Duration = Duration::from_millis(200);

/// Gives a model as many sessions as are worth it: the chosen one, or others in its place with a part of the threads each.
///
/// What cannot be measured or opened stays as it is: one session with all threads.
pub(super) fn divide(loader: &mut Loader<'_>, subject: &Subject, chosen: &mut Chosen) -> Vec<Box<dyn Session>> {
    let all_threads = loader.threads;
    if chosen.placement.device != Device::Cpu || all_threads < 2 {
        return Vec::new();
    }
    let measured = match chosen.proof.side_by_side {
        Some(known) => known,
        None => {
            let measured = measure(loader, subject, chosen);
            loader.threads = all_threads;
            let Some(measured) = measured else { return Vec::new() };
            chosen.proof.side_by_side = Some(measured);
            chosen.remember(loader);
            measured
        }
    };
    if measured.sessions < 2 {
        return Vec::new();
    }
    match open(loader, subject, chosen, all_threads, measured.sessions) {
        Ok(mut sessions) => {
            if let Some(first) = sessions.pop() {
                chosen.session = first;
            }
            sessions
        }
        Err(reason) => {
            tracing::warn!(model = loader.model.manifest.name, reason, "one session in place of several");
            loader.threads = all_threads;
            Vec::new()
        }
    }
}

/// Doubles the sessions as long as that is worth it. `None` when a session fails.
fn measure(loader: &mut Loader<'_>, subject: &Subject, chosen: &mut Chosen) -> Option<SideBySide> {
    let golden = subject.golden.as_ref()?;
    let cases = golden.all(subject.tokenizer.as_ref()).ok()?;
    let ragged = loader.model.manifest.ragged.as_ref();
    let rows = if chosen.proof.batching.rows.is_proven() { ROWS } else { 1 };
    let batch = Batch::Padded(gather(&vec![typical(cases)?; rows], ragged).ok()?);
    let all_threads = loader.threads;
    loader.progress.step("measuring sessions side by side", None);
    let mut found = SideBySide { sessions: 1, rows_per_s: 0.0, tried: 1, tried_rows_per_s: 0.0 };
    let mut best: Vec<Box<dyn Session>> = Vec::new();
    while found.sessions * 2 <= all_threads.min(MOST) {
        found.tried = found.sessions * 2;
        let mut others = open(loader, subject, chosen, all_threads, found.tried).ok()?;
        let mut rates = [0.0_f64; 2];
        for _ in 0..ROUNDS {
            let now = if best.is_empty() { std::slice::from_mut(&mut chosen.session) } else { &mut best[..] };
            rates[0] = rates[0].max(inferences_per_s(now, &batch)?);
            rates[1] = rates[1].max(inferences_per_s(&mut others, &batch)?);
        }
        // In thousandths: what is remembered is written in decimal, and reads as what was measured.
        [found.rows_per_s, found.tried_rows_per_s] = rates.map(|rate| (rate * rows as f64 * 1e3).round() / 1e3);
        if rates[1] < WORTH_IT * rates[0] {
            break;
        }
        (found.sessions, found.rows_per_s, best) = (found.tried, found.tried_rows_per_s, others);
    }
    loader.progress.done(&format!("sessions side by side: {found}"));
    Some(found)
}

/// Opens so many sessions, each with its part of the threads, and looks whether they compute what is proven.
fn open(
    loader: &mut Loader<'_>,
    subject: &Subject,
    chosen: &Chosen,
    all_threads: usize,
    count: usize,
) -> Result<Vec<Box<dyn Session>>, String> {
    loader.threads = (all_threads / count).max(1);
    let opened = (0..count).map(|_| {
        let mut session = chosen.open_another(loader)?;
        if let Some(golden) = &subject.golden {
            prove_quickly(session.as_mut(), loader.model, golden).map_err(|error| error.to_string())?;
        }
        Ok(session)
    });
    opened.collect()
}

/// What sessions get done together, each on a thread of its own. `None` when one fails.
fn inferences_per_s(sessions: &mut [Box<dyn Session>], batch: &Batch) -> Option<f64> {
    let start = Barrier::new(sessions.len());
    std::thread::scope(|scope| {
        let running: Vec<_> = sessions
            .iter_mut()
            .map(|session| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let (started_at, mut runs) = (Instant::now(), 0_u32);
                    while runs == 0 || started_at.elapsed() < SPAN {
                        session.run(batch).ok()?;
                        runs += 1;
                    }
                    Some(f64::from(runs) / started_at.elapsed().as_secs_f64())
                })
            })
            .collect();
        // Every thread is waited for, whatever the others say.
        let rates: Vec<Option<f64>> = running.into_iter().map(|thread| thread.join().ok().flatten()).collect();
        rates.into_iter().sum()
    })
}
