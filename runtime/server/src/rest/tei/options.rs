//! Options that several messages have.

use serde::Deserialize;

use crate::rest::refusal::Refusal;

/// On which side longer texts are cut.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum TruncationDirection {
    /// At the end: the only one here.
    #[serde(alias = "right")]
    Right,
    /// At the beginning; refused.
    #[serde(alias = "left")]
    Left,
}

/// Refuses to cut at the beginning: tokenizers of the host keep the beginning of a text.
pub(super) fn check_direction(direction: Option<TruncationDirection>, place: &str) -> Result<(), Refusal> {
    match direction {
        Some(TruncationDirection::Left) => Err(Refusal::Value {
            place: Some(place.to_owned()),
            message: format!("{place}: texts are cut at their end; leave it out, or cut the beginning before sending"),
        }),
        _ => Ok(()),
    }
}
