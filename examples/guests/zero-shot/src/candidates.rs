//! The labels to choose from, and the sentences that stand for them.

use wisp_guest::{ClassifyOptions, Error};

use crate::settings::Settings;

/// Where a label goes in a template.
const PLACE: &str = "{}";

/// Labels, and for each the sentence that is compared with texts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidates {
    pub(crate) labels: Vec<String>,
    pub(crate) sentences: Vec<String>,
}

/// A sentence with a place for a label.
pub(crate) struct Template<'a> {
    before: &'a str,
    after: &'a str,
}

impl Candidates {
    /// Those of the request; else those of the environment; else those of the model, which `of_model` asks for.
    pub(crate) fn of(
        options: &ClassifyOptions,
        settings: &Settings,
        of_model: impl FnOnce() -> Result<Vec<String>, Error>,
    ) -> Result<Self, Error> {
        let template = Template::parse(options.template.as_deref().unwrap_or(&settings.template))?;
        let of_request = options.candidates.iter().map(|one| (one.label.clone(), one.description.clone()));
        let mut named: Vec<(String, Option<String>)> = of_request.collect();
        if named.is_empty() {
            named.clone_from(&settings.labels);
        }
        if named.is_empty() {
            named = of_model()?.into_iter().map(|label| (label, None)).collect();
        }
        if named.is_empty() {
            return Err(Error::invalid_argument(
                "there are no labels to choose from; send some, or give the deployment LABELS in grants.env",
            ));
        }
        let sentence = |(label, description): &(String, Option<String>)| {
            template.filled(description.as_deref().filter(|text| !text.is_empty()).unwrap_or(label))
        };
        let sentences = named.iter().map(sentence).collect();
        Ok(Self { labels: named.into_iter().map(|(label, _)| label).collect(), sentences })
    }
}

impl<'a> Template<'a> {
    fn parse(text: &'a str) -> Result<Self, Error> {
        let wrong = || Error::invalid_argument(format!("template `{text}` must have one {PLACE} for the label"));
        let (before, after) = text.split_once(PLACE).ok_or_else(wrong)?;
        if after.contains(PLACE) { Err(wrong()) } else { Ok(Self { before, after }) }
    }

    fn filled(&self, label: &str) -> String {
        [self.before, label, self.after].concat()
    }
}

#[cfg(test)]
mod tests {
    use wisp_guest::{Candidate, Scoring};

    use super::*;

    fn options(labels: &[(&str, Option<&str>)], template: Option<&str>) -> ClassifyOptions {
        let candidate = |&(label, description): &(&str, Option<&str>)| Candidate {
            label: label.to_owned(),
            description: description.map(str::to_owned),
        };
        ClassifyOptions {
            candidates: labels.iter().map(candidate).collect(),
            template: template.map(str::to_owned),
            scoring: Scoring::SingleLabel,
            top_k: None,
            truncate: true,
        }
    }

    fn settings(labels: &str) -> Settings {
        let labels = labels.to_owned();
        Settings::from_variables(|name| (name == "LABELS").then(|| labels.clone())).expect("well formed")
    }

    #[test]
    fn labels_come_from_the_request_then_the_environment_then_the_model() {
        let of_model = || Ok(vec!["bird".to_owned()]);
        let asked =
            Candidates::of(&options(&[("a", Some("letters")), ("b", None)], Some("On {}")), &settings("c"), of_model);
        let asked = asked.expect("labels");
        assert_eq!(asked.labels, ["a", "b"]);
        assert_eq!(asked.sentences, ["On letters", "On b"]);
        let configured = Candidates::of(&options(&[], None), &settings("c"), of_model).expect("labels");
        assert_eq!(configured.sentences, ["This is about c."]);
        let known = Candidates::of(&options(&[], None), &settings(""), of_model).expect("labels");
        assert_eq!(known.labels, ["bird"]);
        let error = Candidates::of(&options(&[], None), &settings(""), || Ok(vec![])).expect_err("none anywhere");
        assert!(error.to_string().starts_with("there are no labels to choose from; send some"), "{error}");
    }

    #[test]
    fn a_template_has_one_place_for_the_label() {
        for template in ["no place", "{} and {}", ""] {
            let error = Candidates::of(&options(&[("a", None)], Some(template)), &settings(""), || Ok(vec![]));
            let error = error.expect_err(template).to_string();
            assert_eq!(error, format!("template `{template}` must have one {{}} for the label"));
        }
    }
}
