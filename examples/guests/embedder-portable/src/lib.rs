//! Embeds texts with the model granted as `encoder` on any WASI-NN host: tokenises, pools and normalises in the guest.

mod tokenizer;
mod vocabulary;

use wisp_guest::{Embedder, Embeddings, Error, Inputs, Options, TokenEmbedder, TokenModel, check_inputs};

use tokenizer::Tokenizer;

struct GuestTokenized;

impl Embedder for GuestTokenized {
    fn embed(inputs: Inputs, options: Options) -> Result<Embeddings, Error> {
        check_inputs(&inputs)?;
        let facts = TokenModel::BERT;
        let rows = match inputs {
            Inputs::Texts(texts) => {
                let tokenizer = Tokenizer::new(options.truncate.then_some(facts.max_tokens))?;
                texts.iter().map(|text| tokenizer.encode(text)).collect::<Result<_, _>>()?
            }
            Inputs::Tokens(rows) => rows,
        };
        TokenEmbedder::load("encoder", facts)?.embed(rows, options)
    }
}

wisp_guest::export_embedder!(GuestTokenized);
