//! Scripts of `wasi_ephemeral_nn`.

use script::samples::{CONTEXT, GRAPH, name, open, record, set_inputs, witx_inference as inference};
use script::{Argument, Step, WITX};

use crate::{Scripts, ZEROS, all};

use Argument::{End, Number, Scratch};

/// Inferences that are right, and such that the model or the grant refuses.
pub(crate) fn inferences() -> Scripts {
    let right = inference("echo", "compute", "get_output");
    let finish = call("fini_single", &[CONTEXT]);
    let settings = [Scratch(256), Number(4), Scratch(300), Number(9), Scratch(4)];
    let poison = [
        Step::Write { offset: 512, bytes: vec![0xee] },
        set_input(Scratch(768)),
        call("compute", &[CONTEXT]),
        Step::Print { offset: 0, length: 4 },
    ];
    vec![
        ("inference", right.clone()),
        ("inference-in-steps", all([&inference("echo", "compute_single", "get_output_single"), &[finish]])),
        ("inference-that-fails", all([&right, &poison])),
        ("rows-beyond-the-grant", inference("few", "compute", "get_output")),
        ("unknown-model", open("nobody")),
        ("model-with-settings", vec![name("echo"), call("load_by_name_with_config", &settings)]),
        ("model-from-memory", {
            let load = call("load", &[Scratch(320), Number(1), Number(1), Number(0), Scratch(4)]);
            let part = [Step::Poke { offset: 320, value: Scratch(256) }, Step::Poke { offset: 324, value: Number(4) }];
            all([&[name("echo")], &part, &[load, call("init_execution_context", &[GRAPH, Scratch(8)])]])
        }),
    ]
}

/// Handles that were given back, and more of them than there may be.
pub(crate) fn handles() -> Scripts {
    let twice = |name, handle| [call(name, &[handle]), call(name, &[handle])];
    let without_end = |steps: &[Step]| all([&[Step::Repeat { steps: steps.len() as u8, times: 250 }], steps]);
    vec![
        ("handles-given-back-twice", {
            let (graph, context) = (twice("unload", GRAPH), twice("finalize_execution_context", CONTEXT));
            all([&open("echo"), &set_inputs(), &graph, &context, &[call("compute", &[CONTEXT])]])
        }),
        ("handles-without-end", without_end(&open("echo"))),
        ("inputs-without-end", {
            let axis = Step::Write { offset: 384, bytes: 200_000_u32.to_le_bytes().to_vec() };
            let wide = record(768, (Scratch(384), 1), 3, (ZEROS, 200_000));
            all([&[axis], &wide, &without_end(&all([&open("echo"), &[set_input(Scratch(768))]]))])
        }),
    ]
}

/// Pointers and lengths that lead out of the memory, into the guest itself, or to tensors that are none.
pub(crate) fn pointers() -> Scripts {
    let input = |shape, ty, data| all([&open("echo"), &record(768, shape, ty, data), &[set_input(Scratch(768))]]);
    let get = |buffer, length, written| call("get_output", &[CONTEXT, Number(0), buffer, Number(length), written]);
    let computed = || all([&open("echo"), &set_inputs(), &[call("compute", &[CONTEXT])]]);
    let (shape, data) = ((Scratch(384), 2), (Scratch(512), 8));
    vec![
        ("parts-of-nothing", vec![call("load", &[ZEROS, Number(16), Number(5), Number(3), Scratch(4)])]),
        ("input-of-all-memory", input(shape, 3, (Number(0), 17 << 16))),
        ("input-beyond-the-memory", input(shape, 3, (Number(8), u32::MAX))),
        ("input-of-another-type", input(shape, 1, data)),
        ("shape-of-many-axes", input((ZEROS, 64), 3, data)),
        ("shape-that-overflows", {
            let axes = Step::Write { offset: 384, bytes: vec![0xff; 8] };
            all([&[axes], &input(shape, 5, data)])
        }),
        ("records-at-the-end", {
            let places = [End(-20), End(-19), End(0), Number(u32::MAX)];
            all([&open("echo"), &places.map(set_input)])
        }),
        // The data of the program, which it reads on.
        ("answer-over-the-guest", all([&computed(), &[get(Number(1 << 20), 8, Scratch(12))]])),
        ("answers-into-too-little", {
            let places = [get(End(-8), 7, Scratch(12)), get(End(-7), 8, Scratch(12)), get(End(-8), 8, End(-3))];
            all([&computed(), &places])
        }),
    ]
}

fn call(name: &str, arguments: &[Argument]) -> Step {
    Step::call(WITX, name, arguments)
}

/// Sets the first input by the record at an address.
fn set_input(record: Argument) -> Step {
    call("set_input", &[CONTEXT, Number(0), record])
}
