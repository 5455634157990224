//! A model that gives back what it is given, and believes nothing.

use wisp_core::{
    Axis, BackendError, BackendId, Batch, DataType, Device, Layout, NamedTensor, Placement, Precision, Session,
    SessionInfo, Signature, TensorSpec,
};

/// The first value of `bytes` that makes an inference fail.
const FAILS: u8 = 0xEE;

/// `bytes`, u8 `[rows, 4]`, and `numbers`, i64 `[rows, 2]` from 0 to 99, are inputs and outputs.
pub(crate) struct EchoSession {
    info: SessionInfo,
}

impl EchoSession {
    pub(crate) fn new() -> Self {
        let spec = |name: &str, data_type, width, below| TensorSpec {
            name: name.to_owned(),
            data_type,
            shape: vec![Axis::Free, Axis::Fixed(width)],
            below,
        };
        let inputs = vec![spec("bytes", DataType::U8, 4, None), spec("numbers", DataType::I64, 2, Some(100))];
        Self {
            info: SessionInfo {
                placement: Placement { backend: BackendId::Candle, device: Device::Cpu },
                precision: Precision::F32,
                signature: Signature { outputs: inputs.clone(), inputs },
                layouts: vec![Layout::Padded],
                fused_outputs: Vec::new(),
                library_version: "0".to_owned(),
            },
        }
    }
}

impl Session for EchoSession {
    fn info(&self) -> &SessionInfo {
        &self.info
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<NamedTensor>, BackendError> {
        let Batch::Padded(inputs) = batch else { unreachable!("no other layout is offered") };
        self.info.signature.check_inputs(inputs).expect("inputs are checked before a session sees them");
        let named = |name: &str| inputs.iter().find(|input| input.name == name).cloned();
        let outputs: Vec<_> = self.info.signature.outputs.iter().filter_map(|output| named(&output.name)).collect();
        for NamedTensor { name, tensor } in &outputs {
            let elements: usize = tensor.shape().iter().product();
            assert_eq!(tensor.data().len(), elements * tensor.data_type().size_bytes(), "`{name}` fits its shape");
        }
        if outputs.first().is_some_and(|output| output.tensor.data().first() == Some(&FAILS)) {
            return Err(BackendError::Run { backend: BackendId::Candle, reason: "told to".to_owned() });
        }
        Ok(outputs)
    }
}
