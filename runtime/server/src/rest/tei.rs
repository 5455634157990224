//! The API of text-embeddings-inference: `/embed`, `/rerank`, `/similarity`, `/predict`, `/tokenize`, `/decode`, `/info`,
//! `/health`. Source:
//! huggingface.github.io/text-embeddings-inference.
//!
//! One server of that kind has one model; here `model` names a deployment in the messages, and what is not named is the only one, or
//! `embedder`.

mod embed;
mod info;
mod options;
mod predict;
mod rank;
mod tokens;

pub(super) use embed::{EmbedRequest, embed};
pub(super) use info::{Info, health, info};
pub(super) use predict::{PredictRequest, Predictions, predict};
pub(super) use rank::{Rank, RerankRequest, SimilarityRequest, rerank, similarity};
pub(super) use tokens::{DecodeRequest, SimpleToken, TokenizeRequest, decode, tokenize};
