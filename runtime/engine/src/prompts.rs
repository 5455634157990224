//! Prompts: texts that a model wants before its inputs, by name.

use std::collections::BTreeMap;

use wisp_model_store::Manifest;

use crate::TextError;

/// Longest part of a name that is repeated in a message.
const NAME_SHOWN_CHARS: usize = 64;

/// The prompt that an input gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prompt {
    /// The manifest's default, if it has one.
    #[default]
    Default,
    /// None.
    Nothing,
    /// The one of this name.
    Named(String),
    /// The first of these names that there is, else the default.
    FirstOf(&'static [&'static str]),
}

/// The prompts of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    by_name: BTreeMap<String, String>,
    default: Option<String>,
}

impl Prompts {
    /// Those of a manifest.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self { by_name: manifest.prompts.clone(), default: manifest.default_prompt.clone() }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// What to put before a text; empty for nothing.
    ///
    /// # Errors
    /// [`TextError::UnknownPrompt`] with the names that there are.
    pub(crate) fn find(&self, prompt: &Prompt) -> Result<&str, TextError> {
        let default = || self.default.as_ref().and_then(|name| self.by_name.get(name)).map_or("", String::as_str);
        match prompt {
            Prompt::Default => Ok(default()),
            Prompt::Nothing => Ok(""),
            Prompt::Named(name) => match self.by_name.get(name) {
                Some(text) => Ok(text),
                None => Err(self.unknown(name)),
            },
            Prompt::FirstOf(names) => {
                let found = names.iter().find_map(|&name| self.by_name.get(name));
                Ok(found.map_or_else(default, String::as_str))
            }
        }
    }

    fn unknown(&self, name: &str) -> TextError {
        let names: Vec<_> = self.names().map(|name| format!("`{name}`")).collect();
        let known = match names.as_slice() {
            [] => "the model has no prompts; leave the name out".to_owned(),
            names => format!("the model has {}", names.join(", ")),
        };
        TextError::UnknownPrompt { name: name.chars().take(NAME_SHOWN_CHARS).collect(), known }
    }
}

impl Prompt {
    /// As protocols name it: nothing stands for the default, and an empty name for none.
    #[must_use]
    pub fn named(name: Option<String>) -> Self {
        match name {
            None => Self::Default,
            Some(name) if name.is_empty() => Self::Nothing,
            Some(name) => Self::Named(name),
        }
    }
}

/// The texts with a prompt before each.
pub(crate) fn prompted(prompt: &str, texts: Vec<String>) -> Vec<String> {
    match prompt {
        "" => texts,
        prompt => texts.into_iter().map(|text| [prompt, &text].concat()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompts(default: Option<&str>) -> Prompts {
        let by_name = [("query", "query: "), ("passage", "passage: ")];
        let by_name = by_name.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        Prompts { by_name, default: default.map(str::to_owned) }
    }

    #[test]
    fn a_prompt_is_the_one_that_is_named_or_the_default_or_nothing() {
        let named = Prompt::named(Some("query".to_owned()));
        assert_eq!(prompts(None).find(&named).expect("is there"), "query: ");
        assert_eq!(prompts(None).find(&Prompt::named(None)).expect("no default"), "");
        assert_eq!(prompts(Some("passage")).find(&Prompt::Default).expect("the default"), "passage: ");
        assert_eq!(prompts(Some("passage")).find(&Prompt::named(Some(String::new()))).expect("none"), "");
        let first = Prompt::FirstOf(&["document", "passage"]);
        assert_eq!(prompts(Some("query")).find(&first).expect("is there"), "passage: ");
        assert_eq!(prompts(Some("query")).find(&Prompt::FirstOf(&["document"])).expect("the default"), "query: ");
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_there_are() {
        let unknown = Prompt::Named("q".to_owned());
        let error = prompts(None).find(&unknown).expect_err("there is none");
        assert_eq!(error.to_string(), "prompt `q` does not exist; the model has `passage`, `query`");
        let error = Prompts::default().find(&unknown).expect_err("there is none");
        assert_eq!(error.to_string(), "prompt `q` does not exist; the model has no prompts; leave the name out");
    }

    #[test]
    fn a_prompt_stands_before_every_text() {
        assert_eq!(prompted("q: ", vec!["a".to_owned(), "b".to_owned()]), ["q: a", "q: b"]);
        assert_eq!(prompted("", vec!["a".to_owned()]), ["a"]);
    }
}
