//! Tenants: who is owed a share, known by the token or the certificate that they show.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use wisp_scheduler::Tenant;

use crate::config::{Scope, TenantConfig};
use crate::{Config, StartError};

/// The tenant of requests that show neither token nor certificate.
pub const ANONYMOUS: &str = "anonymous";

/// Longest token that is read from a file.
const TOKEN_LIMIT_BYTES: usize = 4096;

/// What a request shows of who sends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// A bearer token.
    pub token: Option<&'a str>,
    /// The subject alternative names of a certificate that was verified.
    pub sans: &'a [String],
}

/// Who sends a request, and what for it may be.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Whose share it is served from.
    pub tenant: Tenant,
    scopes: Vec<Scope>,
}

/// Why it is not known who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The token is nobody's: to take its sender for anonymous would hide the mistake.
    #[error("the token is not that of any tenant; see [tenants.NAME] token_file")]
    UnknownToken,
    /// The certificate is nobody's.
    #[error("no tenant has a name of the client's certificate; see [tenants.NAME] sans")]
    UnknownCertificate,
    /// Nothing was shown, and something must be.
    #[error("this server serves nobody without a token or a client certificate")]
    Nobody,
}

/// The tenants of a configuration.
pub(crate) struct Tenants {
    all: Vec<Identity>,
    token_files: Vec<(PathBuf, usize)>,
    by_token: ArcSwap<Tokens>,
    by_san: BTreeMap<String, usize>,
    anonymous: Identity,
    serves_anonymous: bool,
}

/// Places in the list of tenants by the digest of their token: how long a look-up takes says nothing about a token that is not
/// there.
type Tokens = BTreeMap<[u8; 32], usize>;

impl Identity {
    /// Whether it may ask for this.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
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
        let identity = |name: &str, config: &TenantConfig| Identity {
            tenant: Tenant::new(name, config.share, config.inflight_requests.map_or(usual, |limit| limit as usize)),
            scopes: config.scopes.clone(),
        };
        let mut tenants = Self {
            all: Vec::new(),
            token_files: Vec::new(),
            by_token: ArcSwap::default(),
            by_san: BTreeMap::new(),
            anonymous: identity(ANONYMOUS, &TenantConfig::default()),
            serves_anonymous: config.server.auth.anonymous,
        };
        for (name, config) in &config.tenants {
            if config.token_file.is_none() && config.sans.is_empty() {
                tenants.anonymous = identity(name, config);
                continue;
            }
            let place = tenants.all.len();
            tenants.token_files.extend(config.token_file.iter().map(|path| (path.clone(), place)));
            tenants.by_san.extend(config.sans.iter().map(|san| (san.clone(), place)));
            tenants.all.push(identity(name, config));
        }
        tenants.reread_tokens()?;
        Ok(tenants)
    }

    /// Reads the token files again. Says whether any token changed; if one cannot be used, all stay as they were.
    ///
    /// # Errors
    /// As [`Tenants::start`].
    pub(crate) fn reread_tokens(&self) -> Result<bool, StartError> {
        let mut by_token = Tokens::new();
        for (path, place) in &self.token_files {
            let tenant = self.all[*place].tenant.name();
            let failed = |reason: String| StartError::Token { tenant: tenant.to_owned(), reason };
            let token = read_token(path).map_err(failed)?;
            if let Some(other) = by_token.insert(Sha256::digest(token.as_bytes()).into(), *place) {
                return Err(failed(format!("it is the token of tenant `{}` as well", self.all[other].tenant.name())));
            }
        }
        let is_changed = by_token != **self.by_token.load();
        if is_changed {
            self.by_token.store(by_token.into());
        }
        Ok(is_changed)
    }

    /// The tenant of requests that show nothing.
    pub(crate) fn anonymous(&self) -> &Tenant {
        &self.anonymous.tenant
    }

    pub(crate) fn serves_anonymous(&self) -> bool {
        self.serves_anonymous
    }

    /// Whether any tenant may change what is deployed.
    pub(crate) fn has_administrator(&self) -> bool {
        self.all.iter().chain([&self.anonymous]).any(|identity| identity.may(Scope::Admin))
    }

    /// Who shows these. A token counts before a certificate: proxies show their own certificate for everybody.
    pub(crate) fn identify(&self, shown: Credentials<'_>) -> Result<Identity, IdentityError> {
        // Where nobody has a token, clients that cannot be without one (OpenAI's) may send what they like.
        if let Some(token) = shown.token.filter(|_| !self.token_files.is_empty()) {
            let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
            let place = self.by_token.load().get(&digest).copied();
            return place.map(|place| self.all[place].clone()).ok_or(IdentityError::UnknownToken);
        }
        if let Some(place) = shown.sans.iter().find_map(|san| self.by_san.get(san)) {
            return Ok(self.all[*place].clone());
        }
        match (self.serves_anonymous, shown.sans.is_empty()) {
            (true, _) => Ok(self.anonymous.clone()),
            (false, true) => Err(IdentityError::Nobody),
            (false, false) => Err(IdentityError::UnknownCertificate),
        }
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
        assert_eq!(name(&tenants, Some("secret-a"), &[]), Ok("a".to_owned()));
        assert_eq!(name(&tenants, Some("secret-b"), &[]), Ok("b".to_owned()));
        for token in ["a", "", "secret-", "secret-a\n"] {
            assert_eq!(name(&tenants, Some(token), &[]), Err(IdentityError::UnknownToken), "{token}");
        }
        assert_eq!(name(&tenants, None, &[]), Ok(ANONYMOUS.to_owned()));
    }

    fn name(tenants: &Tenants, token: Option<&str>, sans: &[&str]) -> Result<String, IdentityError> {
        let sans: Vec<_> = sans.iter().map(|&san| san.to_owned()).collect();
        tenants.identify(Credentials { token, sans: &sans }).map(|identity| identity.tenant.name().to_owned())
    }

    #[test]
    fn a_token_that_changes_in_its_file_is_the_new_one_and_a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "old").expect("writes");
        let tenants = Tenants::start(&config(&[("a", Some(&path))])).expect("one tenant");
        assert!(!tenants.reread_tokens().expect("readable"));
        std::fs::write(&path, "").expect("writes");
        assert!(tenants.reread_tokens().is_err());
        assert_eq!(name(&tenants, Some("old"), &[]), Ok("a".to_owned()));
        std::fs::write(&path, "new").expect("writes");
        assert!(tenants.reread_tokens().expect("readable"));
        assert_eq!(name(&tenants, Some("new"), &[]), Ok("a".to_owned()));
        assert_eq!(name(&tenants, Some("old"), &[]), Err(IdentityError::UnknownToken));
    }

    #[test]
    fn a_name_in_a_certificate_tells_its_tenant_and_others_are_refused_where_nobody_is_anonymous() {
        let web = TenantConfig { sans: vec!["spiffe://cluster/web".to_owned()], ..TenantConfig::default() };
        let mut config = Config { tenants: [("web".to_owned(), web)].into(), ..Config::default() };
        let tenants = Tenants::start(&config).expect("one tenant");
        assert_eq!(name(&tenants, None, &["other", "spiffe://cluster/web"]), Ok("web".to_owned()));
        assert_eq!(name(&tenants, None, &["other"]), Ok(ANONYMOUS.to_owned()));
        config.server.auth.anonymous = false;
        let tenants = Tenants::start(&config).expect("one tenant");
        assert_eq!(name(&tenants, None, &["other"]), Err(IdentityError::UnknownCertificate));
        assert_eq!(name(&tenants, None, &[]), Err(IdentityError::Nobody));
    }

    #[test]
    fn only_who_was_given_the_scope_may_administer() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "secret").expect("writes");
        let mut config = config(&[("operator", Some(&path))]);
        let tenants = Tenants::start(&config).expect("one tenant");
        assert!(!tenants.has_administrator());
        config.tenants.get_mut("operator").expect("is there").scopes = vec![Scope::Admin];
        let tenants = Tenants::start(&config).expect("one tenant");
        assert!(tenants.has_administrator());
        let operator = tenants.identify(Credentials { token: Some("secret"), sans: &[] }).expect("is known");
        assert!(operator.may(Scope::Admin) && !operator.may(Scope::Infer));
        let anonymous = tenants.identify(Credentials::default()).expect("is served");
        assert!(anonymous.may(Scope::Infer) && !anonymous.may(Scope::Admin));
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
