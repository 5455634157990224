//! Classifying: a request on its way through the engine.

use std::sync::Arc;

use tokio::time::Instant;
use wisp_host::{Classified, ClassifyCall, ClassifyInput, GuestKind, LabelScores, Terms};
use wisp_scheduler::observe::GuestCall;
use wisp_scheduler::{Caller, Origin};

use super::generation::Generation;
use super::{Engine, report, times};
use crate::deployment::Deployment;
use crate::metrics::{Answered, Leaving};
use crate::{ClassifyRequest, ClassifyResponse, EngineError, RequestTimes, trace};

/// What is known of the work of a request before its guest runs.
struct Work {
    rows: usize,
    /// Texts among the rows.
    texts: usize,
    /// Bytes of these texts.
    text_bytes: usize,
    /// Tokens, guessed; a picture counts as one.
    tokens: usize,
}

impl Engine {
    /// Classifies texts or images with a deployment's guest. Dropping the future cancels the request wherever it is.
    ///
    /// # Errors
    /// [`EngineError`]; its [`kind`](wisp_core::Kinded::kind) says what a caller can do about it.
    pub async fn classify(&self, request: ClassifyRequest) -> Result<ClassifyResponse, EngineError> {
        let arrived_at = Instant::now();
        let generation = self.shared.generation();
        let (method, metrics) = (request.method, &self.shared.metrics);
        trace::asked(method, request.inputs.len());
        let deployment = generation.choose(request.deployment.as_deref(), GuestKind::Classifier);
        let deployment = deployment.inspect_err(|error| {
            metrics.failed(None, method, error);
            trace::failed(error);
        })?;
        trace::answers(&deployment.name);
        let leaving = Leaving::new(metrics, &deployment.metrics, method, request.deadline);
        let answer = self.classify_with(&generation, deployment, request, arrived_at).await;
        leaving.answered();
        answer.inspect(trace::classified).inspect_err(|error| {
            metrics.failed(Some(&deployment.metrics), method, error);
            trace::failed(error);
        })
    }

    async fn classify_with(
        &self,
        generation: &Generation,
        deployment: &Deployment,
        request: ClassifyRequest,
        arrived_at: Instant,
    ) -> Result<ClassifyResponse, EngineError> {
        let shared = &*self.shared;
        let tenant = request.tenant.as_ref().unwrap_or(generation.tenants.anonymous());
        let _permit = self.admit(request.lane, tenant)?;
        request.check(&shared.limits).map_err(EngineError::Classify)?;
        let caller = Caller { lane: request.lane, tenant: tenant.clone(), origin: Origin::default() };
        let work = Work::of(&request, deployment);
        let announced = deployment.announce(work.rows, work.tokens, request.deadline, &caller, arrived_at)?;
        let terms = Terms {
            deployment: Arc::clone(&deployment.name),
            grants: Arc::clone(&deployment.grants),
            limits: deployment.limits,
            deadline: request.deadline,
            caller,
            announced,
        };
        let method = request.method;
        let call = ClassifyCall { terms, inputs: request.inputs, options: request.options };
        let _place = deployment.take_place()?;
        let living = deployment.metrics.instance();
        let classified = GuestCall::begin(&deployment.name).run(deployment.guest.classify(call)).await?;
        drop(living);
        work.teach(deployment, &classified.classifications);
        let start = classified.times.instantiate;
        let response = respond(classified, arrived_at);
        let RequestTimes { total, guest, tokenize, .. } = response.times;
        shared.metrics.answered(&deployment.metrics, method, &Answered { total, guest, start, tokenize });
        Ok(response)
    }
}

impl Work {
    fn of(request: &ClassifyRequest, deployment: &Deployment) -> Self {
        let texts = request.text_inputs().count();
        let images = request.inputs.iter().filter(|input| matches!(input, ClassifyInput::Image(_))).count();
        Self {
            rows: request.inputs.len(),
            texts,
            text_bytes: request.text_inputs().map(String::len).sum(),
            tokens: images + deployment.ratio.estimate(request.text_inputs(), deployment.max_tokens()),
        }
    }

    /// Tells the deployment what the texts turned out to be, for better guesses.
    fn teach(&self, deployment: &Deployment, answers: &[LabelScores]) {
        let tokens = answers.iter().map(|answer| answer.tokens as usize).sum();
        deployment.ratio.learn(self.texts, self.text_bytes, tokens, deployment.max_tokens());
    }
}

fn respond(classified: Classified, arrived_at: Instant) -> ClassifyResponse {
    ClassifyResponse {
        placement: classified.computed_by.as_deref().map(report),
        classifications: classified.classifications,
        times: times(&classified.times, arrived_at),
        share: classified.share,
    }
}
