//! What guests that classify pictures share: a picture out of a file, in the size and layout of a model, and the best of the
//! scores that come back.

#![forbid(unsafe_code)]

mod decode;
mod rank;
mod resize;

pub use decode::DecodeError;
pub use rank::best;

/// Rows of pixels from the top, each of them red, green, blue from 0 to 255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of `width × height` pixels, three bytes each; none when there are more or fewer, or no pixels at all.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Option<Self> {
        let size = width.checked_mul(height)?.checked_mul(3)?;
        (size > 0 && rgb.len() == size).then_some(Self { width, height, rgb })
    }

    /// Decodes a JPEG or PNG file. What is transparent in it shows black.
    ///
    /// # Errors
    /// For other files, broken ones, and pictures of more pixels than [`DecodeError::TooLarge`] says.
    pub fn decode(file: &[u8]) -> Result<Self, DecodeError> {
        decode::decode(file)
    }

    /// The same picture in another size. It is stretched, not cut.
    ///
    /// # Panics
    /// When a side is 0.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Self {
        assert!(width > 0 && height > 0, "a picture has a width and a height");
        resize::resized(self, width, height)
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels as bytes, `[height, width, 3]`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels as shares of full brightness, one colour after the other: `[3, height, width]`, from 0 to 1.
    pub fn planes(&self) -> Vec<f32> {
        (0..3).flat_map(|colour| self.rgb.iter().skip(colour).step_by(3)).map(|&byte| f32::from(byte) / 255.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_must_fill_the_picture() {
        assert!(Picture::from_rgb(2, 1, vec![0; 6]).is_some());
        assert!(Picture::from_rgb(2, 1, vec![0; 5]).is_none());
        assert!(Picture::from_rgb(0, 1, vec![]).is_none());
        assert!(Picture::from_rgb(usize::MAX, 2, vec![0; 6]).is_none());
    }

    #[test]
    fn planes_hold_one_colour_after_the_other() {
        let picture = Picture::from_rgb(2, 1, vec![255, 0, 51, 0, 255, 102]).expect("two pixels are six bytes");
        assert_eq!(picture.planes(), [1.0, 0.0, 0.0, 1.0, 0.2, 0.4]);
    }
}
