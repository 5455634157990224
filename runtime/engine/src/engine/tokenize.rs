//! Tokens of texts and texts of tokens, by the tokenizer of a deployment's model.

use wisp_host::{Token, TokenizerError};
use wisp_scheduler::{Lane, Tenant};

use super::Engine;
use super::generation::Generation;
use super::text::prompt_of;
use crate::deployment::Deployment;
use crate::prompts::prompted;
use crate::request::check_tokens;
use crate::{EngineError, Method, Prompt, TextError, trace};

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
    /// What it is counted as.
    pub method: Method,
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
    /// What it is counted as.
    pub method: Method,
}

impl Engine {
    /// The tokens of texts. No guest and no session takes part; a place in the engine is taken all the same.
    ///
    /// # Errors
    /// [`EngineError`]; [`TextError::NoTokenizer`] for a deployment whose models have none.
    pub async fn tokenize(&self, request: TokenizeRequest) -> Result<TokenizedTexts, EngineError> {
        let (generation, method) = (self.shared.generation(), request.method);
        trace::asked(method, request.texts.len());
        let deployment = self.found(&generation, request.deployment.as_deref(), method)?;
        let answer = self.tokenize_with(&generation, deployment, request).await;
        self.counted(deployment, method, answer)
    }

    async fn tokenize_with(
        &self,
        generation: &Generation,
        deployment: &Deployment,
        request: TokenizeRequest,
    ) -> Result<TokenizedTexts, EngineError> {
        let shared = &*self.shared;
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
            return Err(TextError::TooMuchText { bytes, limit }.into());
        }
        let max_tokens = model.granted.tokenizer.as_ref().map_or(0, |tokenizer| tokenizer.options().max_tokens);
        let tokens = model.granted.tokens(texts.clone(), request.add_special_tokens).await;
        Ok(TokenizedTexts { texts, tokens: had(tokens, &deployment.name)?, max_tokens })
    }

    /// The texts of token ids; the counterpart of [`Engine::tokenize`].
    ///
    /// # Errors
    /// As [`Engine::tokenize`]; [`TextError::UnknownToken`] for an id beyond the vocabulary.
    pub async fn decode(&self, request: DecodeRequest) -> Result<Vec<String>, EngineError> {
        let (generation, method) = (self.shared.generation(), request.method);
        trace::asked(method, request.rows.len());
        let deployment = self.found(&generation, request.deployment.as_deref(), method)?;
        let answer = self.decode_with(&generation, deployment, request).await;
        self.counted(deployment, method, answer)
    }

    async fn decode_with(
        &self,
        generation: &Generation,
        deployment: &Deployment,
        request: DecodeRequest,
    ) -> Result<Vec<String>, EngineError> {
        let shared = &*self.shared;
        let tenant = request.tenant.as_ref().unwrap_or(generation.tenants.anonymous());
        let _permit = self.admit(Lane::Interactive, tenant)?;
        let model = generation.require_text_model(deployment)?;
        if request.rows.is_empty() {
            return Err(TextError::NoTokens.into());
        }
        check_tokens(&request.rows, &shared.limits)?;
        model.check_ids(&request.rows)?;
        let decoded = model.granted.decode(request.rows, request.skip_special_tokens).await;
        had(decoded, &deployment.name)
    }

    /// The deployment that is asked; a request that asks for none there is counted as well.
    fn found<'g>(
        &self,
        generation: &'g Generation,
        name: Option<&str>,
        method: Method,
    ) -> Result<&'g Deployment, EngineError> {
        let found = generation.deployment(name).inspect_err(|error| {
            self.shared.metrics.failed(None, method, error);
            trace::failed(error);
        })?;
        trace::answers(&found.name);
        Ok(found)
    }

    /// An answer, counted.
    fn counted<T>(
        &self,
        deployment: &Deployment,
        method: Method,
        answer: Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let metrics = &self.shared.metrics;
        match &answer {
            Ok(_) => metrics.answered_without_guest(&deployment.metrics, method),
            Err(error) => {
                metrics.failed(Some(&deployment.metrics), method, error);
                trace::failed(error);
            }
        }
        answer
    }
}

/// What a tokenizer gave, where there is one.
fn had<T>(given: Option<Result<T, TokenizerError>>, deployment: &str) -> Result<T, EngineError> {
    match given {
        Some(Ok(given)) => Ok(given),
        Some(Err(error)) => Err(TextError::Tokenizer(error).into()),
        None => Err(TextError::NoTokenizer { deployment: deployment.to_owned() }.into()),
    }
}
