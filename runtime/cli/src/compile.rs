//! `wisp compile`: machine code of a module, ahead of its first start.
//!
//! In the cache of this user it serves `wisp serve`. From standard input to standard output it is the step that runs
//! untrusted bytes through the compiler in a process of its own, which needs no file, no network and no environment.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use wisp_engine::{AotCache, GuestLimits, HostConfig};

use crate::{Format, GlobalOptions, output, table};

/// Compile a module to machine code.
#[derive(Args)]
pub(crate) struct Compile {
    /// The module; its code goes into the cache.
    #[arg(value_name = "MODULE.wasm", required_unless_present = "stdin", conflicts_with = "stdin")]
    module: Option<PathBuf>,
    /// Read the module from standard input.
    #[arg(long, requires = "stdout")]
    stdin: bool,
    /// Write the code to standard output, for `wisp pod --code`.
    #[arg(long, requires = "stdin")]
    stdout: bool,
    /// The memory that guests may have, limits.memory_bytes of their deployment; code holds up to the next power of two from
    /// 64 MiB on.
    #[arg(long, env = "WISP_MEMORY_BYTES", value_name = "BYTES", default_value_t = GuestLimits::default().memory_bytes, value_parser = memory_bytes)]
    memory_bytes: usize,
    /// Form of the result.
    #[arg(long, env = "WISP_FORMAT", default_value = "table", value_name = "FORMAT")]
    format: Format,
}

/// Addresses of WebAssembly have 32 bits.
const MEMORY_LIMIT_BYTES: u64 = 4 << 30;

fn memory_bytes(text: &str) -> Result<usize, String> {
    let bytes: u64 = text.parse().map_err(|_| "this is no number of bytes".to_owned())?;
    if !(1..=MEMORY_LIMIT_BYTES).contains(&bytes) {
        return Err(format!("it can be 1 to {MEMORY_LIMIT_BYTES}"));
    }
    usize::try_from(bytes).map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct Compiled {
    module: PathBuf,
    module_bytes: usize,
    code: PathBuf,
    code_bytes: u64,
    was_cached: bool,
}

impl Compile {
    pub(crate) fn run(self, options: &GlobalOptions) -> anyhow::Result<()> {
        match &self.module {
            Some(module) => self.compile_into_cache(module, options),
            None => self.through(),
        }
    }

    fn through(&self) -> anyhow::Result<()> {
        let wasm = read(std::io::stdin().lock()).context("standard input")?;
        let code = wisp_engine::compile_guest("standard input", &wasm, self.memory_bytes)?;
        let mut output = std::io::stdout().lock();
        output.write_all(&code).and_then(|()| output.flush()).context("standard output")
    }

    fn compile_into_cache(&self, module: &std::path::Path, options: &GlobalOptions) -> anyhow::Result<()> {
        let name = module.display().to_string();
        let metadata = std::fs::metadata(module).context(name.clone())?;
        ensure!(metadata.is_file(), "{name}: this is no regular file; give a .wasm file");
        let wasm = std::fs::File::open(module).and_then(read).context(name.clone())?;
        let cache = AotCache::at(options.store()?.home().aot());
        let kept = cache.keep(&name, &wasm, self.memory_bytes)?;
        let compiled = Compiled {
            module: module.to_owned(),
            module_bytes: wasm.len(),
            code_bytes: std::fs::metadata(&kept.path).map_or(0, |metadata| metadata.len()),
            code: kept.path,
            was_cached: kept.was_there,
        };
        if self.format == Format::Json {
            output::line(serde_json::to_string(&compiled)?)?;
            return Ok(());
        }
        let mut rows = table::with_header(&["module", "bytes", "code", "bytes", "was there"]);
        rows.add_row([
            name,
            compiled.module_bytes.to_string(),
            compiled.code.display().to_string(),
            compiled.code_bytes.to_string(),
            if compiled.was_cached { "yes" } else { "no" }.to_owned(),
        ]);
        output::line(rows)?;
        Ok(())
    }
}

/// One byte more than is compiled, so that what is too long is refused by name of the limit.
fn read(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut wasm = Vec::new();
    source.take(HostConfig::default().max_module_bytes as u64 + 1).read_to_end(&mut wasm)?;
    Ok(wasm)
}
