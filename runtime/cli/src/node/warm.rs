//! `wisp node warm`: what is done once for a node, so that its pods need not.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use wisp_core::Placement;
use wisp_engine::{ModelConfig, PrecisionChoice};
use wisp_model_store::{Access, Home, Store};

use crate::progress::Console;
use crate::{Format, GlobalOptions, output, table};

/// Modes of the node's cache: pods of every user read it, and root alone writes.
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// The most threads that are prepared for.
const THREADS_LIMIT: usize = 1024;

/// Options of `wisp node warm`.
#[derive(Args)]
pub(crate) struct Warm {
    /// The node's cache; run this as the user that owns it, root.
    #[arg(long, env = "WISP_NODE_CACHE", value_name = "FOLDER")]
    node_cache: PathBuf,
    /// A model: its folder, or the name of one that is built in.
    #[arg(long, required = true, value_name = "MODEL")]
    model: Vec<String>,
    /// Where it will run, BACKEND:DEVICE; without any, the first of openvino:cpu, ort:cpu and candle:cpu that works.
    #[arg(long, value_name = "PLACEMENT")]
    placement: Vec<Placement>,
    /// The precision that pods ask for.
    #[arg(long, default_value = "auto", value_name = "PRECISION")]
    precision: PrecisionChoice,
    /// Threads that pods will have; by default powers of two up to the processors here, and those.
    #[arg(long, value_delimiter = ',', value_name = "COUNT")]
    threads: Vec<usize>,
    /// Form of the result.
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: Format,
}

#[derive(Serialize)]
struct Row {
    model: String,
    placement: String,
    precision: String,
    threads: usize,
    took_ms: u128,
}

impl Warm {
    pub(super) fn run(self, options: &GlobalOptions) -> Result<()> {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if self.threads.is_empty() { usual_threads(processors) } else { self.threads.clone() };
        let are_possible = threads.iter().all(|threads| (1..=THREADS_LIMIT).contains(threads));
        ensure!(are_possible, "--threads can be 1 to {THREADS_LIMIT}");
        std::fs::create_dir_all(&self.node_cache).with_context(|| self.node_cache.display().to_string())?;
        let access = if options.offline { Access::Offline } else { Access::Online };
        let store = Store::new(Home::at(&self.node_cache), access);
        let mut rows = Vec::new();
        for (source, placement) in self.model.iter().flat_map(|model| self.placements().map(move |at| (model, at))) {
            let config =
                ModelConfig { source: source.clone(), placement, precision: self.precision, ..Default::default() };
            for &threads in &threads {
                let begun_at = std::time::Instant::now();
                let warmed = wisp_engine::warm_model(&config, threads, &store, &Console::new())?;
                rows.push(Row {
                    model: warmed.model,
                    placement: warmed.placement.to_string(),
                    precision: warmed.precision.to_string(),
                    threads,
                    took_ms: begun_at.elapsed().as_millis(),
                });
            }
        }
        open_to_read(&self.node_cache)?;
        show(&rows, self.format)
    }

    /// One list of placements after the other: of each, the first that works is prepared.
    fn placements(&self) -> impl Iterator<Item = Vec<Placement>> {
        let defaults = self.placement.is_empty().then(|| ModelConfig::default().placement);
        defaults.into_iter().chain(self.placement.iter().map(|&placement| vec![placement]))
    }
}

fn show(rows: &[Row], format: Format) -> Result<()> {
    if format == Format::Json {
        output::line(serde_json::to_string(rows)?)?;
        return Ok(());
    }
    let mut shown = table::with_header(&["model", "placement", "precision", "threads", "milliseconds"]);
    for row in rows {
        let Row { model, placement, precision, threads, took_ms } = row;
        shown.add_row([model.clone(), placement.clone(), precision.clone(), threads.to_string(), took_ms.to_string()]);
    }
    output::line(shown)?;
    Ok(())
}

/// 1, 2, 4 and so on, and all of them.
fn usual_threads(processors: usize) -> Vec<usize> {
    let mut threads: Vec<_> = std::iter::successors(Some(1_usize), |count| count.checked_mul(2))
        .take_while(|&count| count < processors)
        .collect();
    threads.push(processors);
    threads
}

/// Lets pods of every user read what was written with whatever mask this process has.
fn open_to_read(folder: &Path) -> Result<()> {
    let shown = || format!("cannot open {} to pods", folder.display());
    for entry in std::fs::read_dir(folder).with_context(shown)? {
        let (path, kind) = {
            let entry = entry.with_context(shown)?;
            (entry.path(), entry.file_type().with_context(shown)?)
        };
        if kind.is_dir() {
            open_to_read(&path)?;
        } else if kind.is_file() {
            std::fs::set_permissions(&path, Permissions::from_mode(FILE_MODE)).with_context(shown)?;
        }
    }
    std::fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)).with_context(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_threads_are_powers_of_two_and_all_processors() {
        assert_eq!(usual_threads(1), [1]);
        assert_eq!(usual_threads(2), [1, 2]);
        assert_eq!(usual_threads(12), [1, 2, 4, 8, 12]);
    }

    #[test]
    fn a_cache_is_open_to_read_and_closed_to_write() {
        let cache = tempfile::tempdir().expect("temporary folder");
        let (folder, file) = (cache.path().join("proofs"), cache.path().join("proofs/a.json"));
        std::fs::create_dir(&folder).expect("new folder");
        std::fs::write(&file, "{}").expect("writable");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("our file");
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("our folder");
        open_to_read(cache.path()).expect("ours");
        let mode = |path: &Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode(cache.path()), mode(&folder), mode(&file)), (0o755, 0o755, 0o644));
    }
}
