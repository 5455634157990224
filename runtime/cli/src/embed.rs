//! `wisp embed`: the engine in this process, on texts of the command line.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use serde::Serialize;
use wisp_core::Tensor;
use wisp_engine::{EmbedRequest, EmbedResponse, Engine, PlacementReport, RequestTimes};
use wisp_model_store::write_npy;

use crate::placement::{ConfigOptions, PlacementOptions};
use crate::progress::Console;
use crate::{GlobalOptions, neighbours, output, table, texts};

/// Texts that go through the guest in one request: few enough that long ones stay far inside the guest's time limit.
const REQUEST_TEXTS: usize = 32;

/// Guest instances: one that runs, and one on its way out.
const EMBED_INSTANCES: u32 = 2;

/// Embed texts with a deployment's guest, and show each text's nearest neighbour.
#[derive(Args)]
pub(crate) struct Embed {
    /// Texts; `-` reads lines from standard input.
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// Read lines from this file as well.
    #[arg(long, env = "WISP_EMBED_FILE", value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Deployment whose guest embeds.
    #[arg(long, env = "WISP_DEPLOYMENT", value_name = "NAME")]
    deployment: Option<String>,
    /// Form of the result; npy is float32 [texts, dimensions].
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: EmbedFormat,
    /// Keep only the first so many dimensions.
    #[arg(long, env = "WISP_DIMENSIONS", value_name = "N")]
    dimensions: Option<u32>,
    /// Leave vectors as long as the model makes them.
    #[arg(long, env = "WISP_NO_NORMALIZE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_normalize: bool,
    /// Refuse texts that are longer than the model's maximum instead of cutting them.
    #[arg(long, env = "WISP_NO_TRUNCATE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_truncate: bool,
    #[command(flatten)]
    config: ConfigOptions,
    #[command(flatten)]
    placement: PlacementOptions,
}

/// Form of embeddings.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EmbedFormat {
    Table,
    Json,
    Npy,
}

/// All answers put together.
struct Embeddings {
    texts: Vec<String>,
    vectors: Vec<Vec<f32>>,
    token_counts: Vec<u32>,
    times: RequestTimes,
    placement: Option<PlacementReport>,
}

impl Embed {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        let format = self.format;
        if format == EmbedFormat::Npy && std::io::stdout().is_terminal() {
            bail!("--format npy writes binary; redirect it to a file");
        }
        let texts = texts::collect(self.texts.clone(), &self.file)?;
        let store = options.store()?;
        let mut config = self.config.read_and_fetch(&store)?;
        self.placement.apply(&mut config);
        // Requests follow one another here, and every instance takes address space.
        config.server.limits.inflight_requests = config.server.limits.inflight_requests.min(EMBED_INSTANCES);
        let engine = Engine::start(config, &store, &Console::new())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let embeddings = runtime.block_on(self.embed(&engine, texts))?;
        match format {
            EmbedFormat::Table => print_table(&embeddings),
            EmbedFormat::Json => print_json(&embeddings),
            EmbedFormat::Npy => print_npy(&embeddings),
        }
    }

    async fn embed(&self, engine: &Engine, texts: Vec<String>) -> anyhow::Result<Embeddings> {
        let mut all = Embeddings {
            texts,
            vectors: Vec::new(),
            token_counts: Vec::new(),
            times: RequestTimes::default(),
            placement: None,
        };
        let request_texts = REQUEST_TEXTS.min(engine.limits().texts).max(1);
        for (part, texts) in all.texts.chunks(request_texts).enumerate() {
            let mut request = EmbedRequest::texts(texts);
            request.deployment.clone_from(&self.deployment);
            request.options.dimensions = self.dimensions;
            request.options.normalize = !self.no_normalize;
            request.options.truncate = !self.no_truncate;
            let response = engine.embed(request).await;
            let response = response.map_err(|error| error.counted_from(part * request_texts))?;
            all.vectors.extend(response.vectors().map(<[f32]>::to_vec));
            let EmbedResponse { token_counts, times, placement, .. } = response;
            all.token_counts.extend(token_counts);
            all.times = add(all.times, times);
            all.placement = placement;
        }
        Ok(all)
    }
}

/// The times of two requests that followed each other.
pub(crate) fn add(a: RequestTimes, b: RequestTimes) -> RequestTimes {
    RequestTimes {
        queue: a.queue + b.queue,
        tokenize: a.tokenize + b.tokenize,
        guest: a.guest + b.guest,
        gather: a.gather + b.gather,
        infer: a.infer + b.infer,
        total: a.total + b.total,
    }
}

fn print_table(embeddings: &Embeddings) -> anyhow::Result<()> {
    let mut rows = table::with_header(&["text", "tokens", "vector", "nearest neighbour", "cosine"]);
    let nearest = neighbours::nearest(&embeddings.vectors);
    for (index, text) in embeddings.texts.iter().enumerate() {
        let vector = &embeddings.vectors[index];
        let head: Vec<_> = vector.iter().take(3).map(|value| format!("{value:+.3}")).collect();
        let (neighbour, cosine) = match nearest[index] {
            Some((other, cosine)) => (table::shorten(&embeddings.texts[other], 48), format!("{cosine:.3}")),
            None => ("–".to_owned(), "–".to_owned()),
        };
        let tokens = embeddings.token_counts[index].to_string();
        rows.add_row([table::shorten(text, 48), tokens, format!("{} …", head.join(" ")), neighbour, cosine]);
    }
    output::line(rows)?;
    let dimensions = embeddings.vectors.first().map_or(0, Vec::len);
    let placement = embeddings.placement.as_ref().map_or("no model".to_owned(), |report| {
        format!("{} on {}, {}", report.model, report.placement, report.precision)
    });
    output::line(format_args!("{dimensions} dimensions, {placement}"))?;
    let stage = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
    let times = &embeddings.times;
    output::line(format_args!(
        "milliseconds: tokenize {}, guest {}, queue {}, infer {}, total {}",
        stage(times.tokenize),
        stage(times.guest),
        stage(times.queue),
        stage(times.infer),
        stage(times.total)
    ))?;
    Ok(())
}

#[derive(Serialize)]
struct JsonEmbeddings<'a> {
    model: Option<&'a str>,
    backend: Option<String>,
    device: Option<String>,
    precision: Option<String>,
    embeddings: Vec<JsonEmbedding<'a>>,
}

#[derive(Serialize)]
struct JsonEmbedding<'a> {
    text: &'a str,
    tokens: u32,
    values: &'a [f32],
}

fn print_json(embeddings: &Embeddings) -> anyhow::Result<()> {
    let placement = embeddings.placement.as_ref();
    let rows = embeddings.texts.iter().zip(&embeddings.token_counts).zip(&embeddings.vectors);
    let json = JsonEmbeddings {
        model: placement.map(|report| &*report.model),
        backend: placement.map(|report| report.placement.backend.to_string()),
        device: placement.map(|report| report.placement.device.to_string()),
        precision: placement.map(|report| report.precision.to_string()),
        embeddings: rows.map(|((text, &tokens), values)| JsonEmbedding { text, tokens, values }).collect(),
    };
    output::line(serde_json::to_string(&json)?)?;
    Ok(())
}

fn print_npy(embeddings: &Embeddings) -> anyhow::Result<()> {
    let columns = embeddings.vectors.first().map_or(0, Vec::len);
    let mut writer = std::io::BufWriter::new(std::io::stdout().lock());
    let matrix = Tensor::from_slice(&[embeddings.vectors.len(), columns], &embeddings.vectors.concat())?;
    write_npy(&mut writer, &matrix)?;
    writer.flush()?;
    Ok(())
}
