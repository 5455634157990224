//! Where models run: what the configuration says, or each backend, device and precision in turn.

use wisp_core::{BackendId, Device, Placement};
use wisp_engine::{Config, PrecisionChoice};

/// Backends, devices and precisions that are measured one after the other; all empty for what the configuration says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VariantChoice {
    /// The backends.
    pub backends: Vec<BackendId>,
    /// The devices; empty for the CPU where a backend or precision is named.
    pub devices: Vec<Device>,
    /// The precisions; empty for what the configuration says.
    pub precisions: Vec<PrecisionChoice>,
}

/// A configuration under a name.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name; `None` when there is no other.
    pub name: Option<String>,
    /// All models on one placement in one precision.
    pub config: Config,
}

/// Every combination, in the order of the flags.
#[must_use]
pub fn variants(choice: &VariantChoice, config: &Config) -> Vec<Variant> {
    if *choice == VariantChoice::default() {
        return vec![Variant { name: None, config: config.clone() }];
    }
    let backends = if choice.backends.is_empty() { BackendId::ALL.to_vec() } else { choice.backends.clone() };
    let devices = if choice.devices.is_empty() { vec![Device::Cpu] } else { choice.devices.clone() };
    let precisions = if choice.precisions.is_empty() {
        vec![None]
    } else {
        choice.precisions.iter().map(|&precision| Some(precision)).collect()
    };
    let mut variants = Vec::new();
    for &backend in &backends {
        for &device in &devices {
            for &precision in &precisions {
                let placement = Placement { backend, device };
                let mut config = config.clone();
                for model in config.models.values_mut() {
                    model.placement = vec![placement];
                    model.precision = precision.unwrap_or(model.precision);
                }
                let name = match precision {
                    Some(precision) => format!("{placement} {}", precision.name()),
                    None => placement.to_string(),
                };
                variants.push(Variant { name: Some(name), config });
            }
        }
    }
    variants
}

#[cfg(test)]
mod tests {
    use wisp_core::Precision;

    use super::*;

    #[test]
    fn without_a_choice_the_configuration_is_measured_as_it_is() {
        let variants = variants(&VariantChoice::default(), &Config::default());
        assert_eq!(variants.len(), 1);
        assert_eq!((variants[0].name.clone(), variants[0].config.clone()), (None, Config::default()));
    }

    #[test]
    fn every_combination_is_a_variant_that_falls_back_to_nothing() {
        let choice = VariantChoice {
            backends: vec![BackendId::Ort, BackendId::Candle],
            devices: Vec::new(),
            precisions: vec![PrecisionChoice::Exactly(Precision::F32), PrecisionChoice::Auto],
        };
        let variants = variants(&choice, &Config::default());
        let names: Vec<_> = variants.iter().filter_map(|variant| variant.name.as_deref()).collect();
        assert_eq!(names, ["ort:cpu f32", "ort:cpu auto", "candle:cpu f32", "candle:cpu auto"]);
        for variant in &variants {
            assert!(variant.config.models.values().all(|model| model.placement.len() == 1));
        }
    }
}
