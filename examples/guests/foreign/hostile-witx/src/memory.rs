//! Addresses and lengths that reach out of the guest's memory.

use crate::Mode;
use crate::host::{self, Handle, List, TensorRecord};
use crate::setting;

/// An address that no memory below 4 GiB has, with room for a few bytes before addresses wrap around.
const NOWHERE: u32 = u32::MAX - 15;

/// A name that nothing is wrong with.
const NAME: &[u8] = b"classifier";

pub(crate) const MODES: &[(&str, Mode)] = &[
    ("name-out-of-bounds", |_| Ok(load_by_name(host::memory_end(), 16))),
    ("name-over-the-end", |_| Ok(load_by_name(host::memory_end() - 4, 16))),
    ("name-length-overflow", |_| Ok(load_by_name(host::address(NAME), u32::MAX))),
    ("name-huge", |_| {
        let name = vec![b'n'; 1 << 20];
        Ok(load_by_name(host::address(&name), name.len() as u32))
    }),
    ("name-not-text", |_| Ok(load_by_name(host::address(&[0xff_u8, 0xfe, 0x00]), 3))),
    ("graph-address", |name| {
        Ok(host::load_by_name(host::address(name.as_bytes()), name.len() as u32, host::memory_end() - 2))
    }),
    ("builder-array-over-the-end", |_| Ok(load(host::memory_end() - 4, 1))),
    ("builder-array-overflow", |_| Ok(load(host::memory_end() - 16, u32::MAX))),
    ("builder-part-out-of-bounds", |_| Ok(load_parts(&[List { address: NOWHERE, length: 8 }]))),
    ("builder-part-overflow", |_| Ok(load_parts(&[List { address: NOWHERE, length: u32::MAX }]))),
    // Many times the same megabyte: little memory here, much for a host that copies it.
    ("builder-parts-overlap", |_| {
        let part = vec![0_u8; 1 << 20];
        Ok(load_parts(&(0..4096).map(|_| List::of(&part)).collect::<Vec<_>>()))
    }),
    ("tensor-over-the-end", |name| Ok(host::set_input(setting::context(name)?, 0, host::memory_end() - 8))),
    ("tensor-out-of-bounds", |name| Ok(host::set_input(setting::context(name)?, 0, NOWHERE))),
    ("tensor-misaligned", |name| {
        let context = setting::context(name)?;
        let bytes = [0_u8; 64];
        Ok(host::set_input(context, 0, host::address(&bytes) | 1))
    }),
    ("tensor-dimensions", |name| {
        let dimensions = List { address: NOWHERE, length: 2 };
        let record = TensorRecord { dimensions, ty: host::U8, data: List::of(&[0_u8; 4]) };
        Ok(setting::set_record(setting::context(name)?, 0, record))
    }),
    ("tensor-dimensions-overflow", |name| {
        let dimensions = List { address: NOWHERE, length: u32::MAX };
        let record = TensorRecord { dimensions, ty: host::U8, data: List::of(&[0_u8; 4]) };
        Ok(setting::set_record(setting::context(name)?, 0, record))
    }),
    ("tensor-data", |name| {
        let data = List { address: host::memory_end() - 2, length: 4 };
        let record = TensorRecord { dimensions: List::of(&[1_u32, 4]), ty: host::U8, data };
        Ok(setting::set_record(setting::context(name)?, 0, record))
    }),
    ("tensor-data-overflow", |name| {
        let data = List { address: NOWHERE, length: u32::MAX };
        let record = TensorRecord { dimensions: List::of(&[1_u32, 4]), ty: host::U8, data };
        Ok(setting::set_record(setting::context(name)?, 0, record))
    }),
    ("output-buffer", |name| {
        let (context, mut written) = (setting::computed(name)?, 0_u32);
        Ok(host::get_output(context, 0, NOWHERE, 1 << 20, host::address_of(&mut written)))
    }),
    ("output-length-overflow", |name| {
        let (context, mut written) = (setting::computed(name)?, 0_u32);
        let mut buffer = vec![0_u8; 1 << 16];
        Ok(host::get_output(context, 0, host::address_mut(&mut buffer), u32::MAX, host::address_of(&mut written)))
    }),
    ("output-written", |name| {
        let context = setting::computed(name)?;
        let mut buffer = vec![0_u8; 1 << 16];
        Ok(host::get_output(context, 0, host::address_mut(&mut buffer), 1 << 16, host::memory_end() - 2))
    }),
];

fn load_by_name(address: u32, length: u32) -> host::Errno {
    let mut graph = Handle::MAX;
    host::load_by_name(address, length, host::address_of(&mut graph))
}

fn load(parts: u32, count: u32) -> host::Errno {
    let mut graph = Handle::MAX;
    host::load(parts, count, host::ONNX, host::CPU, host::address_of(&mut graph))
}

fn load_parts(parts: &[List]) -> host::Errno {
    load(host::address(parts), parts.len() as u32)
}
