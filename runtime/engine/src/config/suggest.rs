//! A remedy for keys that do not exist: the one that was probably meant.

/// How many letters may differ, for each three that there are.
const LETTERS_A_MISTAKE: usize = 3;

/// The message of the parser, with the key that was probably meant when it complains of one that does not exist.
pub(super) fn with_suggestion(message: &str) -> String {
    match suggestion(message) {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
}

/// Source of the form: `serde::de::Error::unknown_field` and `unknown_variant`.
fn suggestion(message: &str) -> Option<&str> {
    let unknown = message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let (unknown, expected) = unknown.split_once("`, expected ")?;
    // Every other piece stands between backticks.
    let known = expected.split('`').skip(1).step_by(2);
    let distance = |known: &str| strsim::damerau_levenshtein(unknown, known);
    let nearest = known.min_by_key(|known| distance(known))?;
    (distance(nearest) <= nearest.len().div_ceil(LETTERS_A_MISTAKE)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested_and_a_far_one_is_not() {
        for (message, expected) in [
            ("unknown field `grcp`, expected one of `grpc`, `http`, `admin`", Some("grpc")),
            (
                "unknown field `inflight_request`, expected one of `texts`, `inflight_requests`",
                Some("inflight_requests"),
            ),
            ("unknown field `colour`, expected one of `grpc`, `http`", None),
            ("unknown field `a`, expected `cert` or `key`", None),
            ("unknown variant `reused`, expected `fresh` or `reuse`", Some("reuse")),
            ("invalid type: integer `1`, expected a string", None),
        ] {
            assert_eq!(suggestion(message), expected, "{message}");
        }
    }
}
