//! Who registries are told that we are: the Docker configuration, and the credential programs that it names.

mod program;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::{RegistryError, RegistryOptions};

/// The longest configuration that is read.
const LIMIT_BYTES: u64 = 1 << 20;

/// Docker Hub, by the name under which Docker keeps its credential.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What is shown to a registry, and how messages call it.
pub(crate) struct Credential {
    pub(crate) auth: RegistryAuth,
    /// `as user ada, of /home/ada/.docker/config.json`, or `without a credential`.
    pub(crate) identity: String,
    pub(crate) is_known: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Credential {
    /// The credential for a registry; anonymous where the configuration has none.
    ///
    /// # Errors
    /// [`RegistryError::Credential`] when the configuration or a program that it names cannot be used.
    pub(crate) async fn find(registry: &str, options: &RegistryOptions) -> Result<Self, RegistryError> {
        let Some(path) = &options.docker_config else { return Ok(Self::anonymous()) };
        let failed = |reason| RegistryError::Credential { registry: registry.to_owned(), reason };
        let Some(config) = read(path).map_err(failed)? else { return Ok(Self::anonymous()) };
        let helper = config.cred_helpers.iter().find(|(name, _)| is_for(name, registry)).map(|(_, helper)| helper);
        if let Some(helper) = helper.or(config.creds_store.as_ref().filter(|name| !name.is_empty())) {
            let server = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
            if let Some((user, secret)) = program::get(helper, server).await.map_err(failed)? {
                return Self::of(&user, &secret, &format!("docker-credential-{helper}")).map_err(failed);
            }
        }
        let entry = config.auths.iter().find(|(name, _)| is_for(name, registry)).map(|(_, entry)| entry);
        match entry {
            Some(entry) => Self::of_entry(entry, path).map_err(failed),
            None => Ok(Self::anonymous()),
        }
    }

    fn anonymous() -> Self {
        Self { auth: RegistryAuth::Anonymous, identity: "without a credential".to_owned(), is_known: false }
    }

    fn of(user: &str, secret: &str, origin: &str) -> Result<Self, String> {
        if user == "<token>" {
            return Err(identity_token(origin));
        }
        let auth = RegistryAuth::Basic(user.to_owned(), secret.to_owned());
        Ok(Self { auth, identity: format!("as user {user}, of {origin}"), is_known: true })
    }

    fn of_entry(entry: &Entry, path: &Path) -> Result<Self, String> {
        let origin = path.display().to_string();
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&entry.registrytoken) {
            let identity = format!("with the token of {origin}");
            return Ok(Self { auth: RegistryAuth::Bearer(token), identity, is_known: true });
        }
        if given(&entry.identitytoken).is_some() {
            return Err(identity_token(&origin));
        }
        if let Some(encoded) = given(&entry.auth) {
            let malformed = || format!("`auth` in {origin} is not USER:PASSWORD in base64; log in again");
            let decoded = STANDARD.decode(encoded.trim()).map_err(|_| malformed())?;
            let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
            let (user, password) = decoded.split_once(':').ok_or_else(malformed)?;
            return Self::of(user, password.trim_end_matches('\0'), &origin);
        }
        match (given(&entry.username), given(&entry.password)) {
            (Some(user), Some(password)) => Self::of(&user, &password, &origin),
            _ => Ok(Self::anonymous()),
        }
    }
}

fn identity_token(origin: &str) -> String {
    format!(
        "{origin} holds an identity token, which is not understood; log in with a user and a password or access token"
    )
}

/// `None` when there is no such file: most machines have none.
fn read(path: &Path) -> Result<Option<DockerConfig>, String> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{shown}: {error}")),
        Ok(metadata) if metadata.len() > LIMIT_BYTES => {
            return Err(format!("{shown} is {} bytes long; at most {LIMIT_BYTES} are read", metadata.len()));
        }
        Ok(_) => {}
    }
    let bytes = std::fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("{shown}: {error}"))
}

/// Whether an entry is for this registry. Docker writes the bare name, or an address that ends in an API version; an entry with
/// another path is for a part of a registry, and shown to no other.
fn is_for(entry: &str, registry: &str) -> bool {
    let entry = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://")).unwrap_or(entry);
    let host = match entry.split_once('/') {
        None => entry,
        Some((host, "" | "v1" | "v1/" | "v2" | "v2/")) => host,
        Some(_) => return false,
    };
    host.eq_ignore_ascii_case(registry) || (registry == "index.docker.io" && host == "docker.io")
}

#[cfg(test)]
mod tests;
