//! Messages to classify, as the engine understands them, and its answers as messages.

use tonic::Status;
use wisp_engine::{
    CandidateLabel, ClassifyInput, ClassifyOptions, ClassifyRequest, ClassifyResponse, LabelScore, LabelScores, Lane,
};
use wisp_proto::v1;
use wisp_proto::v1::classify_input::Input;

use crate::embed::{batching, placement, timing};

/// A message as a request; who asks and until when is not in it.
///
/// # Errors
/// INVALID_ARGUMENT for an input that is nothing, and for a priority that does not exist.
pub(super) fn from_message(message: v1::ClassifyRequest) -> Result<ClassifyRequest, Status> {
    let lane = match v1::Priority::try_from(message.priority) {
        Ok(v1::Priority::Unspecified | v1::Priority::Interactive) => Lane::Interactive,
        Ok(v1::Priority::Bulk) => Lane::Bulk,
        Err(_) => return Err(Status::invalid_argument(format!("priority {} does not exist", message.priority))),
    };
    let candidate = |v1::CandidateLabel { label, description }| CandidateLabel {
        label,
        description: Some(description).filter(|text| !text.is_empty()),
    };
    let defaults = ClassifyOptions::default();
    let options = ClassifyOptions {
        candidates: message.labels.into_iter().map(candidate).collect(),
        template: message.template,
        is_multi_label: message.multi_label,
        top_k: message.top_k,
        truncate: message.truncate.unwrap_or(defaults.truncate),
    };
    let inputs = message.inputs.into_iter().enumerate().map(input).collect::<Result<Vec<_>, _>>()?;
    Ok(ClassifyRequest {
        deployment: Some(message.deployment).filter(|name| !name.is_empty()),
        options,
        lane,
        ..ClassifyRequest::inputs(inputs)
    })
}

fn input((index, input): (usize, v1::ClassifyInput)) -> Result<ClassifyInput, Status> {
    match input.input {
        Some(Input::Text(text)) => Ok(ClassifyInput::Text(text)),
        Some(Input::Image(file)) => Ok(ClassifyInput::Image(file)),
        None => Err(Status::invalid_argument(format!("input {index} is neither text nor image; send one of the two"))),
    }
}

/// An answer as a message.
pub(super) fn to_message(response: ClassifyResponse) -> v1::ClassifyResponse {
    let tokens = response.classifications.iter().map(|one| u64::from(one.tokens)).sum();
    v1::ClassifyResponse {
        classifications: response.classifications.into_iter().map(classification).collect(),
        usage: Some(v1::Usage { tokens }),
        timing: Some(timing(&response.times)),
        placement: response.placement.as_ref().map(placement),
        batching: Some(batching(&response.share)),
    }
}

fn classification(LabelScores { labels, tokens }: LabelScores) -> v1::Classification {
    let label = |LabelScore { label, index, score }| v1::LabelScore { label, score, index };
    v1::Classification { labels: labels.into_iter().map(label).collect(), tokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> v1::ClassifyInput {
        v1::ClassifyInput { input: Some(Input::Text(text.to_owned())) }
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let message = v1::ClassifyRequest { inputs: vec![text("a")], ..v1::ClassifyRequest::default() };
        let request = from_message(message).expect("can be meant");
        assert_eq!((request.deployment, request.lane), (None, Lane::Interactive));
        assert_eq!(request.options, ClassifyOptions::default());
        assert_eq!(request.inputs, [ClassifyInput::Text("a".to_owned())]);
    }

    #[test]
    fn an_input_that_is_nothing_is_named() {
        let message =
            v1::ClassifyRequest { inputs: vec![text("a"), v1::ClassifyInput::default()], ..Default::default() };
        let status = from_message(message).expect_err("nothing");
        assert_eq!(status.message(), "input 1 is neither text nor image; send one of the two");
    }
}
