//! Any bytes as a request: JSON of each path of the REST interfaces, protobuf of `Embed`, and vectors to be written. What cannot be
//! meant is refused with a reason; what is read holds no more than was sent.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tonic::Code;
use wisp_host::EmbedInputs;
use wisp_server::decoders;

/// What a client sends.
#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// A body for a path.
    Json { path: u8, body: &'a [u8] },
    /// A message of `Embed`.
    Protobuf(&'a [u8]),
    /// Bits of the values of a vector.
    Vector(Vec<u32>),
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Json { path, body } => check_json(decoders::PATHS[usize::from(path) % decoders::PATHS.len()], body),
    Input::Protobuf(message) => check_protobuf(message),
    Input::Vector(bits) => check_vector(&bits),
});

fn check_json(path: &str, body: &[u8]) {
    let read = decoders::json(path, body).expect("it is one of the paths");
    if let Err(reason) = read {
        assert!(!reason.is_empty(), "a refusal has a reason");
    }
}

fn check_protobuf(message: &[u8]) {
    match decoders::embed(message) {
        Ok(request) => {
            let held: usize = match &request.inputs {
                EmbedInputs::Texts(texts) => texts.iter().map(|text| text.len() + 1).sum(),
                // An id takes at least a byte, and so does an empty list.
                EmbedInputs::Tokens(rows) => rows.iter().map(|row| row.len() + 1).sum(),
            };
            assert!(held <= message.len(), "{held} of {} bytes", message.len());
        }
        Err(status) => {
            assert_eq!(status.code(), Code::InvalidArgument);
            assert!(!status.message().is_empty(), "a refusal has a reason");
        }
    }
}

/// Vectors of guests are finite; the host has made sure of that.
fn check_vector(bits: &[u32]) {
    let vector: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).filter(|value| value.is_finite()).collect();
    let [float, packed, halves, bytes, bits] = &decoders::encode(&vector)[..] else { panic!("five encodings") };
    assert_eq!(float.values, vector);
    let read: Vec<f32> =
        packed.packed.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("4"))).collect();
    assert_eq!(read, vector);
    assert_eq!(halves.packed.len(), 2 * vector.len());
    assert!(bytes.scale.is_finite() && bytes.packed.len() == vector.len(), "{}", bytes.scale);
    assert_eq!(bits.packed.len(), vector.len().div_ceil(8));
    for (index, value) in vector.iter().enumerate() {
        assert_eq!(bits.packed[index / 8] >> (7 - index % 8) & 1 == 1, *value > 0.0, "value {index}");
        // In f64: next to the largest f32, what is restored is one rounding beyond it.
        let (scale, value) = (f64::from(bytes.scale), f64::from(*value));
        let restored = f64::from(bytes.packed[index].cast_signed()) * scale;
        assert!((restored - value).abs() <= scale.max(f64::from(f32::MIN_POSITIVE)), "{restored} for {value}");
    }
}
