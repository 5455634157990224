//! JPEG and PNG files to pixels.

use std::io::Cursor;

use png::{ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::Picture;

/// The largest picture that is decoded, in pixels: a few times what cameras of phones make, and 96 MiB when decoded.
const PIXEL_LIMIT: usize = 32 << 20;

/// What PNG files begin with.
const PNG_SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// What JPEG files begin with.
const JPEG_SIGNATURE: [u8; 3] = [0xff, 0xd8, 0xff];

/// Why a file is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Its first bytes are not those of a known format.
    #[error("the file is neither JPEG nor PNG; convert it to one of them")]
    Unknown,
    /// It begins right and goes on wrong.
    #[error("the {format} file is broken: {reason}")]
    Broken {
        /// Name of the format.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Its pixels would take too much memory.
    #[error("the picture has {width} × {height} pixels, more than {limit}; scale it down")]
    TooLarge {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The most pixels that are decoded.
        limit: usize,
    },
}

pub(crate) fn decode(file: &[u8]) -> Result<Picture, DecodeError> {
    if file.starts_with(&PNG_SIGNATURE) {
        decode_png(file)
    } else if file.starts_with(&JPEG_SIGNATURE) {
        decode_jpeg(file)
    } else {
        Err(DecodeError::Unknown)
    }
}

fn decode_jpeg(file: &[u8]) -> Result<Picture, DecodeError> {
    let broken = |reason: String| DecodeError::Broken { format: "JPEG", reason };
    // Otherwise the rest of a file that broke off would be taken for grey.
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB).set_strict_mode(true);
    // Any size that the format can say is read, to be refused by what it would take and not by one of its sides.
    let side = usize::from(u16::MAX);
    let options = options.set_max_width(side).set_max_height(side);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(|error| broken(error.to_string()))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| broken("it has no size".to_owned()))?;
    check_size(width, height)?;
    let rgb = decoder.decode().map_err(|error| broken(error.to_string()))?;
    Picture::from_rgb(width, height, rgb).ok_or_else(|| broken("pixels are missing".to_owned()))
}

fn decode_png(file: &[u8]) -> Result<Picture, DecodeError> {
    let broken = |reason: String| DecodeError::Broken { format: "PNG", reason };
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| broken(error.to_string()))?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(width, height)?;
    let size = reader.output_buffer_size().ok_or_else(|| broken("its size overflows".to_owned()))?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|error| broken(error.to_string()))?;
    pixels.truncate(frame.buffer_size());
    let rgb = match frame.color_type {
        ColorType::Rgb => pixels,
        ColorType::Rgba => {
            pixels.chunks_exact(4).flat_map(|pixel| over_black([pixel[0], pixel[1], pixel[2]], pixel[3])).collect()
        }
        ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::GrayscaleAlpha => {
            pixels.chunks_exact(2).flat_map(|pixel| over_black([pixel[0]; 3], pixel[1])).collect()
        }
        ColorType::Indexed => return Err(broken("its palette is missing".to_owned())),
    };
    Picture::from_rgb(width, height, rgb).ok_or_else(|| broken("pixels are missing".to_owned()))
}

fn over_black(colour: [u8; 3], opacity: u8) -> [u8; 3] {
    // At most 255 × 255 / 255.
    colour.map(|value| (u16::from(value) * u16::from(opacity) / 255) as u8)
}

fn check_size(width: usize, height: usize) -> Result<(), DecodeError> {
    if width.saturating_mul(height) > PIXEL_LIMIT {
        return Err(DecodeError::TooLarge { width, height, limit: PIXEL_LIMIT });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use png::BitDepth;

    use super::*;

    fn png(width: u32, height: u32, colour: ColorType, pixels: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(colour);
        encoder.set_depth(BitDepth::Eight);
        if colour == ColorType::Indexed {
            encoder.set_palette(vec![7, 8, 9, 10, 20, 30]);
        }
        let mut writer = encoder.write_header().expect("memory can be written to");
        writer.write_image_data(pixels).expect("the pixels fit the header");
        writer.finish().expect("memory can be written to");
        file
    }

    #[test]
    fn pngs_of_every_colour_type_become_rgb() {
        let cases: [(ColorType, &[u8], [u8; 6]); 5] = [
            (ColorType::Rgb, &[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
            (ColorType::Rgba, &[10, 20, 30, 255, 100, 200, 50, 0], [10, 20, 30, 0, 0, 0]),
            (ColorType::Grayscale, &[40, 50], [40, 40, 40, 50, 50, 50]),
            (ColorType::GrayscaleAlpha, &[40, 255, 255, 51], [40, 40, 40, 51, 51, 51]),
            (ColorType::Indexed, &[1, 0], [10, 20, 30, 7, 8, 9]),
        ];
        for (colour, pixels, rgb) in cases {
            let picture = decode(&png(2, 1, colour, pixels)).expect("the file is whole");
            assert_eq!((picture.width(), picture.height(), picture.rgb()), (2, 1, &rgb[..]), "{colour:?}");
        }
    }

    /// 32 × 16 pixels, the left half of them red and the right half blue.
    const HALVES: &[u8] = include_bytes!("decode/halves.jpg");

    #[test]
    fn a_jpeg_becomes_rgb() {
        let picture = decode(HALVES).expect("the file is whole");
        assert_eq!((picture.width(), picture.height()), (32, 16));
        for (x, expected) in [(0, [200, 30, 30]), (15, [200, 30, 30]), (16, [20, 40, 220]), (31, [20, 40, 220])] {
            let pixel = &picture.rgb()[(8 * 32 + x) * 3..][..3];
            // The file keeps colours in coarse steps.
            assert!(pixel.iter().zip(expected).all(|(&found, value)| found.abs_diff(value) <= 4), "{x}: {pixel:?}");
        }
    }

    #[test]
    fn a_jpeg_that_broke_off_is_refused() {
        for length in JPEG_SIGNATURE.len()..HALVES.len() - 8 {
            let refused = decode(&HALVES[..length]);
            assert!(matches!(refused, Err(DecodeError::Broken { format: "JPEG", .. })), "{length} bytes: {refused:?}");
        }
    }

    #[test]
    fn a_huge_jpeg_is_refused_before_memory_is_taken() {
        let mut file = HALVES.to_vec();
        let is_frame = |bytes: &[u8]| bytes[0] == 0xff && matches!(bytes[1], 0xc0..=0xc2);
        let frame = file.windows(2).position(is_frame).expect("a JPEG has a frame");
        file[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
        assert!(matches!(decode(&file), Err(DecodeError::TooLarge { width: 65_535, height: 65_535, .. })));
    }

    #[test]
    fn what_is_no_picture_is_refused_with_a_reason() {
        assert!(matches!(decode(b"GIF89a"), Err(DecodeError::Unknown)));
        assert!(matches!(decode(b""), Err(DecodeError::Unknown)));
        assert!(matches!(decode(&JPEG_SIGNATURE), Err(DecodeError::Broken { format: "JPEG", .. })));
        let whole = png(2, 2, ColorType::Rgb, &[9; 12]);
        for length in PNG_SIGNATURE.len()..whole.len() - 12 {
            assert!(
                matches!(decode(&whole[..length]), Err(DecodeError::Broken { format: "PNG", .. })),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn a_huge_picture_is_refused_before_memory_is_taken() {
        let mut file = png(1, 1, ColorType::Grayscale, &[0]);
        file[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let header = crc(&file[12..29]).to_be_bytes();
        file[29..33].copy_from_slice(&header);
        assert!(matches!(decode(&file), Err(DecodeError::TooLarge { width: 65_536, height: 65_536, .. })));
    }

    /// The checksum of a chunk, by the definition in the standard (annex D).
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        })
    }
}
