//! From a model file to a compiled model on exactly the requested device and precision.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use openvino::{CompiledModel, Core, DeviceType, Model, Node, PartialShape, PropertyKey, RwPropertyKey};
use wisp_core::{
    Axis, BackendError, BackendId, Combination, Device, LoadRequest, Precision, Ragged, Signature, StaticShape,
    TensorSpec,
};

use super::port::Port;
use super::{device, message, run_error, shapes, value};

/// Primitives that the CPU plugin keeps, one for each operator and shape that it has met. Its default is 5,000, some hundred megabytes
/// under texts of all lengths; with a tenth of that, what is kept ends at 50 to 180 MB and nothing was seen to become slower.
const KEPT_PRIMITIVES: u32 = 512;

/// A model that is compiled for one shape, or for all of them.
pub(super) struct Compiled {
    /// `None` for free axes.
    pub(super) shape: Option<StaticShape>,
    pub(super) model: CompiledModel,
    /// How long that took.
    pub(super) took: Duration,
}

/// What a model is compiled from, for when it has to be compiled again.
pub(super) struct Recipe {
    model: String,
    file: PathBuf,
    inputs: Vec<TensorSpec>,
    ragged: Option<Ragged>,
    device: Device,
}

impl Recipe {
    pub(super) fn of(request: &LoadRequest<'_>) -> Self {
        Self {
            model: request.model.to_owned(),
            file: request.file.to_owned(),
            inputs: request.signature.inputs.clone(),
            ragged: request.ragged.cloned(),
            device: request.device,
        }
    }

    /// Reads the model and compiles it for one shape. The core has its properties already.
    pub(super) fn compile(&self, core: &mut Core, shape: Option<StaticShape>) -> Result<Compiled, BackendError> {
        let begun_at = Instant::now();
        let mut model = self.read(core)?;
        let compiled = self.compile_read(core, &mut model, shape)?;
        Ok(Compiled { took: begun_at.elapsed(), ..compiled })
    }

    fn read(&self, core: &mut Core) -> Result<Model, BackendError> {
        read(core, &self.model, &self.file)
    }

    /// Compiles a model that was read. It may have been compiled for another shape before.
    fn compile_read(
        &self,
        core: &mut Core,
        model: &mut Model,
        shape: Option<StaticShape>,
    ) -> Result<Compiled, BackendError> {
        let begun_at = Instant::now();
        if let Some(shape) = shape {
            self.reshape(model, shape)?;
        }
        let name = device::name(self.device);
        let compiled = core.compile_model(model, DeviceType::from(name.as_str())).map_err(|error| {
            let reason = message(&error);
            if value::is_out_of_memory(&reason) {
                return BackendError::OutOfMemory { backend: BackendId::OpenVino, device: self.device, reason };
            }
            self.broken(format!("does not compile: {reason}"))
        })?;
        Ok(Compiled { shape, model: compiled, took: begun_at.elapsed() })
    }

    /// Fixes the shapes of all inputs at once: one after the other, they would not fit each other in between.
    fn reshape(&self, model: &mut Model, shape: StaticShape) -> Result<(), BackendError> {
        let fixed = |spec: &TensorSpec| {
            let lengths = shapes::input_shape(spec, shape, self.ragged.as_ref());
            let rank = i64::try_from(lengths.len()).unwrap_or(i64::MAX);
            let partial = PartialShape::new_static(rank, &lengths).map_err(|error| run_error(&error))?;
            Ok((spec.name.clone(), partial))
        };
        let fixed = self.inputs.iter().map(fixed).collect::<Result<Vec<_>, BackendError>>()?;
        let named: Vec<_> = fixed.iter().map(|(name, partial)| (name.as_str(), partial)).collect();
        model.reshape(&named).map_err(|error| {
            self.broken(format!("cannot have {} rows of length {}: {}", shape.rows, shape.length, message(&error)))
        })
    }

    fn broken(&self, reason: String) -> BackendError {
        BackendError::Model { model: self.model.clone(), file: self.file.clone(), reason }
    }
}

/// Everything that a session is made of.
pub(super) struct CompiledModels {
    /// Keeps the plugins open for as long as the models live.
    pub(super) core: Core,
    pub(super) recipe: Recipe,
    /// One for free axes, or one a static shape, smallest first.
    pub(super) models: Vec<Compiled>,
    /// Where it runs: for `AUTO`, the device that it chose.
    pub(super) device: Device,
}

/// Reads, checks and compiles the model of the request.
pub(super) fn compile(mut core: Core, request: &LoadRequest<'_>) -> Result<CompiledModels, BackendError> {
    check_device(&core, request)?;
    configure(&mut core, request)?;
    let recipe = Recipe::of(request);
    let begun_at = Instant::now();
    // Read once for everything: that takes as long as compiling what is kept already.
    let mut model = recipe.read(&mut core)?;
    let reading_took = begun_at.elapsed();
    request.check_promises(&signature(&model, request.model, request.file)?)?;

    let mut shapes: Vec<_> = shapes::ascending(request.static_shapes).into_iter().map(Some).collect();
    if shapes.is_empty() {
        shapes.push(None);
    }
    let models = shapes.into_iter().map(|shape| {
        let compiled = recipe.compile_read(&mut core, &mut model, shape)?;
        Ok(Compiled { took: reading_took + compiled.took, ..compiled })
    });
    let models = models.collect::<Result<Vec<_>, BackendError>>()?;
    let device = placed_on(&models[0].model, request)?;
    check_precision(&models[0].model, request)?;
    Ok(CompiledModels { core, recipe, models, device })
}

/// Reads a model file; what it is, OpenVINO sees by itself.
pub(super) fn read(core: &mut Core, model: &str, file: &Path) -> Result<Model, BackendError> {
    let broken = |reason: String| BackendError::Model { model: model.to_owned(), file: file.to_owned(), reason };
    let path = file.to_str().ok_or_else(|| broken("the path is not valid UTF-8".to_owned()))?;
    std::fs::File::open(file).map_err(|error| broken(error.to_string()))?;
    // An empty path of weights means: those that belong to the file.
    core.read_model_from_file(path, "").map_err(|error| broken(message(&error)))
}

/// Inputs and outputs as the file declares them.
pub(super) fn signature(model: &Model, name: &str, file: &Path) -> Result<Signature, BackendError> {
    let inputs = ports(model.get_inputs_len(), |index| model.get_input_by_index(index), name, file)?;
    let outputs = ports(model.get_outputs_len(), |index| model.get_output_by_index(index), name, file)?;
    Ok(Signature { inputs, outputs })
}

fn ports(
    count: Result<usize, openvino::InferenceError>,
    port: impl Fn(usize) -> Result<Node, openvino::InferenceError>,
    model: &str,
    file: &Path,
) -> Result<Vec<TensorSpec>, BackendError> {
    let count = count.map_err(|error| run_error(&error))?;
    let port = |index| port(index).map(Port::from).map_err(|error| run_error(&error));
    (0..count).map(|index| spec(&port(index)?, model, file)).collect()
}

fn spec(port: &Port, model: &str, file: &Path) -> Result<TensorSpec, BackendError> {
    let broken = |reason: String| BackendError::Model { model: model.to_owned(), file: file.to_owned(), reason };
    let name = port.get_name().map_err(|error| run_error(&error))?;
    let element = port.get_element_type().map_err(|error| run_error(&error))?;
    let data_type = value::data_type(element)
        .ok_or_else(|| broken(format!("`{name}` has type {element}, which wasi:nn does not know")))?;
    let shape = port.get_partial_shape().map_err(|error| run_error(&error))?;
    let rank = shape.get_rank();
    if rank.get_min() != rank.get_max() {
        return Err(broken(format!("`{name}` has no fixed number of axes")));
    }
    let axis = |dimension: &openvino::Dimension| match usize::try_from(dimension.get_min()) {
        Ok(length) if dimension.get_min() == dimension.get_max() => Axis::Fixed(length),
        _ => Axis::Free,
    };
    Ok(TensorSpec { name, data_type, shape: shape.get_dimensions().iter().map(axis).collect(), below: None })
}

fn check_device(core: &Core, request: &LoadRequest<'_>) -> Result<(), BackendError> {
    let report = device::report(core, request.device);
    if let Some(reason) = report.missing {
        return Err(BackendError::Device { backend: BackendId::OpenVino, device: request.device, reason });
    }
    if !report.precisions.contains(&request.precision) {
        return Err(unsupported(request, request.device));
    }
    Ok(())
}

fn unsupported(request: &LoadRequest<'_>, device: Device) -> BackendError {
    let what = format!("precision {} on {device}: the device does not compute in it; use f32", request.precision);
    BackendError::Unsupported { backend: BackendId::OpenVino, what }
}

/// Sets the properties of the core: on each device, because a combination passes them on to none.
fn configure(core: &mut Core, request: &LoadRequest<'_>) -> Result<(), BackendError> {
    for member in device::members(core, request.device) {
        let name = device::name(member);
        // Properties belong to all GPUs of a core; the core belongs to one session.
        let name = name.split('.').next().unwrap_or(&name);
        let device_type = DeviceType::from(name);
        let precision = arithmetic(core, request.precision, member);
        let mut properties = vec![
            (RwPropertyKey::HintPerformanceMode, "LATENCY".to_owned()),
            (RwPropertyKey::HintInferencePrecision, precision.to_owned()),
        ];
        if member == Device::Cpu {
            // A hint and the threads, but no streams: both together have crashed the library.
            properties.push((RwPropertyKey::InferenceNumThreads, request.threads.max(1).to_string()));
            // Pinning takes processors by number, and the cgroup may grant others.
            properties.push((RwPropertyKey::HintEnableCpuPinning, "NO".to_owned()));
            let kept = RwPropertyKey::Other("CPU_RUNTIME_CACHE_CAPACITY".into());
            properties.push((kept, KEPT_PRIMITIVES.to_string()));
        }
        if let Some(folder) = request.compiled {
            properties.push((RwPropertyKey::CacheDir, folder.display().to_string()));
        }
        for (key, value) in properties {
            core.set_property(&device_type, &key, &value).map_err(|error| run_error(&error))?;
        }
    }
    if let Device::Combined(combined) = request.device
        && combined.combination() == Combination::Auto
    {
        // Without this, AUTO runs on the CPU while it loads the device that was asked for.
        let key = RwPropertyKey::Other("ENABLE_STARTUP_FALLBACK".into());
        core.set_property(&DeviceType::Other("AUTO".into()), &key, "NO").map_err(|error| run_error(&error))?;
    }
    Ok(())
}

/// OpenVINO's name of the arithmetic. Quantised weights are multiplied in whatever the device is fastest at.
fn arithmetic(core: &Core, precision: Precision, member: Device) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::F16 => "f16",
        Precision::Bf16 => "bf16",
        Precision::Int8 => {
            let native = device::precisions(core, member);
            match member {
                Device::Cpu if native.contains(&Precision::Bf16) => "bf16",
                Device::Cpu => "f32",
                _ if native.contains(&Precision::F16) => "f16",
                _ => "f32",
            }
        }
    }
}

/// The device that the compiled model really runs on.
fn placed_on(compiled: &CompiledModel, request: &LoadRequest<'_>) -> Result<Device, BackendError> {
    let Device::Combined(combined) = request.device else { return Ok(request.device) };
    if combined.combination() == Combination::Hetero {
        return Ok(request.device);
    }
    let key = PropertyKey::Other("EXECUTION_DEVICES".into());
    let names = compiled.get_property(&key).map_err(|error| run_error(&error))?;
    names.split([',', ' ']).find_map(device::parse).ok_or_else(|| BackendError::Device {
        backend: BackendId::OpenVino,
        device: request.device,
        reason: format!("OpenVINO runs it on `{names}`, which is none of them"),
    })
}

/// A hint is only a hint: what the compiled model says is what it computes in.
fn check_precision(compiled: &CompiledModel, request: &LoadRequest<'_>) -> Result<(), BackendError> {
    let wanted = match request.precision {
        Precision::F32 => "f32",
        Precision::F16 => "f16",
        Precision::Bf16 => "bf16",
        // Quantised weights are in the file; the arithmetic around them is the library's choice.
        Precision::Int8 => return Ok(()),
    };
    match compiled.get_property(&PropertyKey::Rw(RwPropertyKey::HintInferencePrecision)) {
        Ok(actual) if actual != wanted => Err(unsupported(request, request.device)),
        // A combination does not say; its members were asked before.
        Ok(_) | Err(_) => Ok(()),
    }
}
