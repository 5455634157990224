//! A picture to one score a class, by the model that the host calls `classifier`.

use pictures::Picture;

use self::wasi::nn::errors::Error;
use self::wasi::nn::graph::load_by_name;
use self::wasi::nn::tensor::{Tensor, TensorType};

wit_bindgen::generate!({
    path: "../../../guest-sdk/wit/deps/wasi-nn",
    world: "ml",
    generate_all,
});

/// The name of the model.
const MODEL: &str = "classifier";

/// The model's input unless the environment names another: that of the birds' model.
const INPUT: &str = "module/hub_input/images_uint8";

/// Width and height of the model's input.
const SIDE: u32 = 224;

/// One score a class, from 0 to 1.
pub(crate) fn scores(picture: &Picture) -> Result<Vec<f32>, String> {
    let picture = picture.resized(SIDE as usize, SIDE as usize);
    let input = std::env::var("CLASSIFIER_INPUT").unwrap_or_else(|_| INPUT.to_owned());
    let tensor = Tensor::new(&[1, SIDE, SIDE, 3], TensorType::U8, picture.rgb());
    let context = load_by_name(MODEL).and_then(|graph| graph.init_execution_context()).map_err(said)?;
    let outputs = context.compute(vec![(input, tensor)]).map_err(said)?;
    let (name, output) = outputs.first().ok_or("the model has no output")?;
    let data = output.data();
    match output.ty() {
        // Quantised shares of 1 come in steps of 1/256.
        TensorType::U8 => Ok(data.iter().map(|&step| f32::from(step) / 256.0).collect()),
        TensorType::Fp32 => Ok(data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
        other => Err(format!("output `{name}` is {other:?}; this program reads U8 and FP32")),
    }
}

fn said(error: Error) -> String {
    format!("model `{MODEL}`: {}", error.data())
}
