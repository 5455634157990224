//! Which trace a request belongs to, as its headers say. Source: W3C Trace Context, `traceparent` and `tracestate`.

use std::str::FromStr;

use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::TraceState;
use wisp_engine::observe::SpanIds;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The header of an answer that says which span it came out of. Source: W3C Trace Context Level 2, `traceresponse`.
pub(super) const TRACERESPONSE: &str = "traceresponse";

/// Characters of a `tracestate` that are read; longer ones may be dropped by the specification.
const TRACESTATE_LIMIT_BYTES: usize = 512;

/// The span that a request was sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) ids: SpanIds,
    pub(super) is_sampled: bool,
}

/// The sender's span; `None` where there is none, or what is said of it makes no sense. Allocates nothing.
pub(super) fn parent(headers: &HeaderMap) -> Option<Parent> {
    parse(headers.get(TRACEPARENT)?.to_str().ok()?.trim())
}

fn parse(text: &str) -> Option<Parent> {
    let mut fields = text.split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let version = hex(version, 2)?;
    // The first version has four fields; later ones may have more, and begin with these.
    if version == 0xff || version == 0 && fields.next().is_some() {
        return None;
    }
    let (trace, span, flags) = (hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?);
    let span = u64::try_from(span).ok()?;
    let is_valid = trace != 0 && span != 0;
    is_valid.then_some(Parent { ids: SpanIds { trace, span }, is_sampled: flags & 1 == 1 })
}

/// A number of exactly so many hexadecimal digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_hex) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// What other services say of the trace; passed on, never looked at.
pub(super) fn trace_state(headers: &HeaderMap) -> TraceState {
    let text = headers.get(TRACESTATE).and_then(|state| state.to_str().ok());
    let text = text.filter(|text| text.len() <= TRACESTATE_LIMIT_BYTES);
    text.and_then(|text| TraceState::from_str(text).ok()).unwrap_or_default()
}

/// A span that is sampled, as a header's value.
pub(super) fn header(ids: SpanIds) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("00-{:032x}-{:016x}-01", ids.trace, ids.span)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let parent = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("is valid");
        let ids = SpanIds { trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0x00f0_67aa_0ba9_02b7 };
        assert_eq!(parent, Parent { ids, is_sampled: true });
        assert_eq!(header(ids).expect("is text"), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let not_sampled = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").expect("is valid");
        assert!(!not_sampled.is_sampled);
        assert!(parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later").is_some(), "later versions");
    }

    #[test]
    fn what_is_not_as_specified_is_no_parent() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
