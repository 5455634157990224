//! Where ONNX Runtime put each operator of a graph, read from what it says while it loads.
//!
//! The library moves what a device cannot do to the processor without an error. Its option `session.disable_cpu_ep_fallback`
//! forbids that altogether, and with it nearly every graph with free axes: the CUDA provider itself leaves the arithmetic on
//! shapes (a few integers that the host needs anyway) to the processor. So [`Placements::check_device`] lets exactly such
//! operators pass.

use std::sync::{Arc, Mutex, PoisonError};

use ort::logging::{LogLevel, LoggerFunction};
use ort::session::builder::{BuilderResult, SessionBuilder};

use super::library;

/// The most lines that are kept of one load: graphs in use have a few thousand operators.
const LINE_LIMIT: usize = 200_000;

/// Operators that graphs use to compute shapes, and that the CUDA provider has kernels for. On floating-point values it would
/// therefore have kept them: what is left to the processor is the arithmetic on shapes.
const SHAPE_OPERATORS: [&str; 33] = [
    "Abs",
    "Add",
    "And",
    "Cast",
    "Ceil",
    "Concat",
    "ConstantOfShape",
    "Div",
    "Equal",
    "Expand",
    "Floor",
    "Gather",
    "Greater",
    "Identity",
    "Less",
    "Max",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Range",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "Reshape",
    "Shape",
    "Size",
    "Slice",
    "Squeeze",
    "Sub",
    "Unsqueeze",
    "Where",
];

/// Listens to a session while it loads.
pub(super) struct PlacementLog {
    lines: Arc<Mutex<Option<Vec<String>>>>,
}

/// How many operators each execution provider got, and what is known of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placements {
    providers: Vec<ProviderPlacement>,
}

#[derive(Debug, PartialEq, Eq)]
struct ProviderPlacement {
    provider: String,
    count: usize,
    /// Types of the operators; the library lists them only when there is more than one provider.
    operators: Vec<String>,
}

/// Makes a session that says where its operators run. Its inferences must be told to log less, see `OrtSession`.
#[expect(clippy::result_large_err, reason = "the type is the one that the builder's methods return")]
pub(super) fn listen(builder: SessionBuilder, log: &PlacementLog) -> BuilderResult {
    builder.with_log_level(LogLevel::Verbose)?.with_logger(log.logger())
}

impl PlacementLog {
    pub(super) fn new() -> Self {
        Self { lines: Arc::new(Mutex::new(Some(Vec::new()))) }
    }

    /// A logger for the session: placements are kept until [`PlacementLog::finish`], warnings and errors go to ours.
    fn logger(&self) -> LoggerFunction {
        let lines = Arc::clone(&self.lines);
        Arc::new(move |level, category, id, code, message| match level {
            LogLevel::Verbose | LogLevel::Info => {
                // The location names the function: `…/session_state.cc:1342 VerifyEachNodeIsAssignedToAnEp`.
                if code.contains("VerifyEachNodeIsAssignedToAnEp")
                    && let Some(lines) = lines.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
                    && lines.len() < LINE_LIMIT
                {
                    lines.push(message.to_owned());
                }
            }
            LogLevel::Warning | LogLevel::Error | LogLevel::Fatal => library::log(level, category, id, code, message),
        })
    }

    /// Ends listening.
    pub(super) fn finish(self) -> Placements {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        Placements::parse(&lines.unwrap_or_default())
    }
}

impl Placements {
    /// Reads lines such as ` Node(s) placed on [CPUExecutionProvider]. Number of nodes: 1` and `   Shape (shape_of_ids)`.
    fn parse(lines: &[String]) -> Self {
        let mut providers: Vec<ProviderPlacement> = Vec::new();
        for line in lines {
            if let Some((provider, count)) = header(line) {
                providers.push(ProviderPlacement { provider, count, operators: Vec::new() });
            } else if let Some(last) = providers.last_mut() {
                // One operator a line, or several with commas between: `Scan ()`, `MatMul (a), MatMul (b)`.
                let types = line.split("), ").filter_map(|operator| operator.split_whitespace().next());
                last.operators.extend(types.map(str::to_owned));
            }
        }
        Self { providers }
    }

    /// Whether `provider` runs the graph, but for arithmetic on shapes.
    ///
    /// # Errors
    /// What runs elsewhere; also when the library did not say, because then nobody knows.
    pub(super) fn check_device(&self, provider: &str) -> Result<(), String> {
        let Some(own) = self.providers.iter().find(|placement| placement.provider == provider) else {
            return Err(match self.providers.first() {
                Some(other) => format!("the whole graph ({} operators) would run on {}", other.count, other.provider),
                None => "the library did not say where the operators run; use ONNX Runtime 1.31".to_owned(),
            });
        };
        for other in self.providers.iter().filter(|other| !std::ptr::eq(*other, own)) {
            if other.operators.len() < other.count {
                return Err(format!(
                    "{} operators would run on {}, and it is unknown which",
                    other.count, other.provider
                ));
            }
            let mut heavy: Vec<_> =
                other.operators.iter().map(String::as_str).filter(|name| !SHAPE_OPERATORS.contains(name)).collect();
            heavy.sort_unstable();
            heavy.dedup();
            if !heavy.is_empty() {
                return Err(format!("operators {} would run on {}", heavy.join(", "), other.provider));
            }
        }
        Ok(())
    }

    /// The number of operators on `provider`.
    pub(super) fn count(&self, provider: &str) -> usize {
        self.providers.iter().filter(|placement| placement.provider == provider).map(|placement| placement.count).sum()
    }
}

fn header(line: &str) -> Option<(String, usize)> {
    let (_, rest) = line.split_once(" placed on [")?;
    let (provider, rest) = rest.split_once("]. Number of nodes: ")?;
    Some((provider.to_owned(), rest.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUDA: &str = "CUDAExecutionProvider";

    fn placements(lines: &[&str]) -> Placements {
        Placements::parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_graph_on_the_device_passes() {
        let all = placements(&["Node placements", " All nodes placed on [CUDAExecutionProvider]. Number of nodes: 51"]);
        assert_eq!((all.check_device(CUDA), all.count(CUDA)), (Ok(()), 51));
    }

    #[test]
    fn arithmetic_on_shapes_may_stay_on_the_processor() {
        let mixed = placements(&[
            "Node placements",
            " Node(s) placed on [CPUExecutionProvider]. Number of nodes: 2",
            "   Shape (shape_of_ids)",
            "   Gather (length)",
            " Node(s) placed on [CUDAExecutionProvider]. Number of nodes: 2",
            "   MatMul (query)",
            "   MemcpyToHost (Memcpy)",
        ]);
        assert_eq!(mixed.check_device(CUDA), Ok(()));
    }

    #[test]
    fn an_operator_that_falls_back_is_named() {
        for line in ["   NonMaxSuppression (n), Shape (s)", "   NonMaxSuppression ()"] {
            let count = line.split("), ").count();
            let fallen = placements(&[
                &format!(" Node(s) placed on [CPUExecutionProvider]. Number of nodes: {count}"),
                line,
                " Node(s) placed on [CUDAExecutionProvider]. Number of nodes: 1",
                "   Conv (c)",
            ]);
            let reason = fallen.check_device(CUDA).expect_err("runs on the processor");
            assert_eq!(reason, "operators NonMaxSuppression would run on CPUExecutionProvider");
        }
    }

    #[test]
    fn a_graph_that_is_elsewhere_or_nowhere_fails() {
        let elsewhere = placements(&[" All nodes placed on [CPUExecutionProvider]. Number of nodes: 51"]);
        let reason = elsewhere.check_device(CUDA).expect_err("is on the processor");
        assert_eq!(reason, "the whole graph (51 operators) would run on CPUExecutionProvider");
        assert!(placements(&[]).check_device(CUDA).is_err());
        let unlisted = placements(&[
            " Node(s) placed on [CPUExecutionProvider]. Number of nodes: 3",
            " Node(s) placed on [CUDAExecutionProvider]. Number of nodes: 1",
        ]);
        assert!(unlisted.check_device(CUDA).is_err());
    }
}
