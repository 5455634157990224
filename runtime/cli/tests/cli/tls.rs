//! Encrypted listeners: who is known by what, and certificates that change while connections last.

use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};
use wisp_proto::v1::EmbedRequest;
use wisp_proto::v1::inference_service_client::InferenceServiceClient;

use crate::support::Server;

/// Polls for something that another process does.
const PATIENCE: Duration = Duration::from_millis(100);

/// Everything but the listeners and tenants.
const MODEL: &str = "[models.all-minilm-l6-v2]\nplacement = [\"candle:cpu\"]\nprecision = \"f32\"\n";

/// An authority that issues certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(parameters, key).expect("an authority") }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Certificate and key in PEM for a name, which is a URI if it looks like one.
    pub(crate) fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut parameters = CertificateParams::default();
        let text = name.try_into().expect("ASCII");
        let san = if name.contains("://") { SanType::URI(text) } else { SanType::DnsName(text) };
        parameters.subject_alt_names.push(san);
        change(&mut parameters);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes what a server needs.
    fn write_server(&self, folder: &Path) {
        let (cert, key) = self.issue("localhost", |_| {});
        std::fs::write(folder.join("cert.pem"), cert).expect("writes");
        std::fs::write(folder.join("key.pem"), key).expect("writes");
    }
}

async fn connect(server: &Server, roots: &str, identity: Option<&(String, String)>) -> Result<Channel, String> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(roots)).domain_name("localhost");
    if let Some((cert, key)) = identity {
        tls = tls.identity(Identity::from_pem(cert, key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address)).expect("an address");
    let endpoint = endpoint.tls_config(tls).map_err(|error| error.to_string())?;
    endpoint.connect().await.map_err(|error| format!("{error:?}"))
}

async fn embed(channel: Channel) -> Result<usize, Status> {
    let request = EmbedRequest { texts: vec!["encrypted".to_owned()], ..EmbedRequest::default() };
    let answer = InferenceServiceClient::new(channel).embed(request).await?;
    Ok(answer.into_inner().embeddings.len())
}

fn start(test: &str, folder: &Path, config: &str) -> Option<Server> {
    let path = folder.join("wisp.toml");
    std::fs::write(&path, format!("{config}{MODEL}")).expect("writes");
    Server::start(test, &["--config", &path.display().to_string()])
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate_and_nobody_else_is_served() {
    let test = "a_client_is_known_by_its_certificate_and_nobody_else_is_served";
    let folder = tempfile::tempdir().expect("a folder");
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    servers.write_server(folder.path());
    std::fs::write(folder.path().join("clients.pem"), clients.pem()).expect("writes");
    let web = "spiffe://cluster.example/ns/web/sa/search";
    let config = format!(
        "[server.auth]\nanonymous = false\n[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
         client_ca = \"clients.pem\"\n[tenants.web]\nsans = [\"{web}\"]\n\
         [tenants.operator]\nsans = [\"operator.example\"]\nscopes = [\"admin\"]\n"
    );
    let Some(server) = start(test, folder.path(), &config) else { return };
    let roots = servers.pem();

    let known = connect(&server, &roots, Some(&clients.issue(web, |_| {}))).await.expect("is issued by the authority");
    assert_eq!(embed(known).await.expect("is a tenant"), 1);
    let unknown = clients.issue("spiffe://cluster.example/ns/other", |_| {});
    let unknown = connect(&server, &roots, Some(&unknown)).await.expect("is issued by the authority");
    let status = embed(unknown).await.expect_err("is nobody");
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    assert!(status.message().contains("[tenants.NAME] sans"), "{status}");
    let operator = connect(&server, &roots, Some(&clients.issue("operator.example", |_| {}))).await.expect("issued");
    let status = embed(operator).await.expect_err("may only administer");
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    assert!(status.message().contains("add \"infer\" to [tenants.operator] scopes"), "{status}");

    let expired = clients.issue(web, |parameters| {
        (parameters.not_before, parameters.not_after) =
            (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
    });
    for (what, identity) in
        [("nothing", None), ("another authority's", Some(strangers.issue(web, |_| {}))), ("an old one", Some(expired))]
    {
        // With TLS 1.3 the client is done before the server has looked; it learns of the refusal when it asks.
        let refused = match connect(&server, &roots, identity.as_ref()).await {
            Ok(channel) => embed(channel).await.is_err(),
            Err(_) => true,
        };
        assert!(refused, "{what} was shown");
    }
    server.stop_cleanly();
}

#[tokio::test]
async fn certificates_change_while_connections_last() {
    let test = "certificates_change_while_connections_last";
    let folder = tempfile::tempdir().expect("a folder");
    let (before, after) = (Authority::new(), Authority::new());
    before.write_server(folder.path());
    let Some(server) = start(test, folder.path(), "server.tls = { cert = \"cert.pem\", key = \"key.pem\" }\n") else {
        return;
    };
    let lasting = connect(&server, &before.pem(), None).await.expect("is the first authority's");
    assert_eq!(embed(lasting.clone()).await.expect("embeds"), 1);

    // A broken pair changes nothing.
    std::fs::write(folder.path().join("key.pem"), "no key").expect("writes");
    tokio::time::sleep(20 * PATIENCE).await;
    connect(&server, &before.pem(), None).await.expect("is still the first authority's");

    after.write_server(folder.path());
    while connect(&server, &after.pem(), None).await.is_err() {
        tokio::time::sleep(PATIENCE).await;
    }
    assert!(connect(&server, &before.pem(), None).await.is_err(), "new connections see the new certificate");
    assert_eq!(embed(lasting).await.expect("goes on"), 1);
    server.stop_cleanly();
}

#[tokio::test]
async fn plain_connections_are_not_answered_where_tls_is_configured() {
    let test = "plain_connections_are_not_answered_where_tls_is_configured";
    let folder = tempfile::tempdir().expect("a folder");
    Authority::new().write_server(folder.path());
    let Some(server) = start(test, folder.path(), "server.tls = { cert = \"cert.pem\", key = \"key.pem\" }\n") else {
        return;
    };
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    let refused = match endpoint.connect().await {
        Ok(channel) => embed(channel).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    server.stop_cleanly();
}
