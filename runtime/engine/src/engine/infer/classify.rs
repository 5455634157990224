//! Tensors to a guest that classifies, and its labels as tensors.

use std::sync::Arc;

use bytes::Bytes;
use wisp_core::Tensor;

use super::strings;
use crate::endpoint::{
    CANDIDATES_INPUT, DESCRIPTIONS_INPUT, IMAGES_INPUT, INDICES_OUTPUT, LABELS_OUTPUT, SCORES_OUTPUT, TEXTS_INPUT,
    TOKEN_COUNTS_OUTPUT,
};
use crate::{
    CandidateLabel, ClassifyInput, ClassifyRequest, ClassifyResponse, Endpoint, InferRequest, InferResponse,
    InferTensor, InputError, LabelScores, Values,
};

/// The index where an input has fewer labels than others.
const NO_LABEL: i32 = -1;

/// Tensors as the request that a guest which classifies knows.
///
/// # Errors
/// [`InputError`].
pub(super) fn request(endpoint: &Endpoint, request: InferRequest) -> Result<ClassifyRequest, InputError> {
    let InferRequest { name, inputs, classify: mut options, deadline, lane, tenant, method, .. } = request;
    let mut given = strings::by_name(endpoint, inputs)?;
    let inputs = match (given.remove(TEXTS_INPUT), given.remove(IMAGES_INPUT)) {
        (Some(texts), None) => {
            let texts = strings::utf8(texts, |index| InputError::NotUtf8 { index })?;
            texts.into_iter().map(ClassifyInput::Text).collect()
        }
        (None, Some(images)) => images.into_iter().map(|file| ClassifyInput::Image(file.into())).collect(),
        _ => return Err(InputError::TextsOrImages { endpoint: endpoint.name.clone() }),
    };
    let (labels, descriptions) = (given.remove(CANDIDATES_INPUT), given.remove(DESCRIPTIONS_INPUT));
    if labels.is_some() || descriptions.is_some() {
        options.candidates = candidates(labels.unwrap_or_default(), descriptions)?;
    }
    Ok(ClassifyRequest { deployment: Some(name), inputs, options, deadline, lane, tenant, method })
}

fn candidates(labels: Vec<Bytes>, descriptions: Option<Vec<Bytes>>) -> Result<Vec<CandidateLabel>, InputError> {
    let texts = |name: &str, elements| {
        strings::utf8(elements, |index| InputError::LabelNotUtf8 { name: name.to_owned(), index })
    };
    let labels = texts(CANDIDATES_INPUT, labels)?;
    let descriptions = match descriptions {
        Some(descriptions) => texts(DESCRIPTIONS_INPUT, descriptions)?,
        None => vec![String::new(); labels.len()],
    };
    if descriptions.len() != labels.len() {
        return Err(InputError::Descriptions { descriptions: descriptions.len(), candidates: labels.len() });
    }
    let described = labels.into_iter().zip(descriptions);
    let candidate = |(label, text): (String, String)| CandidateLabel {
        label,
        description: Some(text).filter(|text| !text.is_empty()),
    };
    Ok(described.map(candidate).collect())
}

/// The labels of a guest as tensors. A tensor has rows of one length: shorter ones are filled up.
pub(super) fn answer(endpoint: &Arc<Endpoint>, classified: ClassifyResponse) -> InferResponse {
    let ClassifyResponse { classifications, times, share, placement } = classified;
    let shape = [classifications.len(), classifications.iter().map(|one| one.labels.len()).max().unwrap_or(0)];
    let (mut labels, mut scores, mut indices) = (Vec::new(), Vec::new(), Vec::new());
    for (row, LabelScores { labels: given, .. }) in classifications.iter().enumerate() {
        for one in given {
            labels.push(Bytes::copy_from_slice(one.label.as_bytes()));
            scores.push(one.score);
            indices.push(i32::try_from(one.index).unwrap_or(i32::MAX));
        }
        let filled = (row + 1) * shape[1];
        labels.resize(filled, Bytes::new());
        scores.resize(filled, 0.0);
        indices.resize(filled, NO_LABEL);
    }
    let scores = Tensor::from_slice::<f32>(&shape, &scores).expect("every row has been filled up");
    let indices = Tensor::from_slice::<i32>(&shape, &indices).expect("every row has been filled up");
    let counts = classifications.iter().map(|one| one.tokens).collect();
    let outputs = [
        (LABELS_OUTPUT, Values::Strings { shape: shape.to_vec(), elements: labels }),
        (SCORES_OUTPUT, Values::Numbers(scores)),
        (INDICES_OUTPUT, Values::Numbers(indices)),
        (TOKEN_COUNTS_OUTPUT, Values::Counts(counts)),
    ];
    let outputs = outputs.map(|(name, values)| InferTensor { name: name.to_owned(), values });
    InferResponse { endpoint: Arc::clone(endpoint), outputs: outputs.to_vec(), times, share, placement }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wisp_scheduler::BatchShare;

    use super::*;
    use crate::{EndpointKind, LabelScore, RequestTimes, ValueSpec, ValueType};

    fn endpoint() -> Endpoint {
        let input = |name: &str| ValueSpec { name: name.to_owned(), value_type: ValueType::String, shape: Vec::new() };
        let inputs = [TEXTS_INPUT, IMAGES_INPUT, CANDIDATES_INPUT, DESCRIPTIONS_INPUT].map(input).to_vec();
        let (outputs, properties) = (Vec::new(), BTreeMap::new());
        Endpoint { name: "topics".to_owned(), kind: EndpointKind::Classifier, inputs, outputs, properties }
    }

    fn read(inputs: &[(&str, &[&[u8]])]) -> Result<ClassifyRequest, String> {
        let input = |&(name, elements): &(&str, &[&[u8]])| InferTensor {
            name: name.to_owned(),
            values: Values::Strings {
                shape: vec![elements.len()],
                elements: elements.iter().map(|it| Bytes::copy_from_slice(it)).collect(),
            },
        };
        let inputs = inputs.iter().map(input).collect();
        let asked = InferRequest { name: "topics".to_owned(), inputs, ..InferRequest::default() };
        request(&endpoint(), asked).map_err(|error| error.to_string())
    }

    #[test]
    fn tensors_are_read_as_a_request() {
        let read =
            read(&[("candidates", &[b"sea", b"sky"]), ("descriptions", &[b"", b"air"]), ("texts", &[b"a ship"])]);
        let read = read.expect("fits");
        let candidate = |label: &str, description: Option<&str>| CandidateLabel {
            label: label.to_owned(),
            description: description.map(str::to_owned),
        };
        assert_eq!(read.deployment.as_deref(), Some("topics"));
        assert_eq!(read.inputs, [ClassifyInput::Text("a ship".to_owned())]);
        assert_eq!(read.options.candidates, [candidate("sea", None), candidate("sky", Some("air"))]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let either = "`topics` classifies either `texts` or `images`; send one of the two inputs";
        for (inputs, said) in [
            (&[][..], either),
            (&[("texts", &[&b"a"[..]][..]), ("images", &[b"b"])], either),
            (&[("texts", &[b"a"]), ("texts", &[b"b"])], "input `texts` is given twice"),
            (&[("text", &[b"a"])], "input `text` does not exist; `topics` takes `texts`, `images`, `candidates`"),
            (&[("texts", &[b"\xff"])], "text 0 is not UTF-8"),
            (&[("texts", &[b"a"]), ("candidates", &[b"x", b"\xff"])], "element 1 of input `candidates` is not UTF-8"),
            (
                &[("texts", &[b"a"]), ("descriptions", &[b"x"])],
                "1 descriptions belong to 0 candidates; send one for each in `descriptions`",
            ),
        ] {
            let error = read(inputs).expect_err(said);
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn rows_of_different_lengths_are_filled_up() {
        let label = |label: &str, index, score| LabelScore { label: label.to_owned(), index, score };
        let classifications = vec![
            LabelScores { labels: vec![label("b", 1, 0.5)], tokens: 3 },
            LabelScores { labels: vec![label("a", 0, 0.75), label("b", 1, 0.25)], tokens: 4 },
        ];
        let (times, share) = (RequestTimes::default(), BatchShare::default());
        let classified = ClassifyResponse { classifications, times, share, placement: None };
        let outputs = answer(&Arc::new(endpoint()), classified).outputs;
        assert_eq!(
            outputs[0].values,
            Values::Strings { shape: vec![2, 2], elements: ["b", "", "a", "b"].map(Bytes::from).to_vec() }
        );
        let Values::Numbers(scores) = &outputs[1].values else { panic!("{outputs:?}") };
        assert_eq!(scores.view::<f32>().expect("f32"), [0.5, 0.0, 0.75, 0.25]);
        let Values::Numbers(indices) = &outputs[2].values else { panic!("{outputs:?}") };
        assert_eq!(indices.view::<i32>().expect("i32"), [1, -1, 0, 1]);
        assert_eq!(outputs[3].values, Values::Counts(vec![3, 4]));
    }
}
