//! A stream as a flag writes it: `name=bulk,clients=8,mix=long,texts=64,priority=bulk`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::answer::Lane;
use crate::load::{Arrivals, CLIENTS_LIMIT, Load, RATE_LIMIT};
use crate::mix::Mix;

/// Most texts of one request: what servers take by default.
pub const REQUEST_TEXTS_LIMIT: usize = 4096;

/// A stream of requests that runs beside others.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSpec {
    /// Its name in reports.
    pub name: String,
    /// The load.
    pub load: Load,
    /// The texts; `None` for the file of texts, or short ones without a file.
    pub mix: Option<Mix>,
    /// Texts in a request.
    pub request_texts: usize,
    /// The lane.
    pub lane: Lane,
    /// The deployment; `None` for the first that is measured.
    pub deployment: Option<String>,
    /// A file that holds the bearer token of this stream.
    pub token_file: Option<PathBuf>,
}

impl FromStr for StreamSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut spec = Self {
            name: String::new(),
            load: Load::Clients(1),
            mix: None,
            request_texts: 1,
            lane: Lane::default(),
            deployment: None,
            token_file: None,
        };
        let (mut clients, mut rate, mut arrivals) = (None, None, Arrivals::default());
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is no KEY=VALUE of a stream"))?;
            match key {
                "name" => spec.name = value.to_owned(),
                "clients" => clients = Some(parse_clients(value)?),
                "rate" => rate = Some(parse_rate(value)?),
                "arrivals" => arrivals = value.parse()?,
                "mix" => spec.mix = Some(value.parse::<Mix>().map_err(|error| error.to_string())?),
                "texts" => spec.request_texts = parse_texts(value)?,
                "priority" => spec.lane = parse_lane(value)?,
                "deployment" => spec.deployment = Some(value.to_owned()),
                "token-file" => spec.token_file = Some(PathBuf::from(value)),
                _ => {
                    return Err(format!(
                        "a stream has no `{key}`; it has name, clients, rate, arrivals, mix, texts, priority, deployment, \
                         token-file"
                    ));
                }
            }
        }
        spec.load = match (clients, rate) {
            (Some(_), Some(_)) => return Err("a stream has clients or a rate, not both".to_owned()),
            (clients, None) => Load::Clients(clients.unwrap_or(1)),
            (None, Some(per_second)) => Load::Rate { per_second, arrivals },
        };
        if spec.name.is_empty() {
            return Err("a stream needs a name, such as name=bulk".to_owned());
        }
        Ok(spec)
    }
}

/// A number of clients.
///
/// # Errors
/// What is possible.
pub fn parse_clients(text: &str) -> Result<usize, String> {
    let clients = text.parse().ok().filter(|clients| (1..=CLIENTS_LIMIT).contains(clients));
    clients.ok_or_else(|| format!("`{text}` is no number of clients; give 1 to {CLIENTS_LIMIT}"))
}

/// A rate in requests a second.
///
/// # Errors
/// What is possible.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|&rate: &f64| rate > 0.0 && rate <= RATE_LIMIT);
    rate.ok_or_else(|| format!("`{text}` is no rate; give requests a second, above 0 and at most {RATE_LIMIT}"))
}

/// A number of texts in a request.
///
/// # Errors
/// What is possible.
pub fn parse_texts(text: &str) -> Result<usize, String> {
    let texts = text.parse().ok().filter(|texts| (1..=REQUEST_TEXTS_LIMIT).contains(texts));
    texts.ok_or_else(|| format!("`{text}` is no number of texts in a request; give 1 to {REQUEST_TEXTS_LIMIT}"))
}

/// The name of a lane.
///
/// # Errors
/// The names that there are.
pub fn parse_lane(text: &str) -> Result<Lane, String> {
    match text {
        "interactive" => Ok(Lane::Interactive),
        "bulk" => Ok(Lane::Bulk),
        _ => Err(format!("unknown priority `{text}`; one of interactive, bulk")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_key_by_key() {
        let spec: StreamSpec = "name=bulk,clients=8,mix=long,texts=64,priority=bulk".parse().expect("is well-formed");
        let expected = StreamSpec {
            name: "bulk".to_owned(),
            load: Load::Clients(8),
            mix: Some(Mix::Long),
            request_texts: 64,
            lane: Lane::Bulk,
            deployment: None,
            token_file: None,
        };
        assert_eq!(spec, expected);
        let open: StreamSpec = "name=live,rate=50.5,arrivals=constant".parse().expect("is well-formed");
        assert_eq!(open.load, Load::Rate { per_second: 50.5, arrivals: Arrivals::Constant });
    }

    #[test]
    fn every_mistake_names_what_is_possible() {
        for (text, message) in [
            ("", "`` is no KEY=VALUE"),
            ("clients=8", "a stream needs a name"),
            ("name=a,clients=0", "give 1 to 10000"),
            ("name=a,clients=-3", "give 1 to 10000"),
            ("name=a,rate=0", "above 0"),
            ("name=a,rate=inf", "above 0"),
            ("name=a,rate=NaN", "above 0"),
            ("name=a,rate=5,clients=5", "not both"),
            ("name=a,texts=5000", "give 1 to 4096"),
            ("name=a,mix=tiny", "one of short, mixed, long"),
            ("name=a,priority=high", "one of interactive, bulk"),
            ("name=a,arrivals=often", "one of poisson, constant"),
            ("name=a,colour=red", "it has name, clients"),
        ] {
            let error = text.parse::<StreamSpec>().expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
