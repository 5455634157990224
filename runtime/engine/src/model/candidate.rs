//! What a session was chosen from: each file and precision that was tried, with its speed or why it is not used.

use wisp_core::Precision;

use crate::proof::speed::Speed;

/// A file of a model in one precision, and what became of it at the placement that serves.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateReport {
    /// The arithmetic.
    pub precision: Precision,
    /// The file of the model.
    pub file: String,
    /// How fast it is; `None` where it was refused, or not measured.
    pub speed: Option<Speed>,
    /// Why it is not used, in one line; `None` for what is proven.
    pub refused: Option<String>,
    /// Whether it is what serves.
    pub is_chosen: bool,
}
