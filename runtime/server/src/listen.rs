//! Addresses: taken before anything is loaded, listened on when there is something to serve.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use wisp_engine::ServerConfig;

use crate::admin::Answering;
use crate::transport::Certificates;
use crate::{ServeError, Telemetry};

/// Connections that the system completes before they are accepted.
const BACKLOG: u32 = 1024;

/// The addresses of a service, where nobody can connect yet, and what encrypts them.
pub struct Reserved {
    pub(crate) grpc: Bound,
    /// `None` where it is off, or shares the address of gRPC.
    pub(crate) http: Option<Bound>,
    pub(crate) admin: Option<Bound>,
    /// The admin listener, where it answers already.
    pub(crate) answering: Option<Answering>,
    pub(crate) telemetry: Telemetry,
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) config: ServerConfig,
}

/// An address that is ours.
pub(crate) struct Bound {
    socket: TcpSocket,
    address: SocketAddr,
    /// The key of the configuration that names it.
    key: &'static str,
}

/// An address that clients can connect to.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Reserved {
    /// Takes the configured addresses and reads the certificates: whoever starts a service learns of a mistake there before
    /// anything is loaded.
    ///
    /// # Errors
    /// [`ServeError::Bind`], [`ServeError::Tls`].
    pub fn new(config: &ServerConfig) -> Result<Self, ServeError> {
        let certificates = config.tls.as_ref().map(Certificates::read).transpose()?.map(Arc::new);
        let grpc = Bound::at(config.grpc, "grpc")?;
        let is_shared = |address: &SocketAddr| *address == config.grpc && address.port() != 0;
        let http = config.http.filter(|address| !is_shared(address));
        let http = http.map(|address| Bound::at(address, "http")).transpose()?;
        let admin = config.admin.map(|address| Bound::at(address, "admin")).transpose()?;
        let (telemetry, answering) = (Telemetry::off(), None);
        Ok(Self { grpc, http, admin, answering, telemetry, certificates, config: config.clone() })
    }

    /// Records traces as well.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Has the admin listener answer from now on: that the process lives, and is not ready.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub fn answer_probes(&mut self) -> Result<(), ServeError> {
        if let Some(bound) = self.admin.take() {
            let is_encrypted = self.config.tls.as_ref().is_some_and(|tls| tls.admin);
            let certificates = self.certificates.clone().filter(|_| is_encrypted);
            let metrics = Arc::clone(self.telemetry.metrics());
            self.answering = Some(Answering::start(bound.listen()?, certificates, &self.config.limits, metrics));
        }
        Ok(())
    }

    /// Whether HTTP is served where gRPC is.
    pub(crate) fn is_shared(&self) -> bool {
        self.http.is_none() && self.config.http.is_some()
    }
}

impl Bound {
    fn at(address: SocketAddr, key: &'static str) -> Result<Self, ServeError> {
        let socket = Self::socket(address).map_err(|source| ServeError::Bind { key, address, source })?;
        Ok(Self { socket, address, key })
    }

    fn socket(address: SocketAddr) -> std::io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As every server does on Unix: connections of the one before that are still closing must not keep it away.
        socket.set_reuseaddr(cfg!(unix))?;
        socket.bind(address)?;
        Ok(socket)
    }

    pub(crate) fn listen(self) -> Result<Listening, ServeError> {
        let Self { socket, address, key } = self;
        let failed = |source| ServeError::Bind { key, address, source };
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Listening { listener, address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_refused_before_anything_is_loaded() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (taken, free) = (taken.local_addr().expect("bound"), SocketAddr::from(([127, 0, 0, 1], 0)));
        for (grpc, http, admin, key) in
            [(taken, None, None, "grpc"), (free, Some(taken), None, "http"), (free, None, Some(taken), "admin")]
        {
            let config = ServerConfig { grpc, http, admin, ..ServerConfig::default() };
            let error = Reserved::new(&config).err().expect("taken").to_string();
            assert!(error.ends_with(&format!("set server.{key} to another address")), "{error}");
        }
    }

    #[tokio::test]
    async fn http_and_grpc_share_a_port_where_they_have_the_same_address() {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound");
        let config = ServerConfig { grpc: free, http: Some(free), admin: None, ..ServerConfig::default() };
        let reserved = Reserved::new(&config).unwrap_or_else(|error| panic!("{error}"));
        assert!(reserved.is_shared());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = ServerConfig { grpc: any, http: Some(any), admin: None, ..ServerConfig::default() };
        assert!(!Reserved::new(&config).unwrap_or_else(|error| panic!("{error}")).is_shared());
    }
}
