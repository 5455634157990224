//! `[telemetry]`: where traces go, and how many of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Attributes of the resource.
const RESOURCE_LIMIT: usize = 64;

/// Characters of a name or a value in it.
const TEXT_LIMIT_CHARS: usize = 256;

/// Spans that may wait.
const QUEUED_SPANS: std::ops::RangeInclusive<usize> = 512..=1_000_000;

/// `[telemetry]`: traces in OpenTelemetry's protocol. Figures and logs need no configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The collector, as a URL that OTLP over gRPC goes to, such as `http://collector:4317`; without one there are no traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,
    /// Certificates in PEM that an https collector must be signed by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Share of traces that are recorded, 0 to 1, where the caller has not decided.
    pub sample_ratio: f64,
    /// Whether a caller's own decision, in `traceparent`, is followed.
    pub parent_based: bool,
    /// What the service is called in traces.
    pub service_name: String,
    /// Spans that may wait to be sent; more are dropped, and counted. Each takes about a kilobyte.
    pub queued_spans: usize,
    /// What else is known of the service, such as `deployment.environment.name = "production"`.
    pub resource: BTreeMap<String, String>,
}

impl Default for TelemetryConfig {
    /// No traces; all of them, as callers decide, once there is a collector.
    fn default() -> Self {
        Self {
            otlp: None,
            ca_file: None,
            sample_ratio: 1.0,
            parent_based: true,
            service_name: "wisp".to_owned(),
            queued_spans: 2048,
            resource: BTreeMap::new(),
        }
    }
}

impl TelemetryConfig {
    /// Puts what OpenTelemetry's own environment variables say over it, as they do with every service.
    /// Source: OpenTelemetry specification, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter".
    ///
    /// # Errors
    /// One line that names the variable and what it may be.
    pub fn with_environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        // What is empty counts as unset, by the specification.
        let variable = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let first = |names: [&str; 2]| names.into_iter().find_map(&variable);
        if let Some(endpoint) = first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]) {
            self.otlp = Some(endpoint);
        }
        if let Some(file) = first(["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]) {
            self.ca_file = Some(file.into());
        }
        if let Some(text) = variable("OTEL_RESOURCE_ATTRIBUTES") {
            self.resource.extend(attributes(&text)?);
        }
        // A name of its own counts more than the attribute.
        self.service_name = self.resource.remove("service.name").unwrap_or(self.service_name);
        self.service_name = variable("OTEL_SERVICE_NAME").unwrap_or(self.service_name);
        if let Some(sampler) = variable("OTEL_TRACES_SAMPLER") {
            let argument = variable("OTEL_TRACES_SAMPLER_ARG");
            (self.sample_ratio, self.parent_based) = sampled(&sampler, argument.as_deref())?;
        }
        let is_true = |name| variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let is_none = variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
        if is_true("OTEL_SDK_DISABLED") || is_none {
            self.otlp = None;
        }
        match self.wrong().into_iter().next() {
            Some(message) => Err(format!("the environment (OTEL_…): {message}")),
            None => Ok(self),
        }
    }

    /// Files are looked for beside the configuration.
    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        self.ca_file = self.ca_file.map(|file| folder.join(file));
        self
    }

    /// What is wrong with it, one message a key.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(endpoint) = &self.otlp {
            wrong.extend(endpoint_problem(endpoint, self.ca_file.is_some()));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            wrong.push(format!("telemetry.sample_ratio is {}; it can be 0 to 1", self.sample_ratio));
        }
        if !QUEUED_SPANS.contains(&self.queued_spans) {
            let (least, most) = QUEUED_SPANS.into_inner();
            wrong.push(format!("telemetry.queued_spans is {}; it can be {least} to {most}", self.queued_spans));
        }
        let is_text = |text: &str| !text.is_empty() && text.chars().count() <= TEXT_LIMIT_CHARS;
        if !is_text(&self.service_name) {
            wrong.push(format!("telemetry.service_name must have 1 to {TEXT_LIMIT_CHARS} characters"));
        }
        if self.resource.len() > RESOURCE_LIMIT {
            wrong.push(format!(
                "telemetry.resource has {} attributes; at most {RESOURCE_LIMIT} are taken",
                self.resource.len()
            ));
        }
        if self.resource.contains_key("service.name") {
            wrong.push("telemetry.resource has service.name; write it as telemetry.service_name".to_owned());
        }
        for (name, value) in &self.resource {
            if !is_text(name) || value.chars().count() > TEXT_LIMIT_CHARS {
                let message =
                    format!("telemetry.resource: `{name}` or its value is longer than {TEXT_LIMIT_CHARS} characters");
                wrong.push(message);
            }
        }
        wrong
    }
}

fn endpoint_problem(endpoint: &str, has_ca: bool) -> Option<String> {
    let example = "such as http://127.0.0.1:4317";
    let uri: http::Uri = match endpoint.parse() {
        Ok(uri) => uri,
        Err(error) => return Some(format!("telemetry.otlp `{endpoint}` is no URL ({error}); write one {example}")),
    };
    match uri.scheme_str() {
        Some("http") if uri.host().is_some() => None,
        Some("https") if uri.host().is_some() && has_ca => None,
        Some("https") => Some("telemetry.otlp is https; name its certificates with telemetry.ca_file".to_owned()),
        _ => Some(format!("telemetry.otlp `{endpoint}` has no http:// or https:// with a host; write one {example}")),
    }
}

/// `key=value,key=value`, percent-encoded.
fn attributes(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let read = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            format!("OTEL_RESOURCE_ATTRIBUTES: `{pair}` is no attribute; write name=value, with commas in between")
        })?;
        Ok((decoded(name.trim()), decoded(value.trim())))
    };
    pairs.map(read).collect()
}

/// Percent-encoded text; what is not encoded as it should be stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let (byte, after) = match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => (byte, &after[2..]),
            None => (first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The samplers of the specification: their ratio, and whether callers decide first.
fn sampled(sampler: &str, argument: Option<&str>) -> Result<(f64, bool), String> {
    let ratio = || match argument.map(str::parse::<f64>) {
        None => Ok(1.0),
        Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        Some(_) => Err(format!("OTEL_TRACES_SAMPLER_ARG `{}` is no ratio; write 0 to 1", argument.unwrap_or_default())),
    };
    match sampler {
        "always_on" => Ok((1.0, false)),
        "always_off" => Ok((0.0, false)),
        "traceidratio" => Ok((ratio()?, false)),
        "parentbased_always_on" => Ok((1.0, true)),
        "parentbased_always_off" => Ok((0.0, true)),
        "parentbased_traceidratio" => Ok((ratio()?, true)),
        other => Err(format!(
            "OTEL_TRACES_SAMPLER `{other}` is not known; use always_on, always_off, traceidratio, parentbased_always_on, \
             parentbased_always_off or parentbased_traceidratio"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<TelemetryConfig, String> {
        let found =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        TelemetryConfig::default().with_environment(found)
    }

    #[test]
    fn without_variables_nothing_changes_and_empty_ones_are_unset() {
        assert_eq!(with(&[]), Ok(TelemetryConfig::default()));
        assert_eq!(with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " "), ("OTEL_TRACES_SAMPLER", "")]), with(&[]));
    }

    #[test]
    fn the_variables_of_open_telemetry_are_read_as_it_specifies_them() {
        let config = with(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-attributes, k8s.pod.name=a%2Cb"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ])
        .expect("valid");
        assert_eq!(config.otlp.as_deref(), Some("http://traces:4317"));
        assert_eq!((config.service_name.as_str(), config.sample_ratio), ("from-attributes", 0.25));
        assert!(!config.parent_based);
        assert_eq!(config.resource, BTreeMap::from([("k8s.pod.name".to_owned(), "a,b".to_owned())]));
        let named = with(&[("OTEL_SERVICE_NAME", "own"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other")]);
        assert_eq!(named.expect("valid").service_name, "own");
        let off = with(&[("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317")]);
        assert_eq!(off.expect("valid").otlp, None);
    }

    #[test]
    fn mistakes_name_the_variable_and_the_remedy() {
        for (variables, expected) in [
            (
                &[("OTEL_TRACES_SAMPLER", "sometimes")][..],
                "OTEL_TRACES_SAMPLER `sometimes` is not known; use always_on",
            ),
            (
                &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")],
                "OTEL_TRACES_SAMPLER_ARG `2`",
            ),
            (&[("OTEL_RESOURCE_ATTRIBUTES", "nonsense")], "`nonsense` is no attribute; write name=value"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")], "has no http:// or https://"),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4317")], "name its certificates with telemetry.ca_file"),
        ] {
            let error = with(variables).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
