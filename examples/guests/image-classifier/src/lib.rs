//! Classifies JPEG and PNG files with the model that is granted as `classifier`: decodes and scales here, in the sandbox, to what
//! the model's signature asks for.
//!
//! The layout is read off the signature (`layout.rs`), the labels come from the model's manifest, and how outputs
//! become scores is in `readout.rs`.

mod layout;
mod readout;
mod subset;

use pictures::{DecodeError, Picture};
use wisp_guest::models::ModelInfo;
use wisp_guest::{
    Classification, Classifier, ClassifyInput, ClassifyOptions, Error, ErrorKind, Model, classifier, models, scores,
};

use crate::layout::Layout;
use crate::subset::Subset;

/// The alias that the model is granted under.
const MODEL: &str = "classifier";

struct ImageClassifier;

impl Classifier for ImageClassifier {
    fn classify(inputs: Vec<ClassifyInput>, options: ClassifyOptions) -> Result<Vec<Classification>, Error> {
        let files = classifier::images(inputs)?;
        let info = models::describe(MODEL)?;
        let layout = Layout::of(&info)?;
        let subset = Subset::of(&options, &info)?;
        let model = Model::load(MODEL)?;
        let mut classified = Vec::with_capacity(files.len());
        // What was decoded is gone before the next file is: a photograph takes some ten megabytes.
        for (position, file) in files.into_iter().enumerate() {
            let picture = Picture::decode(&file).map_err(|error| refused(position, &error))?;
            drop(file);
            let scores = infer(&model, &info, &layout, &picture, &options)?;
            classified.push(classification(&scores, subset.as_ref(), &info, &options));
        }
        Ok(classified)
    }
}

fn infer(
    model: &Model,
    info: &ModelInfo,
    layout: &Layout,
    picture: &Picture,
    options: &ClassifyOptions,
) -> Result<Vec<f32>, Error> {
    let outputs = model.compute(vec![layout.tensor(picture)?])?;
    let name = outputs.names().next().unwrap_or_default().to_owned();
    readout::scores(&info.name, &outputs.get(&name)?, options.scoring)
}

fn classification(
    scores: &[f32],
    subset: Option<&Subset>,
    info: &ModelInfo,
    options: &ClassifyOptions,
) -> Classification {
    let labels = match subset {
        None => scores::labelled(&info.labels, scores, options.top_k),
        Some(subset) => scores::labelled(&subset.labels, &subset.scores(scores, options.scoring), options.top_k),
    };
    Classification { labels, tokens: 0 }
}

fn refused(position: usize, error: &DecodeError) -> Error {
    let kind = match error {
        DecodeError::TooLarge { .. } => ErrorKind::TooLarge,
        DecodeError::Unknown | DecodeError::Broken { .. } => ErrorKind::InvalidArgument,
    };
    Error::new(kind, format!("input {position}: {error}"))
}

wisp_guest::export_classifier!(ImageClassifier);
