//! Handles that nobody gave out, that were given back, and more of them than anyone needs.

use crate::Mode;
use crate::host::{self, Errno, Handle};
use crate::setting;

/// A handle that a host gives out last.
const UNKNOWN: Handle = 4_000_000_000;

/// When a host without a limit is told apart from one with a high limit.
const ENOUGH: u32 = 1 << 20;

pub(crate) const MODES: &[(&str, Mode)] = &[
    ("unknown-graph", |_| Ok(init(UNKNOWN))),
    ("unknown-context", |_| Ok(host::compute(UNKNOWN))),
    ("unknown-context-input", |_| Ok(setting::set_picture(UNKNOWN, 0))),
    ("unknown-context-output", |_| {
        let (mut buffer, mut written) = ([0_u8; 64], 0_u32);
        Ok(host::get_output(UNKNOWN, 0, host::address_mut(&mut buffer), 64, host::address_of(&mut written)))
    }),
    ("unknown-unload", |_| Ok(host::unload(UNKNOWN))),
    ("unknown-finalize", |_| Ok(host::finalize_execution_context(UNKNOWN))),
    ("double-unload", |name| {
        let graph = setting::graph(name)?;
        setting::right("unload", host::unload(graph))?;
        Ok(host::unload(graph))
    }),
    ("context-after-unload", |name| {
        let graph = setting::graph(name)?;
        setting::right("unload", host::unload(graph))?;
        Ok(init(graph))
    }),
    ("double-finalize", |name| {
        let context = setting::context(name)?;
        setting::right("finalize_execution_context", host::finalize_execution_context(context))?;
        Ok(host::finalize_execution_context(context))
    }),
    ("compute-after-finalize", |name| {
        let context = setting::context(name)?;
        setting::right("finalize_execution_context", host::finalize_execution_context(context))?;
        Ok(host::compute(context))
    }),
    ("graphs-without-end", |name| {
        Ok(without_end(|_| setting::graph(name).map_or_else(|unready| unready.errno, |_| 0)))
    }),
    ("contexts-without-end", |name| {
        let graph = setting::graph(name)?;
        Ok(without_end(|_| init(graph)))
    }),
    // Each holds a picture in the host.
    ("inputs-without-end", |name| {
        let context = setting::context(name)?;
        Ok(without_end(|index| setting::set_picture(context, index)))
    }),
    ("contexts-with-inputs-without-end", |name| {
        let graph = setting::graph(name)?;
        Ok(without_end(|_| match setting::context_of(graph) {
            Ok(context) => setting::set_picture(context, 0),
            Err(unready) => unready.errno,
        }))
    }),
];

/// Asks until the host refuses, prints `got N` for the times that it did not, and returns the refusal.
fn without_end(mut ask: impl FnMut(u32) -> Errno) -> Errno {
    let refused = (0..ENOUGH).map(|count| (count, ask(count))).find(|(_, errno)| *errno != 0);
    let (got, errno) = refused.unwrap_or((ENOUGH, 0));
    println!("got {got}");
    errno
}

fn init(graph: Handle) -> Errno {
    let mut context = Handle::MAX;
    host::init_execution_context(graph, host::address_of(&mut context))
}
