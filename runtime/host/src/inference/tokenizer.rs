//! `wisp:inference/tokenizer`: texts to tensors without a detour through guest memory.

use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::component::Resource;
use wisp_core::{ErrorKind, Kinded};

use crate::bindings::wisp::inference::tokenizer::{EncodeOptions, Host, HostEncoding};
use crate::bindings::wisp::inference::types::Error;
use crate::nn::NnTensor;
use crate::state::State;
use crate::tokenizer::offload;
use crate::{GrantedModel, ModelTokenizer, TokenizerError};

/// Encoded texts, held by the host.
pub struct Encoding {
    model: Arc<GrantedModel>,
    rows: Vec<Vec<u32>>,
}

/// Why a guest's call of the tokenizer failed.
#[derive(Debug, thiserror::Error)]
enum CallTokenizerError {
    #[error("model `{0}` has no tokenizer; its manifest names none")]
    NoTokenizer(String),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

impl Kinded for CallTokenizerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoTokenizer(_) => ErrorKind::Unsupported,
            Self::Tokenizer(error) => error.kind(),
        }
    }
}

impl GrantedModel {
    fn require_tokenizer(&self) -> Result<&ModelTokenizer, CallTokenizerError> {
        self.tokenizer.as_ref().ok_or_else(|| CallTokenizerError::NoTokenizer(self.name.clone()))
    }
}

impl Encoding {
    fn row(&self, row: u32) -> Result<&[u32], CallTokenizerError> {
        let found = self.rows.get(row as usize).map(Vec::as_slice);
        found.ok_or_else(|| TokenizerError::Row { row, rows: self.rows.len() }.into())
    }

    fn tensors(&self, rows: &[u32]) -> Result<Vec<wisp_core::NamedTensor>, CallTokenizerError> {
        let rows = rows.iter().map(|&row| self.row(row)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.model.require_tokenizer()?.tensors(&rows)?)
    }
}

async fn encode(
    model: &Arc<GrantedModel>,
    texts: Vec<String>,
    options: EncodeOptions,
) -> Result<Vec<Vec<u32>>, CallTokenizerError> {
    let (specials, truncate) = (options.add_special_tokens, options.truncate);
    let bytes = texts.iter().map(String::len).sum();
    let encoded = offload(model, bytes, move |tokenizer, is_cancelled| {
        tokenizer.encode_while_wanted(&texts, specials, truncate, is_cancelled)
    });
    let encoded = encoded.await.ok_or_else(|| CallTokenizerError::NoTokenizer(model.name.clone()))?;
    Ok(encoded?)
}

impl Host for State {
    async fn encode(
        &mut self,
        model: String,
        texts: Vec<String>,
        options: EncodeOptions,
    ) -> wasmtime::Result<Result<Resource<Encoding>, Error>> {
        let model = match self.account.granted(&model) {
            Ok(grant) => grant.model,
            Err(error) => return Ok(Err(self.wit_error(&error))),
        };
        let started_at = Instant::now();
        let encoded = encode(&model, texts, options).await;
        self.account.add_tokenize_time(started_at.elapsed());
        match encoded {
            Ok(rows) => Ok(Ok(self.push(Encoding { model, rows })?)),
            Err(error) => Ok(Err(self.wit_error(&error))),
        }
    }

    fn decode(&mut self, model: String, tokens: Vec<u32>) -> wasmtime::Result<Result<String, Error>> {
        let model = match self.account.granted(&model) {
            Ok(grant) => grant.model,
            Err(error) => return Ok(Err(self.wit_error(&error))),
        };
        let decoded = model
            .require_tokenizer()
            .and_then(|tokenizer| tokenizer.decode(&tokens, true).map_err(CallTokenizerError::from));
        Ok(decoded.map_err(|error| self.wit_error(&error)))
    }
}

impl HostEncoding for State {
    fn token_counts(&mut self, encoding: Resource<Encoding>) -> wasmtime::Result<Vec<u32>> {
        let rows = &self.table.get(&encoding)?.rows;
        // A row is at most the model's maximum, some hundred tokens.
        Ok(rows.iter().map(|row| u32::try_from(row.len()).unwrap_or(u32::MAX)).collect())
    }

    fn tensors(
        &mut self,
        encoding: Resource<Encoding>,
        rows: Vec<u32>,
    ) -> wasmtime::Result<Result<Vec<(String, Resource<NnTensor>)>, Error>> {
        let started_at = Instant::now();
        let inputs = self.table.get(&encoding)?.tensors(&rows);
        self.account.add_tokenize_time(started_at.elapsed());
        match inputs {
            Ok(inputs) => {
                let pushed = inputs.into_iter().map(|input| Ok((input.name, self.push_tensor(input.tensor)?)));
                Ok(Ok(pushed.collect::<wasmtime::Result<_>>()?))
            }
            Err(error) => Ok(Err(self.wit_error(&error))),
        }
    }

    fn token_ids(&mut self, encoding: Resource<Encoding>, row: u32) -> wasmtime::Result<Result<Vec<u32>, Error>> {
        let ids = self.table.get(&encoding)?.row(row).map(<[u32]>::to_vec);
        Ok(ids.map_err(|error| self.wit_error(&error)))
    }

    fn drop(&mut self, encoding: Resource<Encoding>) -> wasmtime::Result<()> {
        self.table.delete(encoding)?;
        Ok(())
    }
}
