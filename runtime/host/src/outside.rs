//! What a guest may use besides the models that it was granted: folders, environment, hosts, models of its own,
//! tensors of earlier requests.

use std::path::PathBuf;
use std::sync::Arc;

use crate::KeptTensors;
use crate::loading::ModelLoader;

/// Grants beyond models. By default there are none.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Folders of this machine.
    pub dirs: Vec<DirGrant>,
    /// Environment variables: names and values.
    pub env: Vec<(String, String)>,
    /// Hosts that the guest may send HTTP requests to.
    pub http: Vec<HttpGrant>,
    /// What starts models that the guest brings as bytes; `None` refuses them.
    pub loader: Option<Arc<dyn ModelLoader>>,
    /// What is kept for the deployment from one request to the next; `None` keeps nothing.
    pub kept_tensors: Option<Arc<KeptTensors>>,
    /// Where grants are written down, for messages that say how to get one.
    pub written_in: WrittenIn,
}

/// A folder of this machine that a guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirGrant {
    /// The folder here.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
    /// Whether the guest may change what is in it.
    pub may_write: bool,
}

/// A host that a guest may send HTTP requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// Its name or address, in lower case, without a port.
    pub host: String,
    /// The port; `None` for the usual ones, 80 and 443.
    pub port: Option<u16>,
}

/// Where grants are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrittenIn {
    /// In the configuration, under the deployment.
    #[default]
    Configuration,
    /// On the command line of `wisp run`.
    CommandLine,
}

/// Why a text is no [`HttpGrant`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no host; write NAME or NAME:PORT, such as api.example.com or 127.0.0.1:8080, without a scheme or a path"
)]
pub struct HttpGrantError(String);

impl std::str::FromStr for HttpGrant {
    type Err = HttpGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || HttpGrantError(text.to_owned());
        let authority: http::uri::Authority = text.parse().map_err(|_| wrong())?;
        let has_port_sign = authority.as_str().len() > authority.host().len();
        if authority.host().is_empty()
            || authority.as_str().contains('@')
            || has_port_sign != authority.port().is_some()
        {
            return Err(wrong());
        }
        Ok(Self { host: authority.host().to_ascii_lowercase(), port: authority.port_u16() })
    }
}

impl std::fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl HttpGrant {
    /// Whether a request to this host and port is granted. `port` is the one that the connection would use.
    #[must_use]
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let is_port = match self.port {
            Some(granted) => granted == port,
            None => matches!(port, 80 | 443),
        };
        is_port && self.host.eq_ignore_ascii_case(host)
    }
}

impl WrittenIn {
    /// How a model of this alias would be granted.
    pub(crate) fn for_model(self, deployment: &str, alias: &str) -> String {
        match self {
            Self::Configuration => format!("add it under [deployments.{deployment}] models"),
            Self::CommandLine => format!("grant it with --model {alias}=MODEL"),
        }
    }

    /// How models from the guest's memory would be granted.
    pub(crate) fn for_loading(self, deployment: &str) -> String {
        match self {
            Self::Configuration => format!(
                "list the placements that they may run on under [deployments.{deployment}.grants] load, such as \
                 load = [\"openvino:cpu\"]"
            ),
            Self::CommandLine => {
                "name the placements that they may run on with --load, such as --load openvino:cpu".to_owned()
            }
        }
    }

    /// How requests to this host would be granted.
    pub(crate) fn for_http(self, deployment: &str, host: &str) -> String {
        match self {
            Self::Configuration => format!("add \"{host}\" to http under [deployments.{deployment}.grants]"),
            Self::CommandLine => format!("grant it with --http {host}"),
        }
    }

    /// How a longer batch would be granted.
    pub(crate) fn for_rows(self, deployment: &str, alias: &str) -> String {
        match self {
            Self::Configuration => format!("raise max_rows of `{alias}` under [deployments.{deployment}.models]"),
            Self::CommandLine => "split the batch".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        for (text, host, port) in [
            ("API.example.com", "api.example.com", None),
            ("127.0.0.1:8080", "127.0.0.1", Some(8080)),
            ("[::1]:80", "[::1]", Some(80)),
        ] {
            let grant: HttpGrant = text.parse().expect(text);
            assert_eq!((grant.host.as_str(), grant.port), (host, port));
        }
        for text in [
            "",
            "https://example.com",
            "example.com/path",
            "user@example.com",
            "example.com:",
            "example.com:99999",
            "a b",
        ] {
            let error = text.parse::<HttpGrant>().expect_err(text).to_string();
            assert!(error.contains("write NAME or NAME:PORT"), "{error}");
        }
    }

    #[test]
    fn a_host_is_granted_with_its_port_alone() {
        let (any, one): (HttpGrant, HttpGrant) =
            ("example.com".parse().expect("a host"), "example.com:8080".parse().expect("a host"));
        assert!(any.allows("EXAMPLE.com", 443) && any.allows("example.com", 80));
        assert!(!any.allows("example.com", 8080) && !any.allows("example.com.evil.org", 443));
        assert!(one.allows("example.com", 8080) && !one.allows("example.com", 443));
    }
}
