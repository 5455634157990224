//! Any bytes as a request of the Open Inference Protocol, over gRPC and over REST: a message that says what is wrong, or tensors
//! that read back from every form in which they can be written.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use wisp_server::{decode_body, decode_message};

/// A request.
#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// A message of gRPC.
    Message(&'a [u8]),
    /// A body, and where its JSON ends.
    Body(Option<u16>, &'a [u8]),
}

fuzz_target!(|input: Input<'_>| {
    let read = match input {
        Input::Message(bytes) => decode_message(bytes),
        Input::Body(json_length, bytes) => decode_body(bytes, json_length.map(usize::from)),
    };
    if let Err(reason) = read {
        assert!(!reason.is_empty(), "a refusal has a reason");
    }
});
