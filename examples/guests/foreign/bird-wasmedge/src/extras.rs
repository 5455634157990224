//! The functions that WasmEdge added to the interface, called in the order in which its guests call them.

use anyhow::{Context, Result};
use pictures::{Picture, best};
use wasmedge_wasi_nn::{Error, ExecutionTarget, GraphBuilder, GraphEncoding, GraphExecutionContext};

use crate::{MAX_CLASSES, set_picture};

/// Settings as WasmEdge's guests give them: a JSON object for the backend.
const SETTINGS: &str = r#"{"enable-log": false}"#;

/// Calls every function that only WasmEdge has, and prints `FUNCTION: ok …` or `FUNCTION: ERROR` for each.
///
/// Without graph and context there is nothing to call the others on, so that only failures of these end it.
pub(crate) fn exercise(name: &str, picture: &Picture) -> Result<()> {
    let builder = GraphBuilder::new(GraphEncoding::TensorflowLite, ExecutionTarget::CPU);
    let graph =
        builder.config(SETTINGS.to_owned()).build_from_cache(name).context("load_by_name_with_config failed")?;
    println!("load_by_name_with_config: ok");
    let mut context = graph.init_execution_context().context("init_execution_context failed")?;
    set_picture(&mut context, picture).context("set_input failed")?;

    report("compute_single", context.compute_single());
    report_output("get_output_single", &context);
    report("fini_single", context.fini_single());
    report_output("get_output_single after fini_single", &context);
    report("unload", graph.unload());
    report("init_execution_context after unload", graph.init_execution_context().map(drop));
    report("unload again", graph.unload());
    Ok(())
}

fn report(what: &str, result: Result<(), Error>) {
    match result {
        Ok(()) => println!("{what}: ok"),
        Err(error) => println!("{what}: {error}"),
    }
}

/// Reads the output and shows its length and its best class.
fn report_output(what: &str, context: &GraphExecutionContext) {
    let mut scores = vec![0_u8; MAX_CLASSES];
    match context.get_output_single(0, &mut scores) {
        Ok(size_bytes) => {
            scores.truncate(size_bytes);
            let best = best(&scores, 1).first().map(|(index, score)| format!(", best {index} {score}"));
            println!("{what}: ok {size_bytes} bytes{}", best.unwrap_or_default());
        }
        Err(error) => println!("{what}: {error}"),
    }
}
