//! The headers in which text-embeddings-inference says where the time went.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use wisp_engine::{PlacementReport, RequestTimes};

/// What is said of a request that was computed.
pub(super) struct Timed<'a> {
    /// Where the time went.
    pub(super) times: &'a RequestTimes,
    /// What ran.
    pub(super) placement: Option<&'a PlacementReport>,
    /// Characters of its texts.
    pub(super) characters: usize,
    /// Tokens that took part.
    pub(super) tokens: u64,
}

impl Timed<'_> {
    /// The headers. Times are milliseconds with three decimals: small models answer in less than one.
    pub(super) fn headers(&self) -> HeaderMap {
        let times = self.times;
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: String| {
            // Names of devices and numbers are visible ASCII.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        if let Some(report) = self.placement {
            add("x-compute-type", report.placement.device.to_string());
        }
        add("x-compute-time", milliseconds(times.guest + times.gather + times.infer));
        add("x-compute-characters", self.characters.to_string());
        add("x-compute-tokens", self.tokens.to_string());
        add("x-total-time", milliseconds(times.total));
        add("x-tokenization-time", milliseconds(times.tokenize));
        add("x-queue-time", milliseconds(times.queue));
        add("x-inference-time", milliseconds(times.infer));
        headers
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds() {
        let times = RequestTimes {
            queue: Duration::from_micros(7),
            infer: Duration::from_micros(1500),
            total: Duration::from_micros(2001),
            ..RequestTimes::default()
        };
        let headers = Timed { times: &times, placement: None, characters: 3, tokens: 5 }.headers();
        for (name, value) in [
            ("x-queue-time", "0.007"),
            ("x-inference-time", "1.500"),
            ("x-total-time", "2.001"),
            ("x-compute-characters", "3"),
            ("x-compute-tokens", "5"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
        assert!(!headers.contains_key("x-compute-type"));
    }
}
