//! Metadata and configurations as JSON: the messages of gRPC under the same keys.

use serde_json::{Value, json};
use wisp_proto::inference as oip;

/// What `ModelMetadata` answers.
pub(crate) fn metadata(model: &oip::ModelMetadataResponse) -> Value {
    let tensor = |tensor: &oip::model_metadata_response::TensorMetadata| json!({ "name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape });
    json!({
        "name": model.name,
        "versions": model.versions,
        "platform": model.platform,
        "inputs": model.inputs.iter().map(tensor).collect::<Vec<_>>(),
        "outputs": model.outputs.iter().map(tensor).collect::<Vec<_>>(),
        "properties": model.properties,
    })
}

/// What `ModelConfig` answers.
pub(crate) fn config(config: &oip::ModelConfig) -> Value {
    let tensor = |name: &str, data_type: i32, dims: &[i64]| {
        let data_type = oip::DataType::try_from(data_type).unwrap_or_default().as_str_name();
        json!({ "name": name, "data_type": data_type, "dims": dims })
    };
    let inputs = config.input.iter().map(|input| tensor(&input.name, input.data_type, &input.dims));
    let outputs = config.output.iter().map(|output| tensor(&output.name, output.data_type, &output.dims));
    let mut body = json!({
        "name": config.name,
        "platform": config.platform,
        "backend": config.backend,
        "max_batch_size": config.max_batch_size,
        "input": inputs.collect::<Vec<_>>(),
        "output": outputs.collect::<Vec<_>>(),
    });
    if config.scheduling_choice.is_some() {
        body["dynamic_batching"] = json!({});
    }
    body
}
