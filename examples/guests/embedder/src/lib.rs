//! Embeds texts with the model granted as `encoder`: the host tokenises and pools, this guest cuts batches and answers.

use wisp_guest::{Embedder, Embeddings, Error, Inputs, Options, TextEmbedder};

struct HostTokenized;

impl Embedder for HostTokenized {
    fn embed(inputs: Inputs, options: Options) -> Result<Embeddings, Error> {
        TextEmbedder::load("encoder")?.embed(inputs, options)
    }
}

wisp_guest::export_embedder!(HostTokenized);
