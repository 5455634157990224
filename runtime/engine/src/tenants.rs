//! Tenants: who is owed a share, known by the token that they show.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};
use wisp_scheduler::Tenant;

use crate::config::TenantConfig;
use crate::{Config, StartError};

/// The tenant of requests that show no token.
pub const ANONYMOUS: &str = "anonymous";

/// Longest token that is read from a file.
const TOKEN_LIMIT_BYTES: usize = 4096;

/// The tenants of a configuration.
pub(crate) struct Tenants {
    anonymous: Tenant,
    /// By the digest of their token: how long a look-up takes says nothing about a token that is not there.
    by_token: BTreeMap<[u8; 32], Tenant>,
}

impl Tenants {
    /// Reads the token files.
    ///
    /// # Errors
    /// [`StartError::Token`] naming the tenant whose token cannot be used.
    pub(crate) fn start(config: &Config) -> Result<Self, StartError> {
        let limit = config.server.limits.inflight_requests as usize;
        // One of several must not be able to take every place.
        let usual = if config.tenants.is_empty() { limit } else { limit.div_ceil(2) };
        let tenant = |name: &str, config: &TenantConfig| {
            Tenant::new(name, config.share, config.inflight_requests.map_or(usual, |limit| limit as usize))
        };
        let mut by_token = BTreeMap::new();
        let mut anonymous = tenant(ANONYMOUS, &TenantConfig::default());
        for (name, config) in &config.tenants {
            let failed = |reason: String| StartError::Token { tenant: name.clone(), reason };
            let Some(path) = &config.token_file else {
                anonymous = tenant(name, config);
                continue;
            };
            let token = read_token(path).map_err(failed)?;
            let digest = Sha256::digest(token.as_bytes()).into();
            if let Some(other) = by_token.insert(digest, tenant(name, config)) {
                return Err(failed(format!("it is the token of tenant `{}` as well", other.name())));
            }
        }
        Ok(Self { anonymous, by_token })
    }

    /// The tenant of requests that show no token.
    pub(crate) fn anonymous(&self) -> &Tenant {
        &self.anonymous
    }

    /// The tenant that has this token.
    pub(crate) fn of_token(&self, token: &str) -> Option<&Tenant> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.by_token.get(&digest)
    }
}

/// The first line of the file, without white space around it.
fn read_token(path: &Path) -> Result<String, String> {
    let in_file = |reason: String| format!("{}: {reason}", path.display());
    let bytes = std::fs::read(path).map_err(|error| in_file(error.to_string()))?;
    if bytes.len() > TOKEN_LIMIT_BYTES {
        return Err(in_file(format!("a token has at most {TOKEN_LIMIT_BYTES} bytes, this file has {}", bytes.len())));
    }
    let text = String::from_utf8(bytes).map_err(|_| in_file("this is not UTF-8".to_owned()))?;
    let token = text.trim();
    match token {
        "" => Err(in_file("it is empty; write one token into it".to_owned())),
        _ if token.contains(char::is_whitespace) => Err(in_file("a token has no white space inside".to_owned())),
        _ => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tenants: &[(&str, Option<&Path>)]) -> Config {
        let tenants = tenants.iter().map(|(name, token_file)| {
            let config = TenantConfig { token_file: token_file.map(Path::to_owned), ..TenantConfig::default() };
            ((*name).to_owned(), config)
        });
        Config { tenants: tenants.collect(), ..Config::default() }
    }

    #[test]
    fn a_token_tells_its_tenant_and_nothing_else_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        std::fs::write(&a, "secret-a\n").expect("writes");
        std::fs::write(&b, "secret-b").expect("writes");
        let tenants = Tenants::start(&config(&[("a", Some(&a)), ("b", Some(&b))])).expect("two tenants");
        assert_eq!(tenants.of_token("secret-a").map(Tenant::name), Some("a"));
        assert_eq!(tenants.of_token("secret-b").map(Tenant::name), Some("b"));
        assert!(["a", "", "secret-", "secret-a\n"].iter().all(|token| tenants.of_token(token).is_none()));
        assert_eq!(tenants.anonymous().name(), ANONYMOUS);
    }

    #[test]
    fn tokens_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        for (content, expected) in [("", "it is empty"), (" \n", "it is empty"), ("a b", "no white space inside")] {
            std::fs::write(&path, content).expect("writes");
            let error = Tenants::start(&config(&[("a", Some(&path))])).err().expect(expected).to_string();
            assert!(error.starts_with("tenant `a`: ") && error.contains(expected), "{error}");
        }
        std::fs::write(&path, "same").expect("writes");
        let error = Tenants::start(&config(&[("a", Some(&path)), ("b", Some(&path))])).err().expect("twice");
        assert_eq!(error.to_string(), "tenant `b`: it is the token of tenant `a` as well");
        let missing = folder.path().join("missing");
        assert!(Tenants::start(&config(&[("a", Some(&missing))])).is_err());
    }
}
