//! `[models.NAME] load`: when a model is in memory.

use serde::{Deserialize, Serialize};

/// When a model is in memory. It is proven at the start whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadChoice {
    /// From the start to the end.
    #[default]
    Start,
    /// While it is needed: the first request that computes with it loads it, and it leaves for others that need its memory.
    OnDemand,
}
