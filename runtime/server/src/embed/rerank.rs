//! `Rerank`: documents by their distance to a query.

use wisp_engine::{Engine, Method, Prompt, RerankRequest};
use wisp_proto::v1;

use super::{answer, request};
use crate::caller::Caller;
use crate::refusal::Refusal;

/// Prompts that models have for queries, by convention of sentence-transformers.
pub(crate) const QUERY_PROMPTS: &[&str] = &["query"];

/// Prompts that models have for documents, by the same convention and E5's.
pub(crate) const DOCUMENT_PROMPTS: &[&str] = &["document", "passage"];

/// Answers one message.
pub(super) async fn rerank(
    engine: &Engine,
    caller: &Caller,
    message: v1::RerankRequest,
) -> Result<v1::RerankResponse, Refusal> {
    let named = |name: Option<String>, usual| match name {
        None => Prompt::FirstOf(usual),
        name => Prompt::named(name),
    };
    let request = RerankRequest {
        deployment: request::deployment(message.deployment),
        query: message.query,
        documents: message.documents,
        query_prompt: named(message.query_prompt_name, QUERY_PROMPTS),
        document_prompt: named(message.document_prompt_name, DOCUMENT_PROMPTS),
        truncate: message.truncate.unwrap_or(true),
        top: message.top_k.map(|top| top as usize),
        deadline: caller.deadline,
        lane: request::lane(message.priority)?,
        tenant: Some(caller.tenant.clone()),
        method: Method::Rerank,
    };
    let response = engine.rerank(request).await?;
    let ranked = |ranked: &wisp_engine::Ranked| v1::RankedDocument {
        // There are no more documents than limits.texts, a million at most.
        index: u32::try_from(ranked.index).unwrap_or(u32::MAX),
        score: ranked.score,
    };
    Ok(v1::RerankResponse {
        ranking: response.ranking.iter().map(ranked).collect(),
        usage: Some(v1::Usage { tokens: response.tokens }),
        timing: Some(answer::timing(&response.times)),
        placement: response.placement.as_ref().map(answer::placement),
        batching: Some(answer::batching(&response.share)),
    })
}
