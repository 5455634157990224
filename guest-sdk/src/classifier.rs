//! What a guest that classifies implements and exports.

pub use crate::bindings::classifier::exports::wisp::inference::classification::{
    Candidate, Classification, Input as ClassifyInput, Options as ClassifyOptions, ScoredLabel, Scoring,
};

use crate::bindings::classifier::exports::wisp::inference::classification::Guest;
use crate::bindings::wisp::inference::types;
use crate::error::Error;

/// A module that classifies texts or images: labels with scores for each input, in the order of the inputs.
///
/// Export it with [`export_classifier!`](crate::export_classifier).
pub trait Classifier {
    /// Classifies all of `inputs`, or fails as a whole.
    ///
    /// # Errors
    /// Whatever the client should read; see [`ErrorKind`](crate::ErrorKind).
    fn classify(inputs: Vec<ClassifyInput>, options: ClassifyOptions) -> Result<Vec<Classification>, Error>;
}

impl<C: Classifier> Guest for C {
    fn classify(inputs: Vec<ClassifyInput>, options: ClassifyOptions) -> Result<Vec<Classification>, types::Error> {
        Ok(<C as Classifier>::classify(inputs, options)?)
    }
}

/// Exports a type that implements [`Classifier`] as the world `wisp:inference/classifier`. Once in a guest.
#[macro_export]
macro_rules! export_classifier {
    ($classifier:ident) => {
        $crate::bindings::classifier::export!($classifier with_types_in $crate::bindings::classifier);
    };
}

/// The inputs as texts, for a guest that knows nothing of images.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), naming the first image by its position from 0.
pub fn texts(inputs: Vec<ClassifyInput>) -> Result<Vec<String>, Error> {
    let text = |(position, input)| match input {
        ClassifyInput::Text(text) => Ok(text),
        ClassifyInput::Image(_) => {
            Err(Error::unsupported(format!("input {position} is an image, and this classifier reads texts")))
        }
    };
    inputs.into_iter().enumerate().map(text).collect()
}

/// The inputs as image files, for a guest that knows nothing of texts.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), naming the first text by its position from 0.
pub fn images(inputs: Vec<ClassifyInput>) -> Result<Vec<Vec<u8>>, Error> {
    let image = |(position, input)| match input {
        ClassifyInput::Image(file) => Ok(file),
        ClassifyInput::Text(_) => {
            Err(Error::unsupported(format!("input {position} is a text, and this classifier reads images")))
        }
    };
    inputs.into_iter().enumerate().map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_of_the_other_kind_is_named_by_its_position() {
        let mixed = || vec![ClassifyInput::Text("a".to_owned()), ClassifyInput::Image(vec![1])];
        let error = texts(mixed()).expect_err("there is an image");
        assert_eq!(error.to_string(), "input 1 is an image, and this classifier reads texts");
        let error = images(mixed()).expect_err("there is a text");
        assert_eq!(error.to_string(), "input 0 is a text, and this classifier reads images");
        assert_eq!(texts(mixed().drain(..1).collect()).expect("a text"), ["a"]);
        assert_eq!(images(mixed().drain(1..).collect()).expect("an image"), [[1]]);
    }
}
