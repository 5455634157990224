//! What `config.json` says about an encoder, whatever the architecture calls it.

use super::activation::Activation;
use super::rows::Numbering;
use super::{bert, distilbert, roberta};

/// The facts that an encoder is loaded by.
#[derive(Debug)]
pub(super) struct EncoderConfig {
    pub(super) names: Names,
    /// How tokens are numbered for the table of positions.
    pub(super) numbering: Numbering,
    pub(super) vocabulary: usize,
    pub(super) hidden_size: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Width between the two halves of a feed-forward block.
    pub(super) inner_size: usize,
    pub(super) activation: Activation,
    /// Entries of the table of positions; the first ones may never be used ([`Numbering::first`]).
    pub(super) positions: usize,
    /// Entries of the table of token types; 0 where there is none.
    pub(super) token_types: usize,
    pub(super) norm_epsilon: f64,
}

/// What an architecture calls its tensors, without `.weight` and `.bias`.
#[derive(Debug)]
pub(super) struct Names {
    /// Stands before the encoder's tensors in files that hold a head as well, with its dot.
    pub(super) prefix: &'static str,
    /// Stands before the number of a layer.
    pub(super) layers: &'static str,
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) attention_output: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) expand: &'static str,
    pub(super) contract: &'static str,
    pub(super) output_norm: &'static str,
    pub(super) head: HeadNames,
}

/// The classification head: its two maps, by their full names, and what stands between them.
#[derive(Debug)]
pub(super) struct HeadNames {
    pub(super) dense: &'static str,
    pub(super) activation: Activation,
    pub(super) projection: &'static str,
}

impl EncoderConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// The key that is missing, or what differs from the encoders that this backend computes.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let keys: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Some(model_type) = keys.get("model_type").and_then(|model_type| model_type.as_str()) else {
            return Err("key `model_type` is missing; it names the architecture".to_owned());
        };
        let config = match model_type {
            "bert" => bert::config(keys),
            "roberta" => roberta::config("roberta", keys),
            "xlm-roberta" => roberta::config("xlm-roberta", keys),
            "distilbert" => distilbert::config(keys),
            other => Err(refusal(other)),
        }?;
        config.check()?;
        Ok(config)
    }

    /// The most tokens that a row may have.
    pub(super) fn max_tokens(&self) -> usize {
        self.positions - self.numbering.first()
    }

    fn check(&self) -> Result<(), String> {
        let (width, heads) = (self.hidden_size, self.heads);
        if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
            return Err(format!("the hidden size {width} is not a multiple of the {heads} attention heads"));
        }
        for (what, count) in [("vocabulary", self.vocabulary), ("inner size", self.inner_size), ("layers", self.layers)]
        {
            if count == 0 {
                return Err(format!("{what} is 0; an encoder has at least 1"));
            }
        }
        let first = self.numbering.first();
        if self.positions <= first {
            let positions = self.positions;
            return Err(format!(
                "max_position_embeddings {positions} leaves none, since the first token has number {first}"
            ));
        }
        Ok(())
    }
}

/// Why `model_type` is not loaded, with what its encoder does differently where that is known.
fn refusal(model_type: &str) -> String {
    let difference = match model_type {
        "albert" => " (its layers share weights and its embeddings are factorised)",
        "deberta" | "deberta-v2" => " (its attention is disentangled)",
        "electra" => " (its embeddings are projected)",
        "modernbert" | "nomic_bert" | "new" => " (its positions are rotations and its feed-forward is gated)",
        "mpnet" => " (its attention has a bias by relative position)",
        _ => "",
    };
    format!(
        "model_type `{model_type}` is not supported{difference}; this backend runs bert, roberta, xlm-roberta and distilbert"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERT: &str = r#"{"model_type": "bert", "vocab_size": 8, "hidden_size": 12, "num_hidden_layers": 1,
        "num_attention_heads": 3, "intermediate_size": 4, "hidden_act": "gelu", "max_position_embeddings": 16,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12}"#;

    #[test]
    fn each_architecture_reads_its_own_keys() {
        let bert = EncoderConfig::parse(BERT).expect("is a bert");
        assert_eq!((bert.max_tokens(), bert.token_types), (16, 2));
        let roberta = EncoderConfig::parse(&BERT.replace("\"bert\"", "\"roberta\"")).expect("is a roberta");
        // Numbers 0 and 1 are below the padding token's own.
        assert_eq!(roberta.max_tokens(), 14);
        let distilbert = r#"{"model_type": "distilbert", "vocab_size": 8, "dim": 12, "n_layers": 1, "n_heads": 3,
            "hidden_dim": 4, "activation": "relu", "max_position_embeddings": 16}"#;
        let distilbert = EncoderConfig::parse(distilbert).expect("is a distilbert");
        assert_eq!((distilbert.hidden_size, distilbert.token_types), (12, 0));
        assert_eq!(distilbert.activation, Activation::Relu);
    }

    #[test]
    fn what_differs_is_named() {
        for (from, to, message) in [
            (
                "\"bert\"",
                "\"mpnet\"",
                "model_type `mpnet` is not supported (its attention has a bias by relative position)",
            ),
            ("\"bert\"", "\"gpt2\"", "model_type `gpt2` is not supported; this backend runs bert, roberta"),
            ("\"model_type\"", "\"type\"", "key `model_type` is missing"),
            ("\"gelu\"", "\"quick_gelu\"", "hidden_act `quick_gelu` is not supported; this backend has gelu, gelu_new"),
            ("\"hidden_size\"", "\"width\"", "missing field `hidden_size`"),
            (
                "\"num_attention_heads\": 3",
                "\"num_attention_heads\": 5",
                "12 is not a multiple of the 5 attention heads",
            ),
            (
                "\"num_attention_heads\": 3",
                "\"num_attention_heads\": 0",
                "12 is not a multiple of the 0 attention heads",
            ),
            ("\"vocab_size\": 8", "\"vocab_size\": 0", "vocabulary is 0"),
            ("\"vocab_size\": 8", "\"vocab_size\": -8", "invalid value: integer `-8`"),
            ("\"vocab_size\": 8", "\"vocab_size\": 8, \"is_decoder\": true", "is_decoder is true"),
            ("\"type_vocab_size\": 2", "\"type_vocab_size\": 0", "type_vocab_size is 0"),
            ("\"bert\"", "\"bert\", \"position_embedding_type\": \"relative_key\"", "`relative_key` is not supported"),
            ("\"bert\"", "\"roberta\", \"pad_token_id\": -1", "pad_token_id -1 is negative"),
            ("\"bert\"", "\"roberta\", \"pad_token_id\": 15", "max_position_embeddings 16 leaves none"),
            ("{", "", "trailing characters"),
        ] {
            let text = BERT.replacen(from, to, 1);
            let error = EncoderConfig::parse(&text).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
    }
}
