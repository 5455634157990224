//! The memory that a script works on: names, records and data for the host to read, and room for what it writes.

use crate::Argument;

/// A part of the guest's memory that scripts know by offsets.
///
/// The host writes to it behind the compiler's back. It may, because the addresses that calls are given come from the
/// bytes themselves.
pub struct Scratch {
    bytes: Vec<u8>,
}

impl Scratch {
    /// Its length.
    pub const BYTES: usize = 4096;

    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: vec![0; Self::BYTES] }
    }

    /// Writes bytes, as far as they fit.
    pub fn write(&mut self, offset: u16, bytes: &[u8]) {
        let rest = self.bytes.get_mut(usize::from(offset)..).unwrap_or_default();
        let length = bytes.len().min(rest.len());
        rest[..length].copy_from_slice(&bytes[..length]);
    }

    /// Copies bytes of the guest's memory, as far as they fit. Where there is no memory, the guest traps.
    pub fn fetch(&mut self, offset: u16, address: u32, length: u8) {
        for index in 0..u16::from(length) {
            let byte = byte_at(address.wrapping_add(u32::from(index)));
            self.write(offset.saturating_add(index), &[byte]);
        }
    }

    /// The bytes from `offset` on, as far as there are any.
    #[must_use]
    pub fn read(&self, offset: u16, length: u16) -> &[u8] {
        let rest = self.bytes.get(usize::from(offset)..).unwrap_or_default();
        &rest[..rest.len().min(usize::from(length))]
    }

    /// The number that an argument stands for.
    #[must_use]
    pub fn value(&mut self, argument: Argument) -> u32 {
        match argument {
            Argument::Number(number) => number,
            // Addresses of a guest have 32 bits.
            Argument::Scratch(offset) => (self.bytes.as_mut_ptr() as usize as u32).wrapping_add(u32::from(offset)),
            Argument::Held(index) => {
                let (words, _) = self.bytes.as_chunks();
                words.get(usize::from(index)).map_or(0, |word| u32::from_le_bytes(*word))
            }
            Argument::End(distance) => memory_end().wrapping_add_signed(i32::from(distance)),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// The first address behind this guest's memory.
fn memory_end() -> u32 {
    #[cfg(target_arch = "wasm32")]
    let end = core::arch::wasm32::memory_size(0) << 16;
    // Tests run natively, where a memory like this does not exist.
    #[cfg(not(target_arch = "wasm32"))]
    let end = usize::MAX;
    end as u32
}

/// The byte at an address of this guest's memory.
#[cfg(target_arch = "wasm32")]
fn byte_at(address: u32) -> u8 {
    // SAFETY: every address in a WebAssembly memory can be read, and one outside of it traps. The read is volatile, because
    // the host put there what the compiler cannot know of.
    #[expect(unsafe_code, reason = "what the host hands out lies at addresses that only it knows")]
    unsafe {
        core::ptr::read_volatile(address as usize as *const u8)
    }
}

/// Natively, nothing has an address of 32 bits.
#[cfg(not(target_arch = "wasm32"))]
fn byte_at(_: u32) -> u8 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_is_neither_read_nor_written() {
        let mut scratch = Scratch::new();
        scratch.write(4094, &[1, 2, 3]);
        scratch.write(u16::MAX, &[4]);
        assert_eq!(scratch.read(4093, 100), [0, 1, 2]);
        assert_eq!(scratch.read(5000, 1), b"");
    }

    #[test]
    fn arguments_stand_for_numbers_addresses_and_what_is_held() {
        let mut scratch = Scratch::new();
        scratch.write(8, &[1, 2, 0, 0]);
        assert_eq!(scratch.value(Argument::Number(7)), 7);
        assert_eq!(scratch.value(Argument::Held(2)), 0x201);
        let start = scratch.value(Argument::Scratch(0));
        assert_eq!(scratch.value(Argument::Scratch(9)).wrapping_sub(start), 9);
        assert_eq!(scratch.value(Argument::End(3)).wrapping_sub(scratch.value(Argument::End(-1))), 4);
    }
}
