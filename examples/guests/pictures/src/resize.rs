//! Bilinear scaling: each pixel of the result is an average of the source under a triangle around its place.
//!
//! The triangle reaches to the next pixels when a picture grows, and to all pixels that fall together when it shrinks, so that
//! none of them is skipped. This is what image libraries call bilinear with antialiasing; models are trained on it.

use crate::Picture;

/// What one position of the result is made of along one axis: source positions from `first` on, weights that sum to 1.
struct Window {
    first: usize,
    weights: Vec<f32>,
}

pub(crate) fn resized(source: &Picture, width: usize, height: usize) -> Picture {
    let (columns, rows) = (windows(source.width, width), windows(source.height, height));
    let mut narrow = Vec::with_capacity(source.height * width * 3);
    for row in source.rgb.chunks_exact(source.width * 3) {
        for Window { first, weights } in &columns {
            narrow.extend((0..3).map(|colour| {
                weights.iter().zip(*first..).map(|(w, x)| w * f32::from(row[x * 3 + colour])).sum::<f32>()
            }));
        }
    }
    let mut rgb = Vec::with_capacity(height * width * 3);
    for Window { first, weights } in &rows {
        rgb.extend((0..width * 3).map(|x| {
            let sum: f32 = weights.iter().zip(*first..).map(|(w, y)| w * narrow[y * width * 3 + x]).sum();
            // Averages of bytes lie between 0 and 255, and `as` cuts what rounding errors add.
            sum.round() as u8
        }));
    }
    Picture { width, height, rgb }
}

fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f32 / to as f32;
    let reach = scale.max(1.0);
    let window = |position: usize| {
        // Pixels are squares, and their places are the middles of them.
        let centre = (position as f32 + 0.5) * scale;
        let first = ((centre - reach).floor().max(0.0) as usize).min(from - 1);
        let end = ((centre + reach).ceil() as usize).clamp(first + 1, from);
        let weight = |place: usize| (1.0 - ((place as f32 + 0.5 - centre) / reach).abs()).max(0.0);
        let sum: f32 = (first..end).map(weight).sum();
        Window { first, weights: (first..end).map(|place| weight(place) / sum).collect() }
    };
    (0..to).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, height: usize, values: &[u8]) -> Picture {
        let rgb = values.iter().flat_map(|&value| [value; 3]).collect();
        Picture::from_rgb(width, height, rgb).expect("there is a value a pixel")
    }

    fn reds(picture: &Picture) -> Vec<u8> {
        picture.rgb().iter().step_by(3).copied().collect()
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let picture = Picture::from_rgb(2, 2, (0..12).map(|byte| byte * 20).collect()).expect("four pixels");
        assert_eq!(picture.resized(2, 2), picture);
    }

    #[test]
    fn a_picture_that_grows_is_interpolated_between_the_middles_of_its_pixels() {
        // Places 0.25, 0.75, 1.25, 1.75 between the middles 0.5 and 1.5.
        assert_eq!(reds(&grey(2, 1, &[0, 100]).resized(4, 1)), [0, 25, 75, 100]);
        assert_eq!(reds(&grey(1, 2, &[0, 100]).resized(1, 4)), [0, 25, 75, 100]);
    }

    #[test]
    fn a_picture_that_shrinks_skips_no_pixel() {
        // The triangle of reach 4 around the place 2 weighs six pixels by 5, 7, 7, 5, 3, 1; the one around 6 mirrors it.
        assert_eq!(reds(&grey(8, 1, &[0, 0, 0, 0, 0, 84, 0, 0]).resized(2, 1)), [3, 21]);
    }

    #[test]
    fn an_even_picture_stays_even_in_any_size() {
        for (width, height) in [(1, 1), (3, 7), (50, 2), (224, 224)] {
            let resized = grey(5, 3, &[200; 15]).resized(width, height);
            assert_eq!((resized.width(), resized.height()), (width, height));
            assert!(reds(&resized).iter().all(|&red| red == 200), "{width} × {height}");
        }
    }
}
