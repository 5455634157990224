//! A collector of OpenTelemetry in this process: takes spans over OTLP, and finds them again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// Listens until it is dropped with its runtime.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<ResourceSpans>>>,
}

struct Service(Arc<Mutex<Vec<ResourceSpans>>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().expect("never poisoned").extend(request.into_inner().resource_spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self::start_with(tonic::transport::Server::builder()).await
    }

    /// As [`Collector::start`], encrypted, with certificate and key in PEM.
    pub(crate) async fn start_encrypted(identity: &(String, String)) -> Self {
        let identity = Identity::from_pem(&identity.0, &identity.1);
        let server = tonic::transport::Server::builder().tls_config(ServerTlsConfig::new().identity(identity));
        Self::start_with(server.expect("a certificate and its key")).await
    }

    async fn start_with(mut server: tonic::transport::Server) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, received) = (listener.local_addr().expect("bound"), Arc::default());
        let service = TraceServiceServer::new(Service(Arc::clone(&received)));
        let served = server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(served);
        Self { address, received }
    }

    /// The attributes of the service that sent the first spans.
    pub(crate) fn resource(&self) -> Vec<KeyValue> {
        let received = self.received.lock().expect("never poisoned");
        let first = received.first().expect("spans came");
        first.resource.clone().expect("a resource").attributes
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().expect("never poisoned");
        received.iter().flat_map(|of| &of.scope_spans).flat_map(|of| of.spans.clone()).collect()
    }

    /// The spans of a trace.
    pub(crate) fn trace(&self, trace_id: &str) -> Trace {
        let id = hex(trace_id);
        Trace(self.spans().into_iter().filter(|span| span.trace_id == id).collect())
    }
}

/// The spans of one trace.
pub(crate) struct Trace(pub(crate) Vec<Span>);

impl Trace {
    /// The first span of this name.
    pub(crate) fn span(&self, name: &str) -> &Span {
        let names: Vec<_> = self.0.iter().map(|span| span.name.as_str()).collect();
        self.0.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no `{name}` among {names:?}"))
    }
}

/// The bytes of an id.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// An attribute, as text.
pub(crate) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(value) => Some(value.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}
