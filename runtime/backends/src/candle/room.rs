//! How much device memory a session takes, held against its limit.

use candle_core::Device as CandleDevice;
use wisp_core::{BackendError, BackendId, Device, LoadRequest};

use super::config::EncoderConfig;
use super::device;
use super::rows::PackedRows;
use super::weights::Weights;

/// `f32` matrices as wide as the hidden states that are alive at once inside a layer: the residual, query, key and value,
/// their copies by head, and the result.
const LIVE_STATES: usize = 9;
/// The same for what is as wide as the inner layer: before the activation, after it, and one in between.
const LIVE_INNER: usize = 3;
/// And for attention scores: raw, in `f32`, their softmax, and that in the type of the activations.
const LIVE_SCORES: usize = 4;

/// The memory of one session. The limit is on device memory; that of the process is the cgroup's, so the CPU has none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    device: Device,
    weight_bytes: u64,
    limit_bytes: Option<u64>,
}

impl Room {
    /// Finds room for the weights.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`] when they pass the limit of `request` or what the device has free.
    pub(super) fn for_weights(
        request: &LoadRequest<'_>,
        weights: &Weights<'_>,
        opened: &CandleDevice,
    ) -> Result<Self, BackendError> {
        let limit_bytes = request.memory_limit_bytes.filter(|_| request.device != Device::Cpu);
        let room = Self { device: request.device, weight_bytes: weights.size_bytes(), limit_bytes };
        room.check("the weights", 0)?;
        match device::free_bytes(opened) {
            Some(free_bytes) if room.weight_bytes > free_bytes => {
                Err(room.refuse(format!("the weights take {} bytes; {free_bytes} are free", room.weight_bytes)))
            }
            _ => Ok(room),
        }
    }

    /// Refuses an inference that would pass the limit. The estimate is from above: everything counts as `f32`.
    ///
    /// # Errors
    /// [`BackendError::OutOfMemory`] with both figures.
    pub(super) fn check_run(&self, config: &EncoderConfig, rows: &PackedRows) -> Result<(), BackendError> {
        if self.limit_bytes.is_none() {
            return Ok(());
        }
        let wide = rows.sources.len() * (LIVE_STATES * config.hidden_size + LIVE_INNER * config.inner_size);
        // Groups are attended one after the other, but the pool of the driver may keep what each of them took.
        let scores = rows.groups.iter().map(|group| group.rows.len() * config.heads * group.length * group.length);
        let elements = scores.fold(wide, |sum, scores| sum.saturating_add(scores.saturating_mul(LIVE_SCORES)));
        self.check("weights and activations", elements.saturating_mul(size_of::<f32>()) as u64)
    }

    fn check(&self, what: &str, more_bytes: u64) -> Result<(), BackendError> {
        let needed_bytes = self.weight_bytes.saturating_add(more_bytes);
        match self.limit_bytes {
            Some(limit_bytes) if needed_bytes > limit_bytes => Err(self.refuse(format!(
                "{what} take {needed_bytes} bytes; the memory limit of the model is {limit_bytes}, raise it or send less at once"
            ))),
            _ => Ok(()),
        }
    }

    fn refuse(&self, reason: String) -> BackendError {
        BackendError::OutOfMemory { backend: BackendId::Candle, device: self.device, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Numbering;
    use super::*;

    const CONFIG: &str = r#"{"model_type": "distilbert", "vocab_size": 8, "dim": 12, "n_layers": 1, "n_heads": 3,
        "hidden_dim": 4, "activation": "relu", "max_position_embeddings": 16}"#;

    #[test]
    fn an_inference_that_passes_the_limit_is_refused_with_both_figures() {
        let config = EncoderConfig::parse(CONFIG).expect("is a distilbert");
        let rows = PackedRows::of_packed(&[1; 5], &[0, 2, 5], Numbering::FromZero);
        // 5 tokens of 9 * 12 + 3 * 4 elements, and 4 * 3 * (2² + 3²) scores, 4 bytes each.
        let needed = 1000 + 4 * (5 * 120 + 156);
        let room = |limit_bytes| Room { device: Device::Gpu(0), weight_bytes: 1000, limit_bytes };
        room(None).check_run(&config, &rows).expect("has no limit");
        room(Some(needed)).check_run(&config, &rows).expect("fits");
        let error = room(Some(needed - 1)).check_run(&config, &rows).expect_err("passes it").to_string();
        assert!(error.contains(&needed.to_string()) && error.contains("gpu:0"), "{error}");
    }
}
