//! `[models.NAME] sessions`: a number, or `auto`.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// Sessions of a model that work side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsChoice {
    /// More than one where a measurement shows a clear gain.
    Auto,
    /// So many.
    Exactly(usize),
}

impl SessionsChoice {
    const AUTO: &str = "auto";
}

impl Default for SessionsChoice {
    /// One, with all threads: it answers a lone request soonest, and takes the least memory.
    fn default() -> Self {
        Self::Exactly(1)
    }
}

impl Serialize for SessionsChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str(Self::AUTO),
            Self::Exactly(sessions) => sessions.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SessionsChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;
        impl Visitor<'_> for Choice {
            type Value = SessionsChoice;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of sessions, or \"auto\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SessionsChoice, E> {
                match text == SessionsChoice::AUTO {
                    true => Ok(SessionsChoice::Auto),
                    false => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<SessionsChoice, E> {
                // What does not fit is out of bounds, and told so.
                Ok(SessionsChoice::Exactly(usize::try_from(count).unwrap_or(usize::MAX)))
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<SessionsChoice, E> {
                match u64::try_from(count) {
                    Ok(count) => self.visit_u64(count),
                    Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(count), &self)),
                }
            }
        }
        deserializer.deserialize_any(Choice)
    }
}
