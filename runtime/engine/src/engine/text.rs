//! What texts and token ids need before a guest sees them: the prompt in front, ids that exist, a guess of the work.

use std::sync::Arc;

use wisp_host::{EmbedInputs, GrantedModel};

use super::generation::Generation;
use crate::deployment::Deployment;
use crate::prompts::{Prompt, Prompts, prompted};
use crate::{ModelInfo, TextError};

/// The model that a deployment's texts are for.
#[derive(Clone, Copy)]
pub(super) struct TextModel<'a> {
    pub(super) granted: &'a Arc<GrantedModel>,
    pub(super) info: Option<&'a ModelInfo>,
}

impl Generation {
    /// The first granted model that has a tokenizer, in the order of the aliases.
    pub(super) fn text_model<'a>(&'a self, deployment: &'a Deployment) -> Option<TextModel<'a>> {
        let (_, granted) = deployment.grants.iter().find(|(_, model)| model.tokenizer.is_some())?;
        Some(TextModel { granted, info: self.reports.iter().find(|info| info.name == granted.name) })
    }

    /// As [`Generation::text_model`], for what cannot be done without.
    pub(super) fn require_text_model<'a>(&'a self, deployment: &'a Deployment) -> Result<TextModel<'a>, TextError> {
        self.text_model(deployment).ok_or_else(|| TextError::NoTokenizer { deployment: deployment.name.to_string() })
    }

    /// The inputs as the guest gets them.
    pub(super) fn prepare(
        &self,
        deployment: &Deployment,
        inputs: EmbedInputs,
        prompt: &Prompt,
    ) -> Result<EmbedInputs, TextError> {
        let model = self.text_model(deployment);
        match inputs {
            EmbedInputs::Texts(texts) => {
                let prompt = prompt_of(model, prompt)?;
                Ok(EmbedInputs::Texts(prompted(&prompt, texts)))
            }
            EmbedInputs::Tokens(rows) => {
                if let Prompt::Named(name) = prompt {
                    return Err(TextError::PromptOfTokens { name: name.clone() });
                }
                model.map_or(Ok(()), |model| model.check_ids(&rows))?;
                Ok(EmbedInputs::Tokens(rows))
            }
        }
    }
}

impl TextModel<'_> {
    /// Refuses ids that the tokenizer does not know: a model would read beyond its table of words.
    pub(super) fn check_ids(&self, rows: &[Vec<u32>]) -> Result<(), TextError> {
        let Some(tokenizer) = &self.granted.tokenizer else { return Ok(()) };
        let vocabulary = tokenizer.vocabulary();
        for (index, row) in rows.iter().enumerate() {
            if let Some(position) = row.iter().position(|&id| id >= vocabulary) {
                let (id, model) = (row[position], self.granted.name.clone());
                return Err(TextError::UnknownToken { index, position, id, model, vocabulary });
            }
        }
        Ok(())
    }
}

/// What a prompt is for a model; a deployment without one has no prompts.
pub(super) fn prompt_of(model: Option<TextModel<'_>>, prompt: &Prompt) -> Result<String, TextError> {
    match model.and_then(|model| model.info) {
        Some(info) => info.prompts.find(prompt).map(str::to_owned),
        None => Prompts::default().find(prompt).map(str::to_owned),
    }
}

/// Bytes of texts; 0 for token ids, which tell nothing about tokens a byte.
pub(super) fn bytes(inputs: &EmbedInputs) -> usize {
    match inputs {
        EmbedInputs::Texts(texts) => texts.iter().map(String::len).sum(),
        EmbedInputs::Tokens(_) => 0,
    }
}

/// Tokens that inputs will be.
pub(super) fn estimate(deployment: &Deployment, inputs: &EmbedInputs) -> usize {
    let most = deployment.max_tokens();
    match inputs {
        EmbedInputs::Texts(texts) => deployment.ratio.estimate(texts.iter(), most),
        EmbedInputs::Tokens(rows) => rows.iter().map(|row| row.len().min(most.unwrap_or(usize::MAX))).sum(),
    }
}
