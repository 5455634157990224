//! The model's vocabulary, searched where it lies in the guest's code.
//!
//! A hash map of 30,522 tokens takes milliseconds to fill, and a fresh instance would fill it for every request. The
//! transducer that the build script makes needs no work at start, and one walk through it finds the longest token.

use fst::raw::{CompiledAddr, Fst, Output};
use wisp_guest::Error;

/// Token to id, as [`fst`] lays it out.
static TRANSDUCER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vocabulary.fst"));

/// What a token carries in the vocabulary when it continues a word.
const CONTINUATION: &str = "##";
/// Words longer than this are unknown, whatever they are made of.
const MAX_WORD_CHARS: usize = 100;

/// The compiled-in vocabulary, which cuts words into tokens by WordPiece: always the longest token that fits next.
pub(crate) struct Vocabulary {
    transducer: Fst<&'static [u8]>,
    /// Where the tokens that begin a word start.
    beginning: State,
    /// Where the tokens that continue one start: behind their prefix.
    continuation: State,
    unknown: u32,
}

/// A place inside the transducer: the node, and the sum of the outputs on the way there.
#[derive(Clone, Copy)]
struct State {
    node: CompiledAddr,
    output: Output,
}

impl Vocabulary {
    /// Opens the compiled-in vocabulary; nothing is copied.
    ///
    /// # Errors
    /// When it was made by another version of [`fst`], or lacks what every vocabulary of BERT has.
    pub(crate) fn open() -> Result<Self, Error> {
        let transducer = Fst::new(TRANSDUCER).map_err(|error| Error::internal(format!("vocabulary: {error}")))?;
        let beginning = State { node: transducer.root().addr(), output: Output::zero() };
        let continuation = behind(&transducer, CONTINUATION)
            .ok_or_else(|| Error::internal("vocabulary has no token that continues a word"))?;
        let unknown = find(&transducer, "[UNK]")?;
        Ok(Self { transducer, beginning, continuation, unknown })
    }

    /// The id of a whole token.
    ///
    /// # Errors
    /// When the vocabulary lacks it.
    pub(crate) fn id(&self, token: &str) -> Result<u32, Error> {
        find(&self.transducer, token)
    }

    /// Appends the tokens of `word` to `ids`: the one unknown token when it is too long or cannot be spelt.
    pub(crate) fn spell(&self, word: &str, ids: &mut Vec<u32>) {
        let kept = ids.len();
        let is_spelt = word.chars().count() <= MAX_WORD_CHARS && self.try_spell(word, ids);
        if !is_spelt {
            ids.truncate(kept);
            ids.push(self.unknown);
        }
    }

    fn try_spell(&self, word: &str, ids: &mut Vec<u32>) -> bool {
        let (mut state, mut rest) = (self.beginning, word.as_bytes());
        while !rest.is_empty() {
            let Some((id, length)) = self.longest(state, rest) else { return false };
            ids.push(id);
            (state, rest) = (self.continuation, &rest[length..]);
        }
        true
    }

    /// The longest token that `text` begins with, of those behind `start`, as its id and its length in bytes.
    ///
    /// Tokens are whole UTF-8 strings, so one never ends inside a character of the text.
    fn longest(&self, start: State, text: &[u8]) -> Option<(u32, usize)> {
        let (mut node, mut output) = (self.transducer.node(start.node), start.output);
        let mut longest = None;
        for (position, &byte) in text.iter().enumerate() {
            let Some(input) = node.find_input(byte) else { break };
            let transition = node.transition(input);
            output = output.cat(transition.out);
            node = self.transducer.node(transition.addr);
            if node.is_final() {
                longest = Some((id(output.cat(node.final_output())), position + 1));
            }
        }
        longest
    }
}

/// Where a walk from the root along `prefix` ends, if any token begins so.
fn behind(transducer: &Fst<&'static [u8]>, prefix: &str) -> Option<State> {
    let (mut node, mut output) = (transducer.root(), Output::zero());
    for byte in prefix.bytes() {
        let transition = node.transition(node.find_input(byte)?);
        output = output.cat(transition.out);
        node = transducer.node(transition.addr);
    }
    Some(State { node: node.addr(), output })
}

fn find(transducer: &Fst<&'static [u8]>, token: &str) -> Result<u32, Error> {
    transducer.get(token).map(id).ok_or_else(|| Error::internal(format!("vocabulary has no token `{token}`")))
}

fn id(output: Output) -> u32 {
    u32::try_from(output.value()).expect("ids are the line numbers of a vocabulary")
}
