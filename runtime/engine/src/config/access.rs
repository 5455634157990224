//! Who may connect, and as whom: certificates, tenants, and what each of them may ask for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[server.tls]`: certificates of the listeners, in PEM. The files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsConfig {
    /// The server's certificate, followed by those between it and its authority.
    pub cert: PathBuf,
    /// The private key of that certificate.
    pub key: PathBuf,
    /// Authorities of clients' certificates; without any, clients show none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client must show a certificate.
    pub client_certificates: ClientCertificates,
    /// Whether the admin listener is encrypted too, and then asks for the same certificates; probes of Kubernetes show none.
    pub admin: bool,
}

/// Whether a client must show a certificate, where [`TlsConfig::client_ca`] names who issues them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// A client without one is refused in the handshake.
    #[default]
    Required,
    /// A client without one can show a token, or is anonymous.
    Optional,
}

/// `[server.auth]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Whether a request that shows neither a token nor a known certificate is served, as tenant [`ANONYMOUS`](crate::ANONYMOUS).
    pub anonymous: bool,
}

/// `[server.drain]`: how the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainConfig {
    /// Milliseconds for which everything is still served after the service said that it is not ready: load balancers need
    /// them to send new connections elsewhere.
    pub delay_ms: u64,
    /// Milliseconds that requests in progress have to finish after that; what is left then is cut off.
    pub timeout_ms: u64,
}

/// `[tenants.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantConfig {
    /// File with the token that shows who it is. It is read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Subject alternative names of client certificates that show who it is: DNS names and URIs, such as SPIFFE ids.
    pub sans: Vec<String>,
    /// What it may ask for.
    pub scopes: Vec<Scope>,
    /// Parts of a session's time while others want it as well.
    pub share: f64,
    /// Requests in the engine at one time; `None` for all that the server takes, or half of them where there are several
    /// tenants.
    pub inflight_requests: Option<u32>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Using what is deployed.
    Infer,
    /// Changing what is deployed.
    Admin,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { anonymous: true }
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { delay_ms: 0, timeout_ms: 30_000 }
    }
}

impl Default for TenantConfig {
    fn default() -> Self {
        Self { token_file: None, sans: Vec::new(), scopes: vec![Scope::Infer], share: 1.0, inflight_requests: None }
    }
}
