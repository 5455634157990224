//! Tensors, numbers and an order of calls that make no sense.

use crate::Mode;
use crate::host::{self, Errno, Handle, List};
use crate::setting;

/// An index that no model has.
const FAR: u32 = 4_000_000_000;

pub(crate) const MODES: &[(&str, Mode)] = &[
    ("input-index", |name| Ok(setting::set_picture(setting::context(name)?, FAR))),
    ("output-index", |name| Ok(output(setting::computed(name)?, FAR, 1 << 16))),
    ("dimensions-overflow", |name| {
        Ok(setting::set_tensor(setting::context(name)?, 0, &[u32::MAX; 4], host::F32, &[0; 16]))
    }),
    // The product is 2^32, which 32 bits take for 0.
    ("dimensions-wrap", |name| Ok(setting::set_tensor(setting::context(name)?, 0, &[1 << 16, 1 << 16], host::U8, &[]))),
    ("dimensions-many", |name| Ok(setting::set_tensor(setting::context(name)?, 0, &vec![1; 1 << 16], host::U8, &[0]))),
    ("dimensions-none", |name| Ok(setting::set_tensor(setting::context(name)?, 0, &[], host::U8, &[0]))),
    ("dimensions-zero", |name| Ok(setting::set_tensor(setting::context(name)?, 0, &[1, 0, 224, 3], host::U8, &[]))),
    ("data-short", |name| {
        let pixels = vec![0; 224 * 224 * 3 - 1];
        Ok(setting::set_tensor(setting::context(name)?, 0, &[1, 224, 224, 3], host::U8, &pixels))
    }),
    ("data-long", |name| {
        let pixels = vec![0; 224 * 224 * 3 + 1];
        Ok(setting::set_tensor(setting::context(name)?, 0, &[1, 224, 224, 3], host::U8, &pixels))
    }),
    ("type-unknown", |name| Ok(setting::set_tensor(setting::context(name)?, 0, &[1, 4], 200, &[0; 4]))),
    // What the model does not take may be refused when it is set or when it is computed.
    ("type-other", |name| {
        let context = setting::context(name)?;
        let pixels = vec![0; 224 * 224 * 3 * 4];
        Ok(first_refusal([
            setting::set_tensor(context, 0, &[1, 224, 224, 3], host::F32, &pixels),
            host::compute(context),
        ]))
    }),
    ("shape-other", |name| {
        let context = setting::context(name)?;
        let pixels = [0; 2 * 2 * 3];
        Ok(first_refusal([setting::set_tensor(context, 0, &[1, 2, 2, 3], host::U8, &pixels), host::compute(context)]))
    }),
    ("encoding-unknown", |_| Ok(load(77, host::CPU))),
    ("target-unknown", |_| Ok(load(host::ONNX, 77))),
    ("compute-without-input", |name| Ok(host::compute(setting::context(name)?))),
    ("output-before-compute", |name| Ok(output(setting::context(name)?, 0, 1 << 16))),
    ("output-buffer-small", |name| Ok(output(setting::computed(name)?, 0, 1))),
    ("output-buffer-none", |name| Ok(output(setting::computed(name)?, 0, 0))),
];

fn output(context: Handle, index: u32, length: usize) -> Errno {
    let (mut buffer, mut written) = (vec![0_u8; length], 0_u32);
    host::get_output(context, index, host::address_mut(&mut buffer), length as u32, host::address_of(&mut written))
}

fn load(encoding: u32, target: u32) -> Errno {
    let (parts, mut graph) = ([List::of(b"no model")], Handle::MAX);
    host::load(host::address(&parts), 1, encoding, target, host::address_of(&mut graph))
}

fn first_refusal(answers: [Errno; 2]) -> Errno {
    answers.into_iter().find(|errno| *errno != 0).unwrap_or(0)
}
