//! `wisp classify`: the engine in this process, on texts or image files of the command line.

mod input;
mod print;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use wisp_engine::{
    CandidateLabel, ClassifyOptions, ClassifyRequest, ClassifyResponse, Config, DeploymentConfig, Engine, GuestLimits,
    LabelScores, ModelConfig, PlacementReport, RequestTimes,
};

use crate::placement::{ConfigOptions, PlacementOptions};
use crate::progress::Console;
use crate::{Format, GlobalOptions, embed};
pub(crate) use input::Input;

/// Inputs that go through the guest in one request: few enough that large images stay far inside the guest's time limit.
const REQUEST_INPUTS: usize = 8;

/// Guest instances: one that runs, and one on its way out.
const CLASSIFY_INSTANCES: u32 = 2;

/// Labels that are shown of each input.
const TOP_K: u32 = 5;

/// Memory of the built-in guest that decodes images: what its largest picture takes, twice.
const IMAGE_MEMORY_BYTES: usize = 256 << 20;

/// Labels are needed and there are none: wrong usage.
#[derive(Debug, thiserror::Error)]
#[error("no labels to choose from; give --labels A,B,…, or a configuration whose deployment has some")]
pub(crate) struct NoLabels;

/// Classify texts or images with a deployment's guest.
///
/// Without a configuration, texts are compared with the meanings of --labels on all-minilm-l6-v2, and images are taken for birds.
#[derive(Args)]
pub(crate) struct Classify {
    /// Texts; `-` reads lines from standard input.
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// Image files, JPEG or PNG, in place of texts.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "texts")]
    image: Vec<PathBuf>,
    /// Read lines from this file as well.
    #[arg(long, env = "WISP_CLASSIFY_FILE", value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Deployment whose guest classifies.
    #[arg(long, env = "WISP_DEPLOYMENT", value_name = "NAME")]
    deployment: Option<String>,
    /// Labels to choose from, each LABEL or LABEL=WHAT IT MEANS.
    #[arg(long, env = "WISP_LABELS", value_name = "A,B,…", value_delimiter = ',')]
    labels: Vec<String>,
    /// Sentence with one {} for the label, such as "This is about {}."
    #[arg(long, env = "WISP_TEMPLATE", value_name = "SENTENCE")]
    template: Option<String>,
    /// Show so many labels of each input, the best.
    #[arg(long, env = "WISP_TOP_K", value_name = "K", default_value_t = TOP_K, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: u32,
    /// Score each label by itself: several can hold, or none.
    #[arg(long, env = "WISP_MULTI_LABEL", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    multi_label: bool,
    /// Refuse texts that are longer than the model's maximum instead of cutting them.
    #[arg(long, env = "WISP_NO_TRUNCATE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_truncate: bool,
    /// Form of the result.
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    config: ConfigOptions,
    #[command(flatten)]
    placement: PlacementOptions,
}

/// All answers put together.
struct Classifications {
    inputs: Vec<Input>,
    scores: Vec<LabelScores>,
    times: RequestTimes,
    placement: Option<PlacementReport>,
}

impl Classify {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let inputs = input::collect(self.texts.clone(), &self.file, &self.image)?;
        if self.config.config.is_none() && self.image.is_empty() && self.labels.is_empty() {
            return Err(NoLabels.into());
        }
        let store = options.store()?;
        let mut config = match self.config.config {
            Some(_) => self.config.read_and_fetch(&store)?,
            None => builtin(!self.image.is_empty()),
        };
        self.placement.apply(&mut config);
        // Requests follow one another here, and every instance takes address space.
        config.server.limits.inflight_requests = config.server.limits.inflight_requests.min(CLASSIFY_INSTANCES);
        let engine = Engine::start(config, &store, &Console::new())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let classifications = runtime.block_on(self.classify(&engine, inputs))?;
        match self.format {
            Format::Table => print::table(&classifications),
            Format::Json => print::json(&classifications),
        }
    }

    async fn classify(&self, engine: &Engine, inputs: Vec<Input>) -> anyhow::Result<Classifications> {
        let (mut scores, mut times, mut placement) = (Vec::new(), RequestTimes::default(), None);
        let request_inputs = REQUEST_INPUTS.min(engine.limits().texts).max(1);
        for (part, inputs) in inputs.chunks(request_inputs).enumerate() {
            let image_bytes = engine.limits().image_bytes;
            let inputs = inputs.iter().map(|input| input.read(image_bytes)).collect::<anyhow::Result<Vec<_>>>()?;
            let request = ClassifyRequest {
                deployment: self.deployment.clone(),
                options: self.options(),
                ..ClassifyRequest::inputs(inputs)
            };
            let response = engine.classify(request).await;
            let response = response.map_err(|error| error.counted_from(part * request_inputs))?;
            let ClassifyResponse { classifications, times: took, placement: ran, .. } = response;
            scores.extend(classifications);
            times = embed::add(times, took);
            placement = ran;
        }
        Ok(Classifications { inputs, scores, times, placement })
    }

    fn options(&self) -> ClassifyOptions {
        let candidate = |label: &String| match label.split_once('=') {
            Some((label, description)) => {
                CandidateLabel { label: label.trim().to_owned(), description: Some(description.trim().to_owned()) }
            }
            None => CandidateLabel { label: label.trim().to_owned(), description: None },
        };
        ClassifyOptions {
            candidates: self.labels.iter().map(candidate).collect(),
            template: self.template.clone(),
            is_multi_label: self.multi_label,
            top_k: Some(self.top_k),
            truncate: !self.no_truncate,
        }
    }
}

/// What classifies where nothing is configured.
fn builtin(is_image: bool) -> Config {
    let (guest, alias, model) = match is_image {
        true => ("image-classifier", "classifier", "birds-v1"),
        false => ("zero-shot", "encoder", "all-minilm-l6-v2"),
    };
    let mut limits = GuestLimits::default();
    if is_image {
        limits.memory_bytes = IMAGE_MEMORY_BYTES;
    }
    let deployment = DeploymentConfig {
        guest: format!("{}{guest}", wisp_engine::BUILTIN_PREFIX),
        models: BTreeMap::from([(alias.to_owned(), model.into())]),
        limits,
        ..DeploymentConfig::default()
    };
    Config {
        models: BTreeMap::from([(
            model.to_owned(),
            ModelConfig { source: model.to_owned(), ..ModelConfig::default() },
        )]),
        deployments: BTreeMap::from([(guest.to_owned(), deployment)]),
        ..Config::default()
    }
}
