//! A guest that misbehaves in the way its first text asks for, so that the host's answer to each can be tested.
//!
//! Whatever else the text is, `echo` for one, it is embedded as a well-behaved guest would.

mod escape;
mod exhaust;
mod misuse;
mod remember;

use wisp_guest::{Embedder, Embeddings, Error, Inputs, Options, TextEmbedder};

struct Hostile;

impl Embedder for Hostile {
    fn embed(inputs: Inputs, options: Options) -> Result<Embeddings, Error> {
        let behaviour = match &inputs {
            Inputs::Texts(texts) => texts.first().map_or("", String::as_str),
            Inputs::Tokens(_) => "",
        };
        match behaviour {
            "trap" => panic!("asked to trap"),
            "loop" => exhaust::spin(),
            "spin-host" => exhaust::spin_in_host(),
            "allocate" => exhaust::allocate(),
            "count" => Ok(remember::count()),
            "large-tensor" => misuse::pass_a_large_tensor(),
            "many-tensors" => exhaust::create_tensors(),
            "stack" => Err(Error::internal(format!("recursion ended at {}", exhaust::recurse(0)))),
            "stderr" => {
                exhaust::print_a_megabyte();
                embed(inputs, options)
            }
            "ungranted" => misuse::load_ungranted(),
            "bad-tensor" => misuse::compute_with_short_bytes(),
            "wrong-type" => misuse::compute_with_floats(),
            "wrong-name" => misuse::compute_with_an_unknown_input(),
            "short-result" => embed(inputs, options).map(misuse::shorten),
            "file" => Err(escape::report()),
            _ => embed(inputs, options),
        }
    }
}

fn embed(inputs: Inputs, options: Options) -> Result<Embeddings, Error> {
    TextEmbedder::load("encoder")?.embed(inputs, options)
}

wisp_guest::export_embedder!(Hostile);
