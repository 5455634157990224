//! That prompts have names, are short, and that the default is one of them.

use std::collections::BTreeMap;

use toml::Spanned;

use super::{Checked, Checker, NAME_LIMIT_BYTES, quoted};

/// The most prompts of a model.
const PROMPTS_LIMIT: usize = 64;

/// The longest prompt: it is put before every text, and counts against the model's longest input.
const PROMPT_LIMIT_BYTES: usize = 4096;

impl Checker<'_> {
    pub(super) fn prompts(
        &self,
        prompts: BTreeMap<Spanned<String>, Spanned<String>>,
    ) -> Checked<BTreeMap<String, String>> {
        let mut checked = BTreeMap::new();
        for (name, text) in prompts {
            let (name_bytes, text_bytes) = (name.get_ref().len(), text.get_ref().len());
            if !(1..=NAME_LIMIT_BYTES).contains(&name_bytes) {
                let reason =
                    format!("the name of a prompt has 1 to {NAME_LIMIT_BYTES} bytes, this one has {name_bytes}");
                return Err(self.error(&name, reason));
            }
            if text_bytes > PROMPT_LIMIT_BYTES {
                let reason = format!("a prompt has at most {PROMPT_LIMIT_BYTES} bytes, this one has {text_bytes}");
                return Err(self.error(&text, reason));
            }
            if checked.len() == PROMPTS_LIMIT {
                return Err(self.error(&name, format!("a model has at most {PROMPTS_LIMIT} prompts; leave some out")));
            }
            checked.insert(name.into_inner(), text.into_inner());
        }
        Ok(checked)
    }

    pub(super) fn default_prompt(
        &self,
        name: Option<Spanned<String>>,
        prompts: &BTreeMap<String, String>,
    ) -> Checked<Option<String>> {
        let Some(name) = name else { return Ok(None) };
        if prompts.contains_key(name.get_ref()) {
            return Ok(Some(name.into_inner()));
        }
        let reason = match prompts.is_empty() {
            true => format!("default_prompt is `{}`, and [prompts] has none", name.get_ref()),
            false => {
                let known = quoted(prompts.keys().map(String::as_str));
                format!("default_prompt is `{}`; [prompts] has {known}", name.get_ref())
            }
        };
        Err(self.error(&name, reason))
    }
}
