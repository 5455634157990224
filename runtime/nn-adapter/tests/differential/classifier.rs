//! A small classifier of pictures: an IR, a picture, and what plain arithmetic says about it.
//!
//! Averages of 8 × 8 pixels, a matrix, and a softmax. Small enough to be computed here as well, so that the hosts are compared not
//! only with each other.

use std::io::Write;

use flate2::{Compression, Crc, write::ZlibEncoder};

use crate::ir::{Element, Graph, Ir};

/// Pixels of a side.
pub(crate) const SIDE: usize = 32;

const BLOCK: usize = 8;
const BLOCKS: usize = SIDE / BLOCK;
const FEATURES: usize = 3 * BLOCKS * BLOCKS;
const CLASSES: usize = 10;

/// The model: f32 `[1, 3, 32, 32]` from 0 to 1, to f32 `[1, 10]`.
pub(crate) fn ir() -> Ir {
    let mut graph = Graph::over(Vec::new());
    let side = SIDE as i64;
    let picture = graph.input("picture", Element::F32, &[1, 3, side, side]);
    let pool = format!(
        "strides=\"{BLOCK},{BLOCK}\" kernel=\"{BLOCK},{BLOCK}\" pads_begin=\"0,0\" pads_end=\"0,0\" exclude-pad=\"true\" \
         rounding_type=\"floor\" auto_pad=\"explicit\""
    );
    let pooled = graph.op("AvgPool", "opset1", &pool, &[picture]);
    let features = graph.reshaped(pooled, &[1, FEATURES as i64]);
    let matrix = graph.floats(&[FEATURES, CLASSES], &matrix());
    let logits = graph.product(features, matrix, false);
    let scores = graph.op("SoftMax", "opset1", "axis=\"1\"", &[logits]);
    graph.output("scores", scores);
    graph.finish()
}

/// A disc on a slope of colours, red, green, blue by row.
pub(crate) fn picture() -> Vec<u8> {
    let pixel = |at: usize| {
        let (x, y) = (at % SIDE, at / SIDE);
        match x.abs_diff(20).pow(2) + y.abs_diff(12).pow(2) {
            0..64 => [230, 40, 90],
            _ => [8 * x, 255 - 4 * (x + y), 8 * y].map(|value| value as u8),
        }
    };
    (0..SIDE * SIDE).flat_map(pixel).collect()
}

/// Index and score of every class, the best first, in double precision.
pub(crate) fn expected(rgb: &[u8]) -> Vec<(usize, f64)> {
    let feature = |feature: usize| {
        let (colour, block) = (feature / (BLOCKS * BLOCKS), feature % (BLOCKS * BLOCKS));
        let (left, top) = (block % BLOCKS * BLOCK, block / BLOCKS * BLOCK);
        let pixels = (0..BLOCK * BLOCK).map(|at| (top + at / BLOCK) * SIDE + left + at % BLOCK);
        pixels.map(|pixel| f64::from(rgb[3 * pixel + colour]) / 255.0).sum::<f64>() / (BLOCK * BLOCK) as f64
    };
    let (features, matrix): (Vec<_>, _) = ((0..FEATURES).map(feature).collect(), matrix());
    let logit = |class: usize| -> f64 {
        features.iter().enumerate().map(|(row, value)| value * f64::from(matrix[row * CLASSES + class])).sum()
    };
    let powers: Vec<f64> = (0..CLASSES).map(|class| logit(class).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let mut scores: Vec<_> = powers.iter().map(|power| power / sum).enumerate().collect();
    scores.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    scores
}

/// A PNG file of 32 × 32 pixels. Source: the PNG specification, third edition.
pub(crate) fn png(rgb: &[u8]) -> Vec<u8> {
    let side = u32::try_from(SIDE).expect("a small number").to_be_bytes();
    // Eight bits a colour, red, green and blue, and the only ways there are of packing and ordering.
    let header = [&side[..], &side, &[8, 2, 0, 0, 0]].concat();
    // Each row begins with the number of its filter; 0 is none.
    let rows: Vec<u8> = rgb.chunks(3 * SIDE).flat_map(|row| [&[0], row].concat()).collect();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&rows).expect("memory takes everything");
    let packed = packed.finish().expect("memory takes everything");
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(*b"IHDR", &header), chunk(*b"IDAT", &packed), chunk(*b"IEND", &[])].concat()
}

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("a small picture").to_be_bytes();
    let named = [&kind[..], data].concat();
    let mut sum = Crc::new();
    sum.update(&named);
    [&length[..], &named, &sum.sum().to_be_bytes()].concat()
}

/// Weights between -0.5 and 0.5 that look like nothing in particular: those of a linear congruential generator (Knuth, MMIX).
fn matrix() -> Vec<f32> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..FEATURES * CLASSES).map(|_| next()).collect()
}
