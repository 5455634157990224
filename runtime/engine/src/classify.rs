//! A request to classify, its check, and the answer.

use std::collections::HashMap;

use tokio::time::Instant;
use wisp_core::{ErrorKind, Kinded};
use wisp_host::{ClassifyInput, ClassifyOptions, LabelScores};
use wisp_scheduler::{BatchShare, Lane, Tenant};

use crate::{Method, PlacementReport, RequestLimits, RequestTimes};

/// Where the label goes in a template.
const PLACE: &str = "{}";

/// Characters of a label that a message shows.
const SHOWN_CHARS: usize = 64;

/// A request to classify texts or images.
#[derive(Clone, Debug)]
pub struct ClassifyRequest {
    /// Name of the deployment; `None` means the only one that classifies, or `classifier`.
    pub deployment: Option<String>,
    /// What to classify, at least one; no text empty or blank, no image empty.
    pub inputs: Vec<ClassifyInput>,
    /// How to classify.
    pub options: ClassifyOptions,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Which lane it waits in.
    pub lane: Lane,
    /// Whose share it is served from; `None` for requests that show no identity.
    pub tenant: Option<Tenant>,
    /// As what it is counted.
    pub method: Method,
}

/// The answer to a [`ClassifyRequest`].
#[derive(Clone, Debug)]
pub struct ClassifyResponse {
    /// Labels and scores of each input, in the order of the inputs.
    pub classifications: Vec<LabelScores>,
    /// Where the time went.
    pub times: RequestTimes,
    /// The inferences that computed it, and what they shared.
    pub share: BatchShare,
    /// What ran; `None` when the guest answered without computing.
    pub placement: Option<PlacementReport>,
}

/// What is wrong with a [`ClassifyRequest`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassifyError {
    /// There is nothing to classify.
    #[error("the request has no inputs; send at least one text or image")]
    NoInputs,
    /// Too many inputs.
    #[error("the request has {count} inputs; at most {limit} are taken at once (server.limits.texts)")]
    TooManyInputs {
        /// How many.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// An input has nothing in it.
    #[error("input {index} is an empty {what}; leave it out")]
    EmptyInput {
        /// Which input, from 0.
        index: usize,
        /// Text or image.
        what: &'static str,
    },
    /// An input is too long.
    #[error("input {index} has {bytes} bytes; at most {limit} are taken of one {what} (server.limits.{key})")]
    InputTooLong {
        /// Which input, from 0.
        index: usize,
        /// Text or image.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
        /// The key of the bound.
        key: &'static str,
    },
    /// Too many labels to choose from.
    #[error("the request has {count} labels; at most {limit} are taken (server.limits.labels)")]
    TooManyLabels {
        /// How many.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// A label is empty, or has nothing but blank space.
    #[error("label {index} is empty or blank; leave it out")]
    EmptyLabel {
        /// Which label, from 0.
        index: usize,
    },
    /// A label, its description or the template is too long.
    #[error("{what} has {bytes} bytes; at most {limit} are taken (server.limits.label_bytes)")]
    LabelTooLong {
        /// Which of them.
        what: String,
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// A label is there twice.
    #[error("labels {first} and {second} are both `{label}`; send each once")]
    DuplicateLabel {
        /// Where it stands first, from 0.
        first: usize,
        /// And again.
        second: usize,
        /// The label.
        label: String,
    },
    /// The template has no place for a label, or several.
    #[error("the template must have one {PLACE} for the label, such as `This is about {PLACE}.`")]
    Template,
    /// No label is wanted.
    #[error("top_k is 0; ask for at least one label, or leave it out for all")]
    NoTopK,
}

impl Default for ClassifyRequest {
    /// Nothing to classify, with everything else as it is where nothing is said.
    fn default() -> Self {
        Self {
            deployment: None,
            inputs: Vec::new(),
            options: ClassifyOptions::default(),
            deadline: None,
            lane: Lane::default(),
            tenant: None,
            method: Method::Classify,
        }
    }
}

impl ClassifyRequest {
    /// A request with defaults for everything but the inputs.
    pub fn inputs(inputs: impl IntoIterator<Item = ClassifyInput>) -> Self {
        Self { inputs: inputs.into_iter().collect(), ..Self::default() }
    }

    /// A request to classify texts, with defaults for everything else.
    pub fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::inputs(texts.into_iter().map(|text| ClassifyInput::Text(text.into())))
    }

    /// The texts among the inputs.
    pub(crate) fn text_inputs(&self) -> impl Iterator<Item = &String> {
        self.inputs.iter().filter_map(|input| match input {
            ClassifyInput::Text(text) => Some(text),
            ClassifyInput::Image(_) => None,
        })
    }

    /// Refuses what no guest needs to see.
    pub(crate) fn check(&self, limits: &RequestLimits) -> Result<(), ClassifyError> {
        let count = self.inputs.len();
        if count == 0 {
            return Err(ClassifyError::NoInputs);
        }
        if count > limits.texts {
            return Err(ClassifyError::TooManyInputs { count, limit: limits.texts });
        }
        for (index, input) in self.inputs.iter().enumerate() {
            check_input(index, input, limits)?;
        }
        check_options(&self.options, limits)
    }
}

fn check_input(index: usize, input: &ClassifyInput, limits: &RequestLimits) -> Result<(), ClassifyError> {
    let (what, is_empty, bytes, limit, key) = match input {
        ClassifyInput::Text(text) => ("text", text.trim().is_empty(), text.len(), limits.text_bytes, "text_bytes"),
        ClassifyInput::Image(file) => ("image", file.is_empty(), file.len(), limits.image_bytes, "image_bytes"),
    };
    if is_empty {
        return Err(ClassifyError::EmptyInput { index, what });
    }
    if bytes > limit {
        return Err(ClassifyError::InputTooLong { index, what, bytes, limit, key });
    }
    Ok(())
}

fn check_options(options: &ClassifyOptions, limits: &RequestLimits) -> Result<(), ClassifyError> {
    let (count, limit) = (options.candidates.len(), limits.labels);
    if count > limit {
        return Err(ClassifyError::TooManyLabels { count, limit });
    }
    let too_long = |what: String, text: &str| match text.len() > limits.label_bytes {
        true => Err(ClassifyError::LabelTooLong { what, bytes: text.len(), limit: limits.label_bytes }),
        false => Ok(()),
    };
    let mut seen = HashMap::with_capacity(count);
    for (index, candidate) in options.candidates.iter().enumerate() {
        let label = candidate.label.as_str();
        if label.trim().is_empty() {
            return Err(ClassifyError::EmptyLabel { index });
        }
        too_long(format!("label {index}"), label)?;
        too_long(format!("the description of label {index}"), candidate.description.as_deref().unwrap_or_default())?;
        if let Some(first) = seen.insert(label, index) {
            let label = label.chars().take(SHOWN_CHARS).collect();
            return Err(ClassifyError::DuplicateLabel { first, second: index, label });
        }
    }
    if let Some(template) = &options.template {
        too_long("the template".to_owned(), template)?;
        if template.matches(PLACE).count() != 1 {
            return Err(ClassifyError::Template);
        }
    }
    if options.top_k == Some(0) { Err(ClassifyError::NoTopK) } else { Ok(()) }
}

impl ClassifyError {
    /// The same error for a caller that sent these inputs as a part of more, the first of them at `first`.
    pub(crate) fn counted_from(self, first: usize) -> Self {
        match self {
            Self::EmptyInput { index, what } => Self::EmptyInput { index: first + index, what },
            Self::InputTooLong { index, what, bytes, limit, key } => {
                Self::InputTooLong { index: first + index, what, bytes, limit, key }
            }
            other => other,
        }
    }
}

impl Kinded for ClassifyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooManyInputs { .. }
            | Self::InputTooLong { .. }
            | Self::TooManyLabels { .. }
            | Self::LabelTooLong { .. } => ErrorKind::TooLarge,
            Self::NoInputs
            | Self::EmptyInput { .. }
            | Self::EmptyLabel { .. }
            | Self::DuplicateLabel { .. }
            | Self::Template
            | Self::NoTopK => ErrorKind::InvalidArgument,
        }
    }
}

#[cfg(test)]
mod tests {
    use wisp_host::CandidateLabel;

    use super::*;

    fn with(change: impl FnOnce(&mut ClassifyRequest)) -> Result<(), ClassifyError> {
        let limits = RequestLimits {
            texts: 2,
            text_bytes: 8,
            image_bytes: 4,
            labels: 3,
            label_bytes: 12,
            ..RequestLimits::default()
        };
        let mut request = ClassifyRequest::texts(["a"]);
        change(&mut request);
        request.check(&limits)
    }

    fn labels(labels: &[&str]) -> Vec<CandidateLabel> {
        labels.iter().map(|&label| CandidateLabel { label: label.to_owned(), description: None }).collect()
    }

    #[test]
    fn every_bad_request_is_told_what_is_wrong_with_it() {
        let text = |text: &str| ClassifyInput::Text(text.to_owned());
        for (refused, said) in [
            (with(|request| request.inputs.clear()), "the request has no inputs"),
            (with(|request| request.inputs = vec![text("a"); 3]), "the request has 3 inputs; at most 2"),
            (with(|request| request.inputs.push(text("  "))), "input 1 is an empty text"),
            (with(|request| request.inputs.push(ClassifyInput::Image(vec![]))), "input 1 is an empty image"),
            (
                with(|request| request.inputs.push(text("123456789"))),
                "input 1 has 9 bytes; at most 8 are taken of one text",
            ),
            (
                with(|request| request.inputs.push(ClassifyInput::Image(vec![0; 5]))),
                "input 1 has 5 bytes; at most 4 are taken of one image (server.limits.image_bytes)",
            ),
            (with(|request| request.options.candidates = labels(&["a", "b", "c", "d"])), "the request has 4 labels"),
            (with(|request| request.options.candidates = labels(&["a", " "])), "label 1 is empty or blank"),
            (with(|request| request.options.candidates = labels(&["abcdefghijklm"])), "label 0 has 13 bytes"),
            (with(|request| request.options.candidates = labels(&["a", "b", "a"])), "labels 0 and 2 are both `a`"),
            (with(|request| request.options.template = Some("none".to_owned())), "the template must have one {}"),
            (with(|request| request.options.template = Some("{} {}".to_owned())), "the template must have one {}"),
            (with(|request| request.options.top_k = Some(0)), "top_k is 0"),
        ] {
            let error = refused.expect_err(said);
            assert!(error.to_string().starts_with(said), "{error}");
            assert!(matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::TooLarge), "{error:?}");
        }
        let all = |request: &mut ClassifyRequest| {
            request.options.candidates = labels(&["a", "b", "A"]);
            request.options.template = Some("On {}.".to_owned());
            request.options.top_k = Some(1);
        };
        with(all).expect("can be answered");
    }

    #[test]
    fn a_part_of_a_list_names_the_input_of_the_whole_list() {
        let error = ClassifyError::EmptyInput { index: 3, what: "text" }.counted_from(64);
        assert_eq!(error.to_string(), "input 67 is an empty text; leave it out");
    }
}
