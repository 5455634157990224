//! `wisp models inspect`.

use clap::Args;
use wisp_core::TensorSpec;
use wisp_engine::Outcome;
use wisp_model_store::{FileState, Model, Store};

use crate::{output, table};

/// Show what a manifest says, and what is here of the model.
#[derive(Args)]
pub(crate) struct Inspect {
    /// A built-in model, or a folder with a model.toml.
    #[arg(value_name = "MODEL")]
    model: String,
}

impl Inspect {
    pub(crate) fn run(self, store: &Store) -> anyhow::Result<()> {
        let model = store.open(&self.model)?;
        let manifest = &model.manifest;
        output::line(format_args!(
            "{} {} ({}): {}",
            manifest.name, manifest.version, manifest.license, manifest.description
        ))?;
        output::line(format_args!("digest {}", model.digest()))?;
        print_specs("inputs", &manifest.signature.inputs)?;
        print_specs("outputs", &manifest.signature.outputs)?;
        if let Some(tokenizer) = &manifest.tokenizer {
            output::line(format_args!("tokenizer {}, at most {} tokens", tokenizer.file, tokenizer.max_tokens))?;
        }
        if let Some(embedding) = &manifest.embedding {
            output::line(format_args!(
                "embeddings of {} dimensions, pooling {:?}",
                embedding.dimensions, embedding.pooling
            ))?;
        }
        print_golden(&model)?;
        print_files(store, &model)?;
        print_proofs(store, &model)?;
        Ok(())
    }
}

/// What was proven on this machine so far, by any start or verification.
fn print_proofs(store: &Store, model: &Model) -> std::io::Result<()> {
    let digest = model.digest().to_string();
    let mut records = wisp_engine::proofs(store);
    records.retain(|record| record.model_digest == digest);
    if records.is_empty() {
        return output::line("nothing is proven here yet; the first start does, or `wisp models verify`");
    }
    records.sort_by_key(|record| (record.placement, record.precision, record.file.clone()));
    let mut rows =
        table::with_header(&["placement", "precision", "library", "file", "golden", "rows", "padding", "speed"]);
    for record in records {
        let (golden, batching, speed) = match record.outcome {
            Outcome::Proven(proof) => (
                proof.golden.map_or("–".to_owned(), |golden| format!("{:.7}", golden.min_cosine)),
                [proof.batching.rows.to_string(), proof.batching.padding.to_string()],
                proof.speed.map_or("–".to_owned(), |speed| speed.to_string()),
            ),
            Outcome::Refused { reason } => {
                (format!("refused: {reason}"), ["–".to_owned(), "–".to_owned()], "–".to_owned())
            }
        };
        let [in_rows, in_padding] = batching;
        rows.add_row([
            record.placement.to_string(),
            record.precision.to_string(),
            record.library_version,
            record.file,
            golden,
            in_rows,
            in_padding,
            speed,
        ]);
    }
    output::line(rows)
}

fn print_specs(what: &str, specs: &[TensorSpec]) -> std::io::Result<()> {
    let described: Vec<_> =
        specs.iter().map(|spec| format!("{} {} {}", spec.name, spec.data_type, spec.shape_text())).collect();
    output::line(format_args!("{what} {}", described.join(", ")))
}

fn print_golden(model: &Model) -> anyhow::Result<()> {
    let Some(golden) = model.golden()? else {
        output::line(format_args!("no golden vectors: runs in f32 and unbatched only"))?;
        return Ok(());
    };
    let tolerances: Vec<_> = wisp_core::Precision::ALL
        .into_iter()
        .filter_map(|precision| Some((precision, golden.tolerance(precision)?)))
        .map(|(precision, tolerance)| format!("{precision} ≥ {}", tolerance.min_cosine))
        .collect();
    output::line(format_args!("{} golden vectors, cosine {}", golden.texts.len(), tolerances.join(", ")))?;
    Ok(())
}

fn print_files(store: &Store, model: &Model) -> std::io::Result<()> {
    let mut rows = table::with_header(&["file", "bytes", "here", "sha256"]);
    for (check, file) in store.installed(model).into_iter().zip(&model.manifest.files) {
        let state = match check.state {
            FileState::Missing => "no".to_owned(),
            FileState::Unchecked => "yes, not verified".to_owned(),
            FileState::Verified => "verified".to_owned(),
            FileState::Differs(difference) => difference.to_string(),
            FileState::Unreadable(reason) => reason,
        };
        rows.add_row([check.path, check.size_bytes.to_string(), state, file.sha256.to_string()]);
    }
    output::line(rows)
}
