//! A rolling restart behind a balancer that follows readiness, as a Kubernetes service does.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use wisp_proto::v1::EmbedRequest;

use crate::support::Server;

/// How often the balancer looks who is ready: well within the delay of the servers.
const POLL: Duration = Duration::from_millis(50);

const CLIENTS: &str = "32";

const CONFIG: &str = "[server]\ndrain = { delay_ms = 1000 }\n\
    [models.all-minilm-l6-v2]\nplacement = [\"candle:cpu\"]\nprecision = \"f32\"\n";

/// Where a server tells that it is ready, and where it serves.
type Addresses = (String, String);

/// Sends each new connection to a server that is ready.
struct Balancer {
    address: SocketAddr,
    servers: Arc<Mutex<Vec<Addresses>>>,
}

impl Balancer {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let servers: Arc<Mutex<Vec<Addresses>>> = Arc::default();
        let known = Arc::clone(&servers);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = connect(&known);
                let (from_client, from_server) = (client.try_clone(), server.try_clone());
                carry(from_client.expect("a descriptor"), server);
                carry(from_server.expect("a descriptor"), client);
            }
        });
        Self { address, servers }
    }

    fn add(&self, server: &Server) {
        self.servers.lock().expect("no panic").push((server.admin.clone(), server.address.clone()));
    }
}

/// Carries bytes one way; when they end, the other side is told.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // However it ends, both sides see it.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

/// Connects to the first server that says that it is ready.
fn connect(servers: &Mutex<Vec<Addresses>>) -> TcpStream {
    loop {
        let known = servers.lock().expect("no panic").clone();
        let ready = known.iter().filter(|(admin, _)| is_ready(admin).unwrap_or(false));
        if let Some(stream) = ready.filter_map(|(_, address)| TcpStream::connect(address).ok()).next() {
            return stream;
        }
        std::thread::sleep(POLL);
    }
}

fn is_ready(admin: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(admin)?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

/// Clients of another implementation of gRPC, with retries switched off.
struct Load {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn start(test: &str, address: SocketAddr) -> Option<Self> {
        let Some(packages) = std::env::var_os("WISP_PYTHON_CLIENT_PACKAGES").map(PathBuf::from) else {
            wisp_testing::skip(test, "the Python client's packages are not installed; run `cargo xtask test`");
            return None;
        };
        let texts = vec!["a request during a rolling restart".to_owned()];
        let request = EmbedRequest { texts, ..EmbedRequest::default() }.encode_to_vec();
        let request: String = request.iter().map(|byte| format!("{byte:02x}")).collect();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/load.py");
        let mut child = Command::new(std::env::var_os("WISP_PYTHON").unwrap_or_else(|| "python3".into()))
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(script)
            .args([&address.to_string(), "/wisp.v1.InferenceService/Embed", &request, CLIENTS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        Some(Self { child, lines })
    }

    /// Waits until some hundred requests more were answered.
    fn goes_on(&mut self) {
        for _ in 0..2 {
            let line = self.lines.next().expect("goes on").expect("is text");
            assert!(line.starts_with("{\"answered\""), "{line}");
        }
    }

    /// Ends it; what it tells at last.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let last = self.lines.map_while(Result::ok).last().expect("it tells what came of it");
        assert!(self.child.wait().expect("ends").success());
        last
    }
}

#[test]
fn a_rolling_restart_loses_no_request() {
    let test = "a_rolling_restart_loses_no_request";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wisp.toml");
    std::fs::write(&path, CONFIG).expect("writes");
    let flags = ["--config", &path.display().to_string()];
    let Some(old) = Server::start_with_admin(test, &flags) else { return };
    let balancer = Balancer::start();
    balancer.add(&old);
    let Some(mut load) = Load::start(test, balancer.address) else { return };
    load.goes_on();
    let Some(new) = Server::start_with_admin(test, &flags) else { return };
    balancer.add(&new);
    old.stop_cleanly();
    load.goes_on();
    let told = load.end();
    assert!(told.contains("\"failed\": []"), "{told}");
    new.stop_cleanly();
}
