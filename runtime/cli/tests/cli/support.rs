//! A `wisp` process, and a server that is stopped as an operator would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tonic::transport::{Channel, Endpoint};
use wisp_proto::v1::inference_service_client::InferenceServiceClient;

/// The binary under test.
pub(crate) fn wisp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wisp"));
    for variable in ["WISP_CONFIG", "WISP_BACKEND", "WISP_DEVICE", "WISP_PRECISION", "WISP_FORMAT", "WISP_OFFLINE"] {
        command.env_remove(variable);
    }
    command
}

/// A running `wisp serve` on a free loopback port. Killed when dropped, if it still runs.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// Where metrics are; empty when nowhere.
    pub(crate) admin: String,
    /// Where the APIs over HTTP and applications are; empty when nowhere.
    pub(crate) http: String,
}

impl Server {
    /// Starts and waits until it listens; a skip when model or guest cannot be had.
    pub(crate) fn start(test: &str, arguments: &[&str]) -> Option<Self> {
        wisp_testing::RealModel::get(test)?;
        wisp_testing::guest(test, "embedder")?;
        Some(Self::start_with(&[&["--admin", "off"], arguments].concat()))
    }

    /// As [`Server::start`], with metrics on a free port.
    pub(crate) fn start_with_admin(test: &str, arguments: &[&str]) -> Option<Self> {
        wisp_testing::RealModel::get(test)?;
        wisp_testing::guest(test, "embedder")?;
        Some(Self::start_with(&[&["--admin", "127.0.0.1:0"], arguments].concat()))
    }

    /// As [`Server::start_with_admin`], with variables of the environment, and its log in a file.
    pub(crate) fn start_logging(
        test: &str,
        arguments: &[&str],
        log: &std::path::Path,
        variables: &[(&str, &str)],
    ) -> Option<Self> {
        wisp_testing::RealModel::get(test)?;
        wisp_testing::guest(test, "embedder")?;
        let mut command = wisp();
        command.envs(variables.iter().copied()).stderr(std::fs::File::create(log).expect("writable"));
        Some(Self::start_command(command, &[&["--admin", "127.0.0.1:0"], arguments].concat()))
    }

    fn start_with(arguments: &[&str]) -> Self {
        Self::start_command(wisp(), arguments)
    }

    fn start_command(mut command: Command, arguments: &[&str]) -> Self {
        let http: &[&str] = if arguments.contains(&"--http") { &[] } else { &["--http", "127.0.0.1:0"] };
        let mut child = command
            .args(["serve", "--grpc", "127.0.0.1:0"])
            .args(http)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("is piped");
        BufReader::new(output).read_line(&mut line).expect("the server writes a line");
        let addresses = line.trim().strip_prefix("listening grpc=").unwrap_or_else(|| panic!("announced `{line}`"));
        let mut addresses = addresses.split(' ');
        let address = addresses.next().unwrap_or_default().to_owned();
        let others: Vec<_> = addresses.filter_map(|address| address.split_once('=')).collect();
        let other =
            |name| others.iter().find(|(other, _)| *other == name).map_or("", |(_, address)| address).to_owned();
        Self { address, admin: other("admin"), http: other("http"), child }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        endpoint.connect().await.expect("the server listens")
    }

    pub(crate) async fn client(&self) -> InferenceServiceClient<Channel> {
        InferenceServiceClient::new(self.channel().await).max_decoding_message_size(usize::MAX)
    }

    /// Sends SIGTERM and expects success.
    pub(crate) fn stop_cleanly(mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(sent.success());
        let status = self.child.wait().expect("the server ends");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is how it should be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status line, headers and body of a GET.
pub(crate) fn get(address: &str, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\n"))
}

/// Status line, headers and body of a POST of nothing.
pub(crate) fn post(address: &str, path: &str) -> String {
    send(address, &format!("POST {path} HTTP/1.1\r\nContent-Length: 0\r\n"))
}

/// Sends a request that lacks only the headers that every request has; returns all of the answer.
pub(crate) fn send(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("listens");
    write!(stream, "{head}Host: {address}\r\nConnection: close\r\n\r\n").expect("sends");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("answers");
    response
}

/// The value of the first sample of this name whose labels have all of `labels`.
pub(crate) fn sample(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let line = metrics.lines().find(|line| {
        line.starts_with(name) && labels.iter().all(|label| line.contains(label)) && !line.starts_with('#')
    });
    let line = line.unwrap_or_else(|| panic!("no {name} with {labels:?} in\n{metrics}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("`{line}`"))
}

/// The services that reflection lists.
pub(crate) async fn reflected_services(channel: Channel) -> Vec<String> {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::once(request)).await;
    let answer = answers.expect("answers").into_inner().message().await.expect("no error").expect("one answer");
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Sends one request over bare HTTP/2 and returns `grpc-status`. The generated client has a timer of its own for
/// `grpc-timeout`, which would answer in place of the server.
pub(crate) async fn status_of_bare_request(address: &str, timeout: &str, message: &impl prost::Message) -> String {
    let stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    let (sender, connection) = h2::client::handshake(stream).await.expect("speaks HTTP/2");
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{address}/wisp.v1.InferenceService/Embed"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(())
        .expect("a request");
    let mut sender = sender.ready().await.expect("ready");
    let (response, mut body) = sender.send_request(request, false).expect("sent");
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).expect("a short message").to_be_bytes();
    // Frame of the gRPC protocol: not compressed, length, message.
    body.send_data([&[0][..], &length, &encoded].concat().into(), true).expect("sent");
    let response = response.await.expect("answers");
    let status = response.headers().get("grpc-status").expect("an error stands in the headers").clone();
    drop(response);
    connection.abort();
    status.to_str().expect("digits").to_owned()
}
