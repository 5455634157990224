//! A connection to one registry, for one repository: who we are, how TLS is spoken, and patience with it.

use std::time::Duration;

use bytes::Bytes;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::{Reference, RegistryOperation};
use wisp_model_store::Sha256Digest;

use crate::credentials::Credential;
use crate::document::{Document, media};
use crate::failure::Failure;
use crate::reference::ArtifactName;
use crate::{RegistryError, RegistryOptions, trust};

/// Longest time that a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that one manifest may take, however it trickles.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest manifest; what registries take as well.
const MANIFEST_LIMIT_BYTES: usize = 4 << 20;

/// Longest time that a blob may take which the registry wants in one piece.
const MONOLITH_TIMEOUT: Duration = Duration::from_secs(3600);

/// What a manifest is asked for in.
const ACCEPTED: [&str; 4] = [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_INDEX];

/// A registry, ready to answer for one repository.
pub(crate) struct Connection {
    pub(crate) name: ArtifactName,
    pub(crate) client: Client,
    /// The same, for registries that take a blob in one piece only.
    pub(crate) monolith: Client,
    credential: Credential,
    options: RegistryOptions,
}

impl Connection {
    /// Finds out how the registry is spoken with, and shows it the credential.
    ///
    /// # Errors
    /// [`RegistryError`] when it cannot be reached, is not trusted or grants nothing.
    pub(crate) async fn open(
        name: &ArtifactName,
        options: &RegistryOptions,
        operation: RegistryOperation,
    ) -> Result<Self, RegistryError> {
        trust::install_provider();
        let credential = Credential::find(name.registry(), options).await?;
        let (client, monolith) = clients(name, options, options.plain_http)?;
        let mut connection = Self { name: name.clone(), client, monolith, credential, options: options.clone() };
        match connection.greet(operation).await {
            Err(RegistryError::NoTls { .. }) if name.is_loopback() => {
                (connection.client, connection.monolith) = clients(name, options, true)?;
                connection.greet(operation).await?;
            }
            other => other?,
        }
        Ok(connection)
    }

    /// The first request: it finds out whether TLS works, and fetches a token where the registry wants one.
    async fn greet(&self, operation: RegistryOperation) -> Result<(), RegistryError> {
        let what = self.name.to_string();
        self.patiently(&what, async || {
            self.client.auth(&self.name.reference, &self.credential.auth, operation).await?;
            self.monolith.store_auth_if_needed(self.name.registry(), &self.credential.auth).await;
            Ok(())
        })
        .await
    }

    /// The manifest or index of a reference, and its digest, which is the pinned one where there is one.
    pub(crate) async fn document(&self, reference: &Reference) -> Result<(Document, Sha256Digest), RegistryError> {
        let what = reference.to_string();
        let (body, _) = self
            .patiently(&what, async || {
                let pulled = self.client.pull_manifest_raw(reference, &self.credential.auth, &ACCEPTED);
                tokio::time::timeout(MANIFEST_TIMEOUT, pulled)
                    .await
                    .map_err(|_| Failure::Silence)?
                    .map_err(Failure::from)
            })
            .await?;
        if body.len() > MANIFEST_LIMIT_BYTES {
            let (size_bytes, limit_bytes) = (body.len() as u64, MANIFEST_LIMIT_BYTES as u64);
            return Err(RegistryError::TooLarge { what: format!("the manifest of {what}"), size_bytes, limit_bytes });
        }
        let digest = Sha256Digest::of(&body);
        let pinned = reference.digest().and_then(Sha256Digest::from_oci);
        if let Some(expected) = pinned.filter(|&pinned| pinned != digest) {
            let (expected, actual) = (expected.to_oci(), digest.to_oci());
            return Err(RegistryError::Digest { what: format!("the manifest of {what}"), expected, actual });
        }
        Ok((Document::parse(&body, &what)?, digest))
    }

    /// Puts a manifest or index under the tag of `reference`, or under its digest.
    pub(crate) async fn put_document(&self, tag: &str, body: Vec<u8>, media_type: &str) -> Result<(), RegistryError> {
        let body = Bytes::from(body);
        let (registry, repository) = (self.name.reference.registry(), self.name.reference.repository());
        // A digest goes in as a tag: the path is the same, and the client expects the path to end in the tag.
        let reference = Reference::with_tag(registry.to_owned(), repository.to_owned(), tag.to_owned());
        self.patiently(&format!("the manifest of {}", self.name), async || {
            let content_type =
                media_type.parse().map_err(|_| Failure::Refused(format!("`{media_type}` is no type")))?;
            self.client.push_manifest_raw(&reference, body.clone(), content_type).await?;
            Ok(())
        })
        .await
    }

    /// Makes a request until it works, fails for good, or has failed too often.
    pub(crate) async fn patiently<T>(
        &self,
        what: &str,
        request: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        let mut delay = self.options.first_delay;
        let attempts = self.options.attempts.max(1);
        for attempt in 1.. {
            match request().await {
                Ok(value) => return Ok(value),
                Err(failure) if failure.is_passing() && attempt < attempts => {
                    tracing::warn!(
                        registry = self.name.registry(),
                        what,
                        attempt,
                        ?failure,
                        "request failed; trying again"
                    );
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(RegistryOptions::MAX_DELAY);
                }
                Err(failure) => return Err(self.explain(failure, what, attempt)),
            }
        }
        unreachable!("the loop ends at the last attempt")
    }

    /// The error that a person reads.
    pub(crate) fn explain(&self, failure: Failure, what: &str, attempts: u32) -> RegistryError {
        let registry = self.name.registry().to_owned();
        match failure {
            Failure::Connection(reason) => RegistryError::Unreachable { registry, reason, attempts },
            Failure::Silence => {
                RegistryError::TimedOut { registry, timeout_s: self.options.timeout.as_secs(), attempts }
            }
            Failure::Certificate(reason) => RegistryError::Certificate { registry, reason },
            Failure::NoTls => RegistryError::NoTls { registry },
            Failure::Busy(answer) => RegistryError::Unavailable { registry, answer, attempts },
            Failure::Access => RegistryError::Unauthorized {
                registry,
                repository: self.name.reference.repository().to_owned(),
                identity: self.credential.identity.clone(),
                is_known: self.credential.is_known,
            },
            Failure::Missing => RegistryError::NotFound { reference: what.to_owned() },
            Failure::Digest { expected, actual } => RegistryError::Digest { what: what.to_owned(), expected, actual },
            Failure::NoChunks(reason) | Failure::Refused(reason) => RegistryError::Refused { registry, reason },
        }
    }
}

fn clients(name: &ArtifactName, options: &RegistryOptions, is_plain: bool) -> Result<(Client, Client), RegistryError> {
    let certificates = options.ca_file.as_deref().map(trust::read_certificates).transpose()?.unwrap_or_default();
    let build = |use_monolithic_push, read_timeout| {
        let config = ClientConfig {
            protocol: if is_plain { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates: certificates.clone(),
            // Indexes are looked into here, where the message can say what they offer.
            platform_resolver: None,
            use_monolithic_push,
            read_timeout: Some(read_timeout),
            connect_timeout: Some(CONNECT_TIMEOUT.min(options.timeout)),
            user_agent: concat!("wisp/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let failed = |error: oci_client::errors::OciDistributionError| RegistryError::Refused {
            registry: name.registry().to_owned(),
            reason: format!("the client cannot be set up: {error}"),
        };
        Client::try_from(config).map_err(failed)
    };
    Ok((build(false, options.timeout)?, build(true, MONOLITH_TIMEOUT)?))
}
