//! What there is to embed in one field: a text, texts, token ids, or lists of those.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use wisp_engine::EmbedInputs;

/// The inputs of a request; one text and a list of one are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inputs(pub(super) EmbedInputs);

/// Texts alone; one text and a list of one are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts(pub(super) Vec<String>);

/// Lists of token ids; one list and a list of one are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenRows(pub(super) Vec<Vec<u32>>);

/// A number without a fraction, 0 or more and below 2^32. JSON has one kind of numbers, so that `7.0` is 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whole(u32);

/// The first element of a list says what the others must be.
enum First {
    Text(String),
    Id(Whole),
    Row(Vec<u32>),
}

/// Reads a field that has a whole number or nothing.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|whole| whole.0))
}

impl Inputs {
    /// Characters of texts; 0 for token ids.
    pub(super) fn characters(&self) -> usize {
        match &self.0 {
            EmbedInputs::Texts(texts) => texts.iter().map(|text| text.chars().count()).sum(),
            EmbedInputs::Tokens(_) => 0,
        }
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputsVisitor)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

impl<'de> Deserialize<'de> for TokenRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenRowsVisitor)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstVisitor)
    }
}

struct InputsVisitor;

impl<'de> Visitor<'de> for InputsVisitor {
    type Value = Inputs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a list of texts, a list of token ids, or a list of lists of token ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Inputs, E> {
        Ok(Inputs(EmbedInputs::Texts(vec![text.to_owned()])))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Inputs, A::Error> {
        Ok(Inputs(match list.next_element()? {
            None => EmbedInputs::Texts(Vec::new()),
            Some(First::Text(text)) => EmbedInputs::Texts(rest(text, list)?),
            Some(First::Id(id)) => EmbedInputs::Tokens(vec![ids(id, list)?]),
            Some(First::Row(row)) => EmbedInputs::Tokens(rows(row, list)?),
        }))
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
        match list.next_element()? {
            None => Ok(Texts(Vec::new())),
            Some(text) => Ok(Texts(rest(text, list)?)),
        }
    }
}

struct TokenRowsVisitor;

impl<'de> Visitor<'de> for TokenRowsVisitor {
    type Value = TokenRows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of token ids, or a list of lists of token ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TokenRows, A::Error> {
        match list.next_element()? {
            None => Ok(TokenRows(Vec::new())),
            Some(First::Id(id)) => Ok(TokenRows(vec![ids(id, list)?])),
            Some(First::Row(row)) => Ok(TokenRows(rows(row, list)?)),
            Some(First::Text(text)) => Err(A::Error::invalid_type(Unexpected::Str(&text), &self)),
        }
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0 to 4294967295")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        u32::try_from(number).map(Whole).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
        u32::try_from(number).map(Whole).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        is_whole.then_some(Whole(number as u32)).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }
}

struct FirstVisitor;

impl<'de> Visitor<'de> for FirstVisitor {
    type Value = First;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a token id, or a list of token ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<First, E> {
        Ok(First::Text(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<First, E> {
        WholeVisitor.visit_u64(id).map(First::Id)
    }

    fn visit_i64<E: Error>(self, id: i64) -> Result<First, E> {
        WholeVisitor.visit_i64(id).map(First::Id)
    }

    fn visit_f64<E: Error>(self, id: f64) -> Result<First, E> {
        WholeVisitor.visit_f64(id).map(First::Id)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First, A::Error> {
        match list.next_element()? {
            None => Ok(First::Row(Vec::new())),
            Some(id) => Ok(First::Row(ids(id, list)?)),
        }
    }
}

/// A list whose first element is taken already.
fn rest<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(first: T, mut list: A) -> Result<Vec<T>, A::Error> {
    let mut elements = vec![first];
    while let Some(element) = list.next_element()? {
        elements.push(element);
    }
    Ok(elements)
}

/// A list of ids whose first is taken already.
fn ids<'de, A: SeqAccess<'de>>(first: Whole, list: A) -> Result<Vec<u32>, A::Error> {
    Ok(rest(first, list)?.into_iter().map(|id| id.0).collect())
}

/// A list of lists of ids whose first is taken already.
fn rows<'de, A: SeqAccess<'de>>(first: Vec<u32>, mut list: A) -> Result<Vec<Vec<u32>>, A::Error> {
    let mut rows = vec![first];
    while let Some(row) = list.next_element::<Vec<Whole>>()? {
        rows.push(row.into_iter().map(|id| id.0).collect());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(json: &str) -> Result<EmbedInputs, String> {
        serde_json::from_str::<Inputs>(json).map(|inputs| inputs.0).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_read() {
        let texts = |texts: &[&str]| EmbedInputs::Texts(texts.iter().map(|&text| text.to_owned()).collect());
        for (json, expected) in [
            (r#""a""#, texts(&["a"])),
            (r#"["a", "b"]"#, texts(&["a", "b"])),
            ("[]", texts(&[])),
            ("[1, 2.0]", EmbedInputs::Tokens(vec![vec![1, 2]])),
            ("[[1], [2, 3]]", EmbedInputs::Tokens(vec![vec![1], vec![2, 3]])),
            ("[[]]", EmbedInputs::Tokens(vec![vec![]])),
        ] {
            assert_eq!(inputs(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_is_mixed_or_something_else_is_refused_with_what_was_expected() {
        for (json, expected) in [
            ("3", "expected a text, a list of texts, a list of token ids, or a list of lists of token ids"),
            ("null", "expected a text, a list of texts"),
            (r#"["a", 1]"#, "invalid type: integer `1`, expected a string"),
            (r#"[1, "a"]"#, "invalid type: string \"a\", expected a whole number"),
            (r#"[[1], "a"]"#, "invalid type: string \"a\", expected a sequence"),
            ("[-1]", "invalid value: integer `-1`, expected a whole number from 0 to 4294967295"),
            ("[4294967296]", "expected a whole number from 0 to 4294967295"),
            ("[[0], [1.5]]", "invalid value: floating point `1.5`, expected a whole number"),
            ("[1e10]", "invalid value: floating point `10000000000.0`, expected a whole number"),
            (r#"{"a": 1}"#, "invalid type: map, expected a text"),
        ] {
            let error = inputs(json).expect_err(json);
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn texts_and_rows_have_a_short_form() {
        let texts = |json| serde_json::from_str::<Texts>(json).map(|texts| texts.0);
        assert_eq!(texts(r#""a""#).expect("one"), ["a"]);
        assert_eq!(texts(r#"["a", "b"]"#).expect("two"), ["a", "b"]);
        assert!(texts("[1]").is_err() && texts("1").is_err());
        let rows = |json| serde_json::from_str::<TokenRows>(json).map(|rows| rows.0);
        assert_eq!(rows("[1, 2]").expect("one"), [[1, 2]]);
        assert_eq!(rows("[[1], [2]]").expect("two"), [[1], [2]]);
        assert!(rows(r#"["a"]"#).is_err() && rows(r#""a""#).is_err());
    }
}
