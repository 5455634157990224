//! How a model wants its pictures: size, order of the axes, element type, and how brightness is written.

use pictures::Picture;
use wisp_guest::models::ModelInfo;
use wisp_guest::{DataType, Error, NamedTensor, Tensor};

/// Width and height for a model that takes any.
const USUAL_SIDE: usize = 224;

/// Colours of a pixel.
const COLOURS: usize = 3;

/// The environment of the guest may name what is taken away from brightness before it is divided: a number a colour, in
/// thousandths of full brightness. (Whole numbers, because reading others takes 15 KB of code and tables.)
const MEAN: &str = "MEAN_PERMILLE";

/// What brightness is divided by, as [`MEAN`].
const STD: &str = "STD_PERMILLE";

/// The only input of a model of pictures.
#[derive(Debug, PartialEq)]
pub(crate) struct Layout {
    input: String,
    width: usize,
    height: usize,
    order: Order,
    brightness: Brightness,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// `[1, height, width, 3]`.
    Pixels,
    /// `[1, 3, height, width]`.
    Planes,
}

/// How brightness is written.
#[derive(Debug, PartialEq)]
enum Brightness {
    /// Bytes from 0 to 255.
    Bytes,
    /// Floats: shares of full brightness, less the mean, divided by the deviation, for each colour.
    Floats { mean: [f32; COLOURS], deviation: [f32; COLOURS] },
}

impl Layout {
    /// Reads it off the signature.
    pub(crate) fn of(info: &ModelInfo) -> Result<Self, Error> {
        Self::with(info, |name| std::env::var(name).ok())
    }

    fn with(info: &ModelInfo, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let misfit = |what: String| Error::unsupported(format!("model `{}` {what}", info.name));
        let [input] = &info.inputs[..] else {
            return Err(misfit(format!("has {} inputs; a model of pictures has one", info.inputs.len())));
        };
        let wrong_shape = || {
            misfit(format!(
                "takes {:?}; a model of pictures takes [1, height, width, 3] or [1, 3, height, width]",
                input.shape
            ))
        };
        let (order, height, width) = match input.shape[..] {
            [1 | -1, height, width, 3] => (Order::Pixels, height, width),
            [1 | -1, 3, height, width] => (Order::Planes, height, width),
            _ => return Err(wrong_shape()),
        };
        let side = |axis: i32| match axis {
            -1 => Ok(USUAL_SIDE),
            axis => usize::try_from(axis).ok().filter(|&side| side > 0).ok_or_else(wrong_shape),
        };
        let brightness = match input.ty {
            DataType::U8 => Brightness::Bytes,
            DataType::Fp32 => Brightness::Floats {
                mean: numbers(MEAN, variable(MEAN), [0.0; COLOURS], 0)?,
                deviation: numbers(STD, variable(STD), [1.0; COLOURS], 1)?,
            },
            other => return Err(misfit(format!("takes {}; this guest makes u8 and f32", other.name()))),
        };
        Ok(Self { input: input.name.clone(), width: side(width)?, height: side(height)?, order, brightness })
    }

    /// A picture as the model's input.
    pub(crate) fn tensor(&self, picture: &Picture) -> Result<NamedTensor, Error> {
        let picture = picture.resized(self.width, self.height);
        match &self.brightness {
            Brightness::Bytes => {
                Tensor::from_slice(&self.shape(), &self.arranged(&picture, |byte, _| byte))?.named(&self.input)
            }
            Brightness::Floats { mean, deviation } => {
                let float = |byte: u8, colour: usize| (f32::from(byte) / 255.0 - mean[colour]) / deviation[colour];
                Tensor::from_slice(&self.shape(), &self.arranged(&picture, float))?.named(&self.input)
            }
        }
    }

    fn shape(&self) -> [usize; 4] {
        match self.order {
            Order::Pixels => [1, self.height, self.width, COLOURS],
            Order::Planes => [1, COLOURS, self.height, self.width],
        }
    }

    /// The values of a picture in the order of the axes.
    fn arranged<T>(&self, picture: &Picture, value: impl Fn(u8, usize) -> T) -> Vec<T> {
        let rgb = picture.rgb();
        match self.order {
            Order::Pixels => rgb.iter().enumerate().map(|(index, &byte)| value(byte, index % COLOURS)).collect(),
            Order::Planes => (0..COLOURS)
                .flat_map(|colour| rgb.iter().skip(colour).step_by(COLOURS).map(move |&byte| (byte, colour)))
                .map(|(byte, colour)| value(byte, colour))
                .collect(),
        }
    }
}

/// Three numbers separated by commas, as shares of 1.
fn numbers(name: &str, text: Option<String>, default: [f32; COLOURS], least: u16) -> Result<[f32; COLOURS], Error> {
    let Some(text) = text else { return Ok(default) };
    let parse = |number: &str| number.trim().parse::<u16>().ok().filter(|&number| number >= least);
    let parsed: Option<Vec<f32>> = text.split(',').map(|number| Some(f32::from(parse(number)?) / 1000.0)).collect();
    parsed.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| {
        let example = "485,456,406";
        Error::internal(format!(
            "{name} is `{text}` in the environment of the guest; write a number a colour, at least {least}, such as {example}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use wisp_guest::models::{Pooling, TensorInfo};

    use super::*;

    fn info(ty: DataType, shape: &[i32]) -> ModelInfo {
        ModelInfo {
            name: "birds".to_owned(),
            inputs: vec![TensorInfo { name: "image".to_owned(), ty, shape: shape.to_vec() }],
            outputs: vec![],
            fused_outputs: vec![],
            dimensions: None,
            max_tokens: None,
            pooling: Pooling::None,
            labels: vec![],
            max_batch_tokens: 1,
        }
    }

    fn picture() -> Picture {
        Picture::from_rgb(2, 1, vec![255, 0, 51, 0, 255, 102]).expect("two pixels are six bytes")
    }

    #[test]
    fn pixels_and_planes_of_bytes_and_floats_are_told_by_the_signature() {
        let layout = |ty, shape: &[i32]| Layout::with(&info(ty, shape), |_| None).expect("fits");
        let bytes = layout(DataType::U8, &[1, 1, 2, 3]);
        assert_eq!((bytes.order, bytes.shape()), (Order::Pixels, [1, 1, 2, 3]));
        assert_eq!(bytes.arranged(&picture(), |byte, _| byte), [255, 0, 51, 0, 255, 102]);
        let planes = layout(DataType::Fp32, &[-1, 3, 1, 2]);
        assert_eq!((planes.order, planes.shape()), (Order::Planes, [1, 3, 1, 2]));
        assert_eq!(planes.arranged(&picture(), |byte, _| byte), [255, 0, 0, 255, 51, 102]);
        assert_eq!(layout(DataType::U8, &[1, -1, -1, 3]).shape(), [1, USUAL_SIDE, USUAL_SIDE, 3]);
    }

    #[test]
    fn the_environment_says_how_floats_are_centred() {
        let variable = |name: &str| Some(if name == MEAN { "500, 250,0" } else { "500,1000,2000" }.to_owned());
        let layout = Layout::with(&info(DataType::Fp32, &[1, 1, 1, 3]), variable).expect("fits");
        let expected = Brightness::Floats { mean: [0.5, 0.25, 0.0], deviation: [0.5, 1.0, 2.0] };
        assert_eq!(layout.brightness, expected);
        let error = Layout::with(&info(DataType::Fp32, &[1, 1, 1, 3]), |_| Some("1,2".to_owned()));
        assert!(error.expect_err("two numbers").to_string().starts_with("MEAN_PERMILLE is `1,2` in the environment"));
    }

    #[test]
    fn what_is_no_model_of_pictures_is_refused_by_what_it_takes() {
        for (ty, shape, said) in [
            (DataType::I64, &[1, 224, 224, 3][..], "takes i64"),
            (DataType::U8, &[-1, -1], "takes [-1, -1]"),
            (DataType::U8, &[8, 224, 224, 3], "takes [8, 224, 224, 3]"),
            (DataType::U8, &[1, 0, 224, 3], "takes [1, 0, 224, 3]"),
        ] {
            let error = Layout::with(&info(ty, shape), |_| None).expect_err(said).to_string();
            assert!(
                error.starts_with("model `birds` takes ") && error.contains(said.trim_start_matches("takes ")),
                "{error}"
            );
        }
    }
}
