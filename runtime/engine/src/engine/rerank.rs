//! Ranking: how close documents are to a query, by the cosine of their embeddings.

use tokio::time::Instant;
use wisp_host::{EmbedInputs, EmbedOptions};
use wisp_scheduler::{BatchShare, Lane, Tenant};

use super::Engine;
use super::text::prompt_of;
use crate::prompts::prompted;
use crate::request::check_texts;
use crate::{
    EmbedRequest, EngineError, Method, PlacementReport, Prompt, RequestLimits, RequestTimes, TextError, trace,
};

/// A request to rank documents.
#[derive(Clone, Debug, Default)]
pub struct RerankRequest {
    /// Name of the deployment; `None` means the only one, or `embedder`.
    pub deployment: Option<String>,
    /// What documents are compared with; not blank.
    pub query: String,
    /// At least one, none of them blank.
    pub documents: Vec<String>,
    /// What is put before the query.
    pub query_prompt: Prompt,
    /// What is put before each document.
    pub document_prompt: Prompt,
    /// Whether texts are cut at the model's maximum; otherwise longer ones are an error.
    pub truncate: bool,
    /// Only so many of the best; `None` for all.
    pub top: Option<usize>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Which lane it waits in.
    pub lane: Lane,
    /// Whose share it is served from; `None` for requests that show no identity.
    pub tenant: Option<Tenant>,
    /// What it is counted as.
    pub method: Method,
}

/// The answer to a [`RerankRequest`].
#[derive(Clone, Debug)]
pub struct RerankResponse {
    /// The best first; of equal ones the first.
    pub ranking: Vec<Ranked>,
    /// Tokens of query and documents that took part.
    pub tokens: u64,
    /// Where the time went.
    pub times: RequestTimes,
    /// The inferences that computed it, and what they shared.
    pub share: BatchShare,
    /// What ran; `None` when the guest answered without computing.
    pub placement: Option<PlacementReport>,
}

/// A document in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Which document of the request, from 0.
    pub index: usize,
    /// Cosine with the query, -1 to 1.
    pub score: f32,
}

impl Engine {
    /// Ranks documents with a deployment that embeds: one request to its guest. Dropping the future cancels it.
    ///
    /// # Errors
    /// [`EngineError`], as for [`Engine::embed`].
    pub async fn rerank(&self, request: RerankRequest) -> Result<RerankResponse, EngineError> {
        let shared = &*self.shared;
        let RerankRequest { deployment, query, documents, truncate, top, deadline, lane, tenant, .. } = request;
        let method = request.method;
        check(&query, &documents, &shared.limits).inspect_err(|error| {
            shared.metrics.failed(None, method, error);
            trace::failed(error);
        })?;
        let generation = shared.generation();
        let model = generation.text_model(generation.deployment(deployment.as_deref())?);
        let before_query = prompt_of(model, &request.query_prompt)?;
        let before_document = prompt_of(model, &request.document_prompt)?;
        let mut texts = prompted(&before_document, documents);
        // Last, so that errors count documents as the caller does.
        texts.push([before_query, query].concat());
        let embedded = self
            .embed(EmbedRequest {
                deployment,
                inputs: EmbedInputs::Texts(texts),
                prompt: Prompt::Nothing,
                options: EmbedOptions { normalize: true, dimensions: None, truncate },
                deadline,
                lane,
                tenant,
                method,
            })
            .await?;
        Ok(RerankResponse {
            ranking: rank(&embedded.values, embedded.dimensions, top),
            tokens: embedded.token_counts.iter().map(|&tokens| u64::from(tokens)).sum(),
            times: embedded.times,
            share: embedded.share,
            placement: embedded.placement,
        })
    }
}

fn check(query: &str, documents: &[String], limits: &RequestLimits) -> Result<(), EngineError> {
    if query.trim().is_empty() {
        return Err(TextError::EmptyQuery.into());
    }
    if query.len() > limits.text_bytes {
        return Err(TextError::QueryTooLong { bytes: query.len(), limit: limits.text_bytes }.into());
    }
    check_texts(documents, limits)?;
    // The query is a text like the others.
    match documents.len() + 1 {
        count if count > limits.texts => Err(EngineError::TooManyTexts { count, limit: limits.texts }),
        _ => Ok(()),
    }
}

/// Ranks the rows of a matrix by their product with the last of them; all have length 1.
fn rank(values: &[f32], dimensions: usize, top: Option<usize>) -> Vec<Ranked> {
    let (documents, query) = values.split_at(values.len().saturating_sub(dimensions));
    let product = |row: &[f32]| row.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    // Rounding may lead a hair beyond what a cosine can be.
    let score = |row: &[f32]| product(row).clamp(-1.0, 1.0);
    let rows = documents.chunks_exact(dimensions).enumerate();
    let mut ranking: Vec<_> = rows.map(|(index, row)| Ranked { index, score: score(row) }).collect();
    ranking.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranking.truncate(top.unwrap_or(usize::MAX));
    ranking
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_comes_first_and_of_equals_the_first() {
        let values = [0.0, 1.0, 1.0, 0.0, 0.6, 0.8, 1.0, 0.0, 1.0, 0.0];
        let ranking = rank(&values, 2, None);
        let order: Vec<_> = ranking.iter().map(|ranked| ranked.index).collect();
        assert_eq!(order, [1, 3, 2, 0]);
        assert!((ranking[2].score - 0.6).abs() < 1e-6 && ranking[3].score.abs() < 1e-6, "{ranking:?}");
        assert_eq!(rank(&values, 2, Some(1)), [Ranked { index: 1, score: 1.0 }]);
        assert!(rank(&values, 2, Some(0)).is_empty());
    }

    #[test]
    fn what_cannot_be_ranked_is_refused_by_name() {
        let limits = RequestLimits { texts: 2, text_bytes: 4, ..RequestLimits::default() };
        let check = |query: &str, documents: &[&str]| {
            let documents: Vec<_> = documents.iter().map(|&text| text.to_owned()).collect();
            check(query, &documents, &limits).map_err(|error| error.to_string())
        };
        assert_eq!(check("q", &["d"]), Ok(()));
        for (query, documents, expected) in [
            (" ", &["d"][..], "the query is empty"),
            ("query", &["d"], "the query has 5 bytes"),
            ("q", &[], "the request has no texts"),
            ("q", &["d", "long."], "text 1 has 5 bytes"),
            ("q", &["d", "e"], "the request has 3 texts; at most 2"),
        ] {
            let error = check(query, documents).expect_err(expected);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
