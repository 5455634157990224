//! What the environment of the guest can change, and what holds without it.

use wisp_guest::Error;

/// Labels for requests that bring none: entries separated by semicolons, each a label, or `label=what it means`.
const LABELS: &str = "LABELS";

/// The sentence that labels are put into, with one `{}`.
const TEMPLATE: &str = "TEMPLATE";

/// See [`Settings::temperature`].
const TEMPERATURE: &str = "TEMPERATURE";

/// See [`Settings::threshold`].
const THRESHOLD: &str = "THRESHOLD";

/// How a deployment classifies.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Labels and descriptions for requests that bring none.
    pub(crate) labels: Vec<(String, Option<String>)>,
    /// The sentence that labels are put into, where a request has none.
    pub(crate) template: String,
    /// Cosines are divided by it before softmax and sigmoid. 0.05 is what the sentence transformers were trained with: their loss
    /// is the cross entropy of a softmax over cosines times 20.
    pub(crate) temperature: f32,
    /// The cosine at which a label holds as likely as not, for scores of labels by themselves. With all-MiniLM-L6-v2 and this
    /// template, 23 sentences had a median of 0.27 to the label that they are about, 0.23 at the lower quartile; to twelve others
    /// 0.04, and 0.14 at the upper tenth.
    pub(crate) threshold: f32,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    pub(crate) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let number = |name: &str, default: f32, is_possible: fn(f32) -> bool, range: &str| match variable(name) {
            None => Ok(default),
            Some(text) => text.trim().parse().ok().filter(|&value| is_possible(value)).ok_or_else(|| {
                Error::internal(format!("{name} is `{text}` in the environment of the guest; it can be {range}"))
            }),
        };
        Ok(Self {
            labels: variable(LABELS).map(|text| entries(&text)).unwrap_or_default(),
            template: variable(TEMPLATE).unwrap_or_else(|| "This is about {}.".to_owned()),
            temperature: number(TEMPERATURE, 0.05, |value| (1e-3..=100.0).contains(&value), "0.001 to 100")?,
            threshold: number(THRESHOLD, 0.18, |value| (-1.0..=1.0).contains(&value), "-1 to 1")?,
        })
    }
}

fn entries(text: &str) -> Vec<(String, Option<String>)> {
    let entry = |entry: &str| match entry.split_once('=') {
        Some((label, description)) => (label.trim().to_owned(), Some(description.trim().to_owned())),
        None => (entry.trim().to_owned(), None),
    };
    text.split(';').map(entry).filter(|(label, _)| !label.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_environment_may_say_what_they_mean() {
        let labels = Settings::from_variables(|name| {
            (name == LABELS).then(|| "billing = invoices, refunds; sport;; ".to_owned())
        });
        let labels = labels.expect("well formed").labels;
        assert_eq!(labels, [("billing".to_owned(), Some("invoices, refunds".to_owned())), ("sport".to_owned(), None)]);
    }

    #[test]
    fn an_impossible_number_is_named_with_its_range() {
        for text in ["0", "hot", "NaN"] {
            let error = Settings::from_variables(|name| (name == TEMPERATURE).then(|| text.to_owned()));
            let error = error.expect_err(text).to_string();
            let expected = format!("TEMPERATURE is `{text}` in the environment of the guest; it can be 0.001 to 100");
            assert_eq!(error, expected);
        }
    }
}
