//! Choosing the precision at a placement: of what is proven there, the fastest.

use wisp_core::{Backend, Device, Placement, Precision, Session};
use wisp_model_store::{GoldenAnswers, GoldenSpec, Manifest, ModelFile};

use super::ProvenFile;
use super::candidate::CandidateReport;
use super::loader::{Loader, Subject};
use super::subject::LateSubject;
use crate::config::PrecisionChoice;
use crate::proof::cache::{Outcome, ProofKey};
use crate::proof::{Proof, ProofError, measure_again, prove, prove_quickly};
use crate::room;

/// A session that is loaded, proven, and chosen.
pub(crate) struct Chosen {
    pub(crate) session: Box<dyn Session>,
    pub(crate) file: ModelFile,
    pub(crate) placement: Placement,
    pub(crate) proof: Proof,
    /// What the device calls itself.
    device_name: String,
    /// Why this one, in a sentence.
    pub(crate) reason: String,
    /// This one, and what it was chosen from.
    pub(crate) candidates: Vec<CandidateReport>,
}

impl Chosen {
    /// Keeps what was found out about it since it was proven.
    pub(super) fn remember(&self, loader: &Loader<'_>) {
        let session = self.session.info();
        let key = ProofKey {
            model: loader.model,
            file: &self.file,
            placement: self.placement,
            device_name: &self.device_name,
            precision: session.precision,
            library_version: &session.library_version,
            threads: loader.threads,
        };
        loader.proofs.put(&key, &Outcome::Proven(self.proof.clone()));
    }

    /// Opens one more session of the same kind.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub(super) fn open_another(&self, loader: &Loader<'_>) -> Result<Box<dyn Session>, String> {
        let backend = loader.backend(self.placement)?;
        let (version, precision) = (backend.version().unwrap_or_default(), self.session.info().precision);
        loader.open(backend.as_ref(), &self.file, self.placement, precision, &version)
    }
}

/// A file of the model in one precision, before anything is known about it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate<'m> {
    file: &'m ModelFile,
    precision: Precision,
}

/// A candidate and what its proof said; the session where the proof has just been made.
struct Tried<'m> {
    candidate: Candidate<'m>,
    outcome: Outcome,
    session: Option<Box<dyn Session>>,
}

impl Tried<'_> {
    /// What is said about it; which one is chosen is not known yet.
    fn report(&self) -> CandidateReport {
        let (precision, file) = (self.candidate.precision, self.candidate.file.path.clone());
        let (speed, refused) = match &self.outcome {
            Outcome::Proven(proof) => (proof.speed, None),
            Outcome::Refused { reason } => (None, Some(reason.clone())),
        };
        CandidateReport { precision, file, speed, refused, is_chosen: false }
    }
}

impl std::fmt::Display for Candidate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.file.precision {
            Some(_) => write!(f, "{} ({})", self.precision, self.file.path),
            None => self.precision.fmt(f),
        }
    }
}

/// Loads the model at one placement: in the precision that was asked for, or in the fastest that is proven.
///
/// # Errors
/// What is wrong with this placement, in one line.
pub(crate) fn select(
    loader: &Loader<'_>,
    subject: &LateSubject<'_>,
    placement: Placement,
    choice: PrecisionChoice,
) -> Result<Chosen, String> {
    let place = Place::find(loader, subject, placement)?;
    let candidates =
        candidates(&loader.model.manifest, place.backend.as_ref(), placement.device, &place.native, choice)?;
    let mut tried: Vec<Tried<'_>> = Vec::new();
    for candidate in candidates {
        tried.push(place.try_one(candidate));
        keep_fastest_session(&mut tried);
    }
    place.choose(tried, choice)
}

/// Proves every file that a placement has in one precision, whatever was proven before, and keeps the results.
///
/// # Errors
/// What is wrong with this placement, in one line.
pub(super) fn prove_anew(
    loader: &Loader<'_>,
    subject: &LateSubject<'_>,
    placement: Placement,
    precision: Precision,
) -> Result<Vec<ProvenFile>, String> {
    let place = Place::find(loader, subject, placement)?;
    let choice = PrecisionChoice::Exactly(precision);
    let candidates =
        candidates(&loader.model.manifest, place.backend.as_ref(), placement.device, &place.native, choice)?;
    let proven = candidates.into_iter().map(|candidate| {
        let proof = match place.prove(candidate).outcome {
            Outcome::Proven(proof) => Ok(proof),
            Outcome::Refused { reason } => Err(reason),
        };
        (candidate.file.path.clone(), proof)
    });
    Ok(proven.collect())
}

/// The candidates of a placement, in the order in which they are tried: f32 first.
fn candidates<'m>(
    manifest: &'m Manifest,
    backend: &dyn Backend,
    device: Device,
    native: &[Precision],
    choice: PrecisionChoice,
) -> Result<Vec<Candidate<'m>>, String> {
    let files: Vec<&ModelFile> = backend
        .formats()
        .iter()
        .flat_map(|&format| manifest.model_files().filter(move |file| file.format == Some(format)))
        .filter(|file| file.backends.contains(&backend.id()))
        .collect();
    if files.is_empty() {
        let formats: Vec<_> = backend.formats().iter().map(|format| format.name()).collect();
        return Err(format!(
            "the manifest has no file for backend `{}` in format {}",
            backend.id(),
            formats.join(" or ")
        ));
    }
    let whole = files.iter().find(|file| file.precision.is_none());
    let floating = [Precision::F32, Precision::Bf16, Precision::F16]
        .into_iter()
        .filter_map(|precision| whole.map(|file| Candidate { file, precision }));
    let quantised = files.iter().filter_map(|file| file.precision.map(|precision| Candidate { file, precision }));
    let all: Vec<_> = floating.chain(quantised).collect();
    match choice {
        PrecisionChoice::Exactly(precision) => {
            let wanted: Vec<_> = all.into_iter().filter(|candidate| candidate.precision == precision).collect();
            match wanted.is_empty() {
                true => {
                    Err(format!("the manifest has no file in precision {precision} for backend `{}`", backend.id()))
                }
                false => Ok(wanted),
            }
        }
        // What has no tolerance cannot be proven, and what the device lacks need not be tried.
        PrecisionChoice::Auto => Ok(all
            .into_iter()
            .filter(|candidate| native.contains(&candidate.precision))
            .filter(|candidate| backend.accelerates(device, candidate.precision))
            .filter(|candidate| {
                candidate.precision == Precision::F32 || manifest.tolerance(candidate.precision).is_some()
            })
            .collect()),
    }
}

/// Of sessions that are open, only the fastest is worth its memory.
fn keep_fastest_session(tried: &mut [Tried<'_>]) {
    let fastest = tried
        .iter()
        .enumerate()
        .filter(|(_, tried)| tried.session.is_some())
        .min_by(|a, b| cost(a.1).total_cmp(&cost(b.1)));
    let Some(fastest) = fastest.map(|(index, _)| index) else { return };
    tried.iter_mut().enumerate().filter(|(index, _)| *index != fastest).for_each(|(_, tried)| tried.session = None);
}

/// What another precision must be faster by: less is noise, and f32 is what everybody expects.
const WORTH_IT: f64 = 0.95;

/// Microseconds; infinite for what was refused or not measured.
fn cost(tried: &Tried<'_>) -> f64 {
    let factor = if tried.candidate.precision == Precision::F32 { WORTH_IT } else { 1.0 };
    match &tried.outcome {
        Outcome::Proven(proof) => proof.speed.map_or(f64::MAX, |speed| speed.cost_us() * factor),
        Outcome::Refused { .. } => f64::INFINITY,
    }
}

/// One placement, with everything that its candidates have in common.
struct Place<'a> {
    loader: &'a Loader<'a>,
    subject: &'a LateSubject<'a>,
    backend: Box<dyn Backend>,
    placement: Placement,
    /// The precisions that the device computes in.
    native: Vec<Precision>,
    device_name: String,
    version: String,
}

impl<'a> Place<'a> {
    /// Looks for backend and device.
    fn find(loader: &'a Loader<'a>, subject: &'a LateSubject<'a>, placement: Placement) -> Result<Self, String> {
        let backend = loader.backend(placement)?;
        let report = backend.report(placement.device);
        if let Some(missing) = report.as_ref().and_then(|report| report.missing.clone()) {
            return Err(missing);
        }
        // Of a device that nobody looked for, loading says what is wrong.
        let native = report.as_ref().map_or(vec![Precision::F32], |report| report.precisions.clone());
        let device_name = report.and_then(|report| report.name).unwrap_or_else(|| placement.device.to_string());
        let version = backend.version().unwrap_or_default();
        Ok(Self { loader, subject, backend, placement, native, device_name, version })
    }

    /// The proof of a candidate, from an earlier start or made now.
    fn try_one<'m>(&self, candidate: Candidate<'m>) -> Tried<'m> {
        match self.loader.proofs.get(&self.key(candidate)).filter(|_| self.is_kept()) {
            Some(Outcome::Proven(proof)) if proof.speed.is_some_and(|speed| speed.is_provisional()) => {
                self.measure_again(candidate, proof)
            }
            Some(outcome) => Tried { candidate, outcome, session: None },
            None => self.prove(candidate),
        }
    }

    /// A proof holds on a busy machine as on a quiet one, its speed does not: that alone is measured again.
    fn measure_again<'m>(&self, candidate: Candidate<'m>, proof: Proof) -> Tried<'m> {
        let measured = self.open(candidate).and_then(|mut session| {
            let Subject { golden, tokenizer, .. } = self.subject.get()?;
            let golden = golden.as_ref().ok_or("the model has no golden vectors any more")?;
            let measured = measure_again(session.as_mut(), self.loader.model, golden, tokenizer.as_ref(), &proof);
            measured.map(|speed| (session, speed)).map_err(|error| error.to_string())
        });
        let Ok((session, again)) = measured else { return self.prove(candidate) };
        let speed = proof.speed.map(|known| known.or_better(again));
        let outcome = Outcome::Proven(Proof { speed, ..proof });
        self.loader.proofs.put(&self.key(candidate), &outcome);
        Tried { candidate, outcome, session: Some(session) }
    }

    /// Without golden vectors there is nothing to remember: loading is all there is to a proof.
    fn is_kept(&self) -> bool {
        let manifest = &self.loader.model.manifest;
        let is_usable = |golden: &GoldenSpec| match golden.answers {
            GoldenAnswers::Texts { .. } => manifest.tokenizer.is_some(),
            GoldenAnswers::Tensors { .. } => true,
        };
        manifest.golden.as_ref().is_some_and(is_usable)
    }

    fn prove<'m>(&self, candidate: Candidate<'m>) -> Tried<'m> {
        let opened = self.open(candidate).and_then(|session| Ok((session, self.subject.get()?)));
        let (mut session, Subject { golden, tokenizer, .. }) = match opened {
            Ok(opened) => opened,
            // May be mended by the next start: another file, a free device.
            Err(reason) => return Tried { candidate, outcome: Outcome::Refused { reason }, session: None },
        };
        self.loader.progress.step(&format!("proving {candidate} on {}", self.placement), None);
        let proven = prove(session.as_mut(), self.loader.model, golden.as_ref(), tokenizer.as_ref());
        let (outcome, session) = match proven {
            Ok(proof) => (Outcome::Proven(proof), Some(session)),
            // A session that failed has shown nothing that holds for the next one.
            Err(error @ ProofError::Backend(_)) => {
                return Tried { candidate, outcome: Outcome::Refused { reason: error.to_string() }, session: None };
            }
            Err(error) => (Outcome::Refused { reason: error.to_string() }, None),
        };
        let word = if session.is_some() { "proven" } else { "refused" };
        self.loader.progress.done(&format!("{candidate} on {} {word}", self.placement));
        if self.is_kept() {
            self.loader.proofs.put(&self.key(candidate), &outcome);
        }
        Tried { candidate, outcome, session }
    }

    /// The fastest of what is proven, open and warm.
    fn choose(&self, tried: Vec<Tried<'_>>, choice: PrecisionChoice) -> Result<Chosen, String> {
        let reason = explain(&tried, choice);
        let mut candidates: Vec<_> = tried.iter().map(Tried::report).collect();
        let mut best: Vec<Tried<'_>> =
            tried.into_iter().filter(|tried| matches!(tried.outcome, Outcome::Proven(_))).collect();
        best.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        let Some(Tried { candidate, outcome: Outcome::Proven(proof), session }) = best.into_iter().next() else {
            return Err(reason);
        };
        let session = match session {
            Some(session) => session,
            None => {
                let mut session = self.open(candidate)?;
                // Proven before; that this very session computes the same is looked at every time, and warms it up.
                if let Some(golden) = &self.subject.get()?.golden {
                    prove_quickly(session.as_mut(), self.loader.model, golden).map_err(|error| error.to_string())?;
                }
                session
            }
        };
        let (file, placement) = (candidate.file.clone(), self.placement);
        for report in &mut candidates {
            report.is_chosen = (report.precision, report.file.as_str()) == (candidate.precision, file.path.as_str());
        }
        Ok(Chosen { session, file, placement, proof, device_name: self.device_name.clone(), reason, candidates })
    }

    fn open(&self, candidate: Candidate<'_>) -> Result<Box<dyn Session>, String> {
        let loader = self.loader;
        room::check_session(self.placement, &loader.model.manifest, candidate.file, loader.store)?;
        loader.open(self.backend.as_ref(), candidate.file, self.placement, candidate.precision, &self.version)
    }

    fn key<'k>(&'k self, candidate: Candidate<'k>) -> ProofKey<'k> {
        ProofKey {
            model: self.loader.model,
            file: candidate.file,
            placement: self.placement,
            device_name: &self.device_name,
            precision: candidate.precision,
            library_version: &self.version,
            threads: self.loader.threads,
        }
    }
}

/// Why the choice is what it is: every candidate with its time, or why it was refused.
fn explain(tried: &[Tried<'_>], choice: PrecisionChoice) -> String {
    let told = tried.iter().map(|tried| match &tried.outcome {
        Outcome::Proven(Proof { speed: Some(speed), .. }) => format!("{}: {speed}", tried.candidate),
        Outcome::Proven(_) => format!("{}: not measured", tried.candidate),
        Outcome::Refused { reason }
            if tried.candidate.file.precision.is_none() && tried.candidate.precision == Precision::F32 =>
        {
            reason.clone()
        }
        Outcome::Refused { reason } => format!("{}: {reason}", tried.candidate),
    });
    let told = told.collect::<Vec<_>>().join("; ");
    match choice {
        PrecisionChoice::Auto => told,
        PrecisionChoice::Exactly(precision) if tried.len() == 1 => {
            told.trim_start_matches(&format!("{precision}: ")).to_owned()
        }
        PrecisionChoice::Exactly(_) => told,
    }
}
