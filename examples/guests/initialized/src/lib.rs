//! A guest whose table is built once a module instead of once a request.
//!
//! It exports `wizer-initialize`, which the host calls when it loads the module. What the memory looks like then is what every
//! instance starts with. Here the table holds square roots; in earnest it would be a vocabulary.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use wisp_guest::{Embedder, Embeddings, Error, Inputs, Options};

/// How many square roots the table holds.
const TABLE_LENGTH: u16 = 10_000;

static TABLE: OnceLock<Vec<f32>> = OnceLock::new();
/// How often this memory has seen the table built.
static BUILT: AtomicU32 = AtomicU32::new(0);
/// How often this memory has seen a request.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package wisp:initialized;
            world initialized {
                export wizer-initialize: func();
            }
        ",
    });
}

struct Initialized;

impl bindings::Guest for Initialized {
    fn wizer_initialize() {
        table();
    }
}

fn table() -> &'static [f32] {
    TABLE.get_or_init(|| {
        BUILT.fetch_add(1, Ordering::Relaxed);
        (0..TABLE_LENGTH).map(|number| f32::from(number).sqrt()).collect()
    })
}

impl Embedder for Initialized {
    /// For each text three numbers: the square root of its length, how often the table was built, how many requests there were.
    fn embed(inputs: Inputs, _: Options) -> Result<Embeddings, Error> {
        let Inputs::Texts(texts) = inputs else { return Err(Error::unsupported("this guest takes texts")) };
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed) as f32;
        let root = |text: &String| table().get(text.len()).copied().unwrap_or(f32::MAX);
        let values = texts.iter().flat_map(|text| [root(text), count(&BUILT), count(&REQUESTS)]).collect();
        Ok(Embeddings { values, dimensions: 3, token_counts: vec![1; texts.len()] })
    }
}

bindings::export!(Initialized with_types_in bindings);
wisp_guest::export_embedder!(Initialized);
