//! The keys of `config.json` that the arithmetic depends on, refused where this exporter would compute something else.

use std::num::NonZeroUsize;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::ExportError;

/// `config.json` of a BERT encoder. Other keys (dropout, initialisation, versions) have no part in inference.
#[derive(Debug, Deserialize)]
pub(crate) struct BertConfig {
    #[serde(rename = "model_type", deserialize_with = "model_type")]
    _model_type: (),
    #[serde(rename = "hidden_act", deserialize_with = "hidden_act")]
    _hidden_act: (),
    #[serde(rename = "position_embedding_type", default, deserialize_with = "position_embedding_type")]
    _position_embedding_type: (),
    /// A decoder would mask the tokens that follow.
    #[serde(rename = "is_decoder", default, deserialize_with = "is_decoder")]
    _is_decoder: (),
    vocab_size: NonZeroUsize,
    hidden_size: NonZeroUsize,
    num_hidden_layers: NonZeroUsize,
    num_attention_heads: NonZeroUsize,
    intermediate_size: NonZeroUsize,
    max_position_embeddings: NonZeroUsize,
    type_vocab_size: NonZeroUsize,
    #[serde(deserialize_with = "layer_norm_eps")]
    layer_norm_eps: f32,
}

/// Accepts one value of a key. A visitor rather than a conversion afterwards, because the parser puts its position at
/// the errors of visitors only.
struct Only {
    key: &'static str,
    supported: &'static str,
}

/// Accepts what LayerNorm can add to a variance.
struct Epsilon;

impl BertConfig {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ExportError::Io`], [`ExportError::Config`] with the line, or [`ExportError::Heads`].
    pub(crate) fn read(path: &Path) -> Result<Self, ExportError> {
        let text = std::fs::read(path).map_err(ExportError::io("read", path))?;
        let config: Self = serde_json::from_slice(&text).map_err(|error| config_error(path, &error))?;
        let (hidden_size, heads) = (config.hidden_size(), config.heads());
        if !hidden_size.is_multiple_of(heads) {
            return Err(ExportError::Heads { path: path.to_path_buf(), hidden_size, heads });
        }
        Ok(config)
    }

    pub(crate) fn vocab_size(&self) -> usize {
        self.vocab_size.get()
    }

    pub(crate) fn hidden_size(&self) -> usize {
        self.hidden_size.get()
    }

    pub(crate) fn layers(&self) -> usize {
        self.num_hidden_layers.get()
    }

    pub(crate) fn heads(&self) -> usize {
        self.num_attention_heads.get()
    }

    pub(crate) fn head_size(&self) -> usize {
        self.hidden_size() / self.heads()
    }

    pub(crate) fn intermediate_size(&self) -> usize {
        self.intermediate_size.get()
    }

    /// Longest sequence in tokens.
    pub(crate) fn max_positions(&self) -> usize {
        self.max_position_embeddings.get()
    }

    pub(crate) fn type_vocab_size(&self) -> usize {
        self.type_vocab_size.get()
    }

    pub(crate) fn layer_norm_epsilon(&self) -> f32 {
        self.layer_norm_eps
    }
}

/// Takes the position out of the message of the parser, which repeats it at the end.
fn config_error(path: &Path, error: &serde_json::Error) -> ExportError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let reason = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
    ExportError::Config { path: path.to_path_buf(), line, column, reason }
}

fn model_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    deserializer.deserialize_str(Only { key: "model_type", supported: "bert" })
}

fn hidden_act<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    deserializer.deserialize_str(Only { key: "hidden_act", supported: "gelu" })
}

fn position_embedding_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    deserializer.deserialize_str(Only { key: "position_embedding_type", supported: "absolute" })
}

fn is_decoder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    deserializer.deserialize_bool(Only { key: "is_decoder", supported: "false" })
}

fn layer_norm_eps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    deserializer.deserialize_f64(Epsilon)
}

impl Visitor<'_> for Only {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} `{}`", self.key, self.supported)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        let Self { key, supported } = self;
        match value == supported {
            true => Ok(()),
            false => Err(E::custom(format!("{key} `{value}` is not supported; this exporter builds `{supported}`"))),
        }
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }
}

impl Visitor<'_> for Epsilon {
    type Value = f32;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a layer_norm_eps between 0 and 1")
    }

    #[expect(clippy::cast_possible_truncation, reason = "LayerNorm computes in f32, and so does the reference")]
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f32, E> {
        let epsilon = value as f32;
        match epsilon > 0.0 && epsilon < 1.0 {
            true => Ok(epsilon),
            false => Err(E::invalid_value(de::Unexpected::Float(value), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::CONFIG;

    fn error_of(text: &str) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).expect("the folder is writable");
        let message = BertConfig::read(&path).expect_err(text).to_string();
        let shown = path.display().to_string();
        message.strip_prefix(&shown).expect("every message starts with the file").to_owned()
    }

    #[test]
    fn refuses_what_it_would_compute_wrongly_with_the_line() {
        for (from, to, message) in [
            ("\"bert\"", "\"roberta\"", ":2:25: model_type `roberta` is not supported; this exporter builds `bert`"),
            ("\"gelu\"", "\"gelu_new\"", ":3:26: hidden_act `gelu_new` is not supported; this exporter builds `gelu`"),
            (
                "\"absolute\"",
                "\"relative_key\"",
                ":4:43: position_embedding_type `relative_key` is not supported; this exporter builds `absolute`",
            ),
            ("false", "true", ":5:20: is_decoder `true` is not supported; this exporter builds `false`"),
            ("1e-12", "0.0", ":13:23: invalid value: floating point `0.0`, expected a layer_norm_eps between 0 and 1"),
            (
                "\"num_attention_heads\": 2",
                "\"num_attention_heads\": 3",
                ": hidden_size 8 is not a multiple of num_attention_heads 3",
            ),
        ] {
            assert!(CONFIG.contains(from), "{from}");
            assert_eq!(error_of(&CONFIG.replace(from, to)), message);
        }
    }

    #[test]
    fn names_the_line_of_a_wrong_type_and_of_broken_json() {
        let wrong_type = error_of(&CONFIG.replace("\"hidden_size\": 8", "\"hidden_size\": \"8\""));
        assert!(wrong_type.starts_with(":7:"), "{wrong_type}");
        let zero = error_of(&CONFIG.replace("\"hidden_size\": 8", "\"hidden_size\": 0"));
        assert_eq!(zero, ":7:18: invalid value: integer `0`, expected a nonzero usize");
        let missing = error_of(&CONFIG.replace("\"vocab_size\": 20,", ""));
        assert!(missing.contains("missing field `vocab_size`"), "{missing}");
        assert!(error_of("{\n  \"model_type\": \"bert\",\n").starts_with(":3:0: EOF while parsing"));
    }

    #[test]
    fn position_type_and_decoder_flag_may_be_absent() {
        let text =
            CONFIG.replace("\"position_embedding_type\": \"absolute\",", "").replace("\"is_decoder\": false,", "");
        let config: BertConfig = serde_json::from_str(&text).expect("both have defaults");
        assert_eq!(config.head_size(), 4);
    }
}
