//! Scripts of `wasi:nn`.

use script::samples::{compute, construct, list, name, nn_inference};
use script::{Argument, NN, Step};

use crate::{Scripts, ZEROS, all};

use Argument::{End, Held, Number, Scratch};

/// The name of an input, where an inference puts it.
const BYTES: (Argument, u32) = (Scratch(288), 5);
const NUMBERS: (Argument, u32) = (Scratch(304), 7);

/// Inferences that are right, and such that the grant refuses.
pub(crate) fn inferences() -> Scripts {
    vec![
        ("inference", nn_inference("echo")),
        ("inference-of-the-answer", {
            all([&nn_inference("echo"), &list(0, BYTES, Held(12)), &list(1, NUMBERS, Held(15)), &[compute(2)]])
        }),
        ("everything-given-back", {
            let drop = |kind: &str, handle| call(&format!("[resource-drop]{kind}"), &[handle]);
            let tensors = [drop("tensor", Held(12)), drop("tensor", Held(15))];
            all([&nn_inference("echo"), &tensors, &[drop("graph-execution-context", Held(4)), drop("graph", Held(2))]])
        }),
        ("rows-beyond-the-grant", {
            let steps = nn_inference("few");
            let before = steps.split(|step| *step == compute(2)).next().unwrap_or_default();
            all([before, &[compute(2)], &failure()])
        }),
        ("model-from-memory", {
            let part = [Step::Poke { offset: 320, value: Scratch(256) }, Step::Poke { offset: 324, value: Number(4) }];
            let load = call("load", &[Scratch(320), Number(1), Number(1), Number(0), Scratch(4)]);
            all([&[name("echo")], &part, &[load]])
        }),
    ]
}

/// What is refused with an error, and what with a trap.
pub(crate) fn failures() -> Scripts {
    vec![
        ("unknown-model", {
            let read = [call("[method]error.data", &[Held(2), Scratch(64)]), call("[resource-drop]error", &[Held(2)])];
            all([&opened("nobody")[..2], &read])
        }),
        ("tensor-that-does-not-fit", {
            let tensor = construct(32, (Scratch(384), 2), 4, (ZEROS, 7));
            all([&opened("echo"), &tensor, &list(0, BYTES, Held(8)), &[compute(1)], &failure()])
        }),
        ("tensor-read-back", {
            let read = [
                call("[method]tensor.dimensions", &[Held(8), Scratch(64)]),
                call("[method]tensor.ty", &[Held(8)]),
                call("[method]tensor.data", &[Held(8), Scratch(64)]),
                call("[resource-drop]tensor", &[Held(8)]),
                call("[resource-drop]tensor", &[Held(8)]),
            ];
            all([&construct(32, (ZEROS, 5), 0, (ZEROS, 99)), &read])
        }),
        ("list-beyond-the-memory", all([&opened("echo"), &[compute(0), compute(u32::MAX)]])),
        ("handle-of-another-kind", all([&opened("echo"), &[call("[method]tensor.ty", &[Held(2)])]])),
        ("result-at-the-end", vec![name("echo"), call("load-by-name", &[Scratch(256), Number(4), End(-4)])]),
    ]
}

/// Handles, and bytes behind them, without an end.
pub(crate) fn without_end() -> Scripts {
    let repeat = |steps: &[Step]| all([&[Step::Repeat { steps: steps.len() as u8, times: 190 }], steps]);
    vec![
        ("graphs-without-end", repeat(&opened("echo"))),
        ("tensors-without-end", repeat(&construct(32, (ZEROS, 1), 4, (ZEROS, 200_000)))),
        ("shapes-without-end", repeat(&construct(32, (ZEROS, 60_000), 4, (ZEROS, 0)))),
        ("names-without-end", {
            let steps =
                [&construct(32, (ZEROS, 0), 4, (ZEROS, 1))[..], &list(0, (ZEROS, 200_000), Held(8)), &[compute(1)]];
            all([&opened("echo"), &repeat(&all(steps))])
        }),
    ]
}

fn call(name: &str, arguments: &[Argument]) -> Step {
    Step::call(NN, name, arguments)
}

/// Loads a model by its name and makes a context of it.
fn opened(model: &str) -> Vec<Step> {
    nn_inference(model)[..3].to_vec()
}

/// Reads why a computation failed.
fn failure() -> [Step; 2] {
    [call("[method]error.code", &[Held(6)]), call("[method]error.data", &[Held(6), Scratch(64)])]
}
