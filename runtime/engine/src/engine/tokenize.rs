//! Tokens of texts and texts of tokens, by the tokenizer of a deployment's model.

use wisp_host::{Token, TokenizerError};
use wisp_scheduler::{Lane, Tenant};

use super::Engine;
use super::text::prompt_of;
use crate::prompts::prompted;
use crate::request::check_tokens;
use crate::{EngineError, InputError, Prompt};

/// A request for the tokens of texts.
#[derive(Clone, Debug)]
pub struct TokenizeRequest {
    /// Name of the deployment; `None` means the only one, or `embedder`.
    pub deployment: Option<String>,
    /// At least one; of `server.limits.text_bytes` together.
    pub texts: Vec<String>,
    /// What is put before each text.
    pub prompt: Prompt,
    /// Whether the model's special tokens are added.
    pub add_special_tokens: bool,
    /// Whose share it is served from; `None` for requests that show no identity.
    pub tenant: Option<Tenant>,
}

/// The answer to a [`TokenizeRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedTexts {
    /// The texts, with the prompt before each: what the places of tokens count in.
    pub texts: Vec<String>,
    /// The tokens of each.
    pub tokens: Vec<Vec<Token>>,
    /// The most that the model takes of one text.
    pub max_tokens: usize,
}

/// A request for the texts of token ids.
#[derive(Clone, Debug)]
pub struct DecodeRequest {
    /// Name of the deployment; `None` means the only one, or `embedder`.
    pub deployment: Option<String>,
    /// At least one list, none of them empty.
    pub rows: Vec<Vec<u32>>,
    /// Whether special tokens are left out.
    pub skip_special_tokens: bool,
    /// Whose share it is served from; `None` for requests that show no identity.
    pub tenant: Option<Tenant>,
}

impl Engine {
    /// The tokens of texts. No guest and no session takes part; a place in the engine is taken all the same.
    ///
    /// # Errors
    /// [`EngineError`]; [`InputError::NoTokenizer`] for a deployment whose models have none.
    pub async fn tokenize(&self, request: TokenizeRequest) -> Result<TokenizedTexts, EngineError> {
        let shared = &*self.shared;
        let generation = shared.generation();
        let deployment = generation.deployment(request.deployment.as_deref())?;
        let tenant = request.tenant.as_ref().unwrap_or(generation.tenants.anonymous());
        let _permit = self.admit(Lane::Interactive, tenant)?;
        let (count, limits) = (request.texts.len(), &shared.limits);
        match count {
            0 => return Err(EngineError::NoTexts),
            count if count > limits.texts => return Err(EngineError::TooManyTexts { count, limit: limits.texts }),
            _ => {}
        }
        let model = generation.require_text_model(deployment)?;
        let texts = prompted(&prompt_of(Some(model), &request.prompt)?, request.texts);
        let (bytes, limit) = (texts.iter().map(String::len).sum(), limits.text_bytes);
        if bytes > limit {
            // A token takes more memory than the bytes that it stands for, and nothing is cut off here.
            return Err(InputError::TooMuchText { bytes, limit }.into());
        }
        let max_tokens = model.granted.tokenizer.as_ref().map_or(0, |tokenizer| tokenizer.options().max_tokens);
        let tokens = model.granted.tokens(texts.clone(), request.add_special_tokens).await;
        Ok(TokenizedTexts { texts, tokens: had(tokens, &deployment.name)?, max_tokens })
    }

    /// The texts of token ids; the counterpart of [`Engine::tokenize`].
    ///
    /// # Errors
    /// As [`Engine::tokenize`]; [`InputError::UnknownToken`] for an id beyond the vocabulary.
    pub async fn decode(&self, request: DecodeRequest) -> Result<Vec<String>, EngineError> {
        let shared = &*self.shared;
        let generation = shared.generation();
        let deployment = generation.deployment(request.deployment.as_deref())?;
        let tenant = request.tenant.as_ref().unwrap_or(generation.tenants.anonymous());
        let _permit = self.admit(Lane::Interactive, tenant)?;
        let model = generation.require_text_model(deployment)?;
        if request.rows.is_empty() {
            return Err(InputError::NoTokens.into());
        }
        check_tokens(&request.rows, &shared.limits)?;
        model.check_ids(&request.rows)?;
        let decoded = model.granted.decode(request.rows, request.skip_special_tokens).await;
        Ok(had(decoded, &deployment.name)?)
    }
}

/// What a tokenizer gave, where there is one.
fn had<T>(given: Option<Result<T, TokenizerError>>, deployment: &str) -> Result<T, EngineError> {
    match given {
        Some(Ok(given)) => Ok(given),
        Some(Err(error)) => Err(InputError::Tokenizer(error).into()),
        None => Err(InputError::NoTokenizer { deployment: deployment.to_owned() }.into()),
    }
}
