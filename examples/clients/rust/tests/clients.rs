//! The example clients against a real server with the real model.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Two pairs; each text's neighbour is the other of its pair.
const TEXTS: [&str; 4] = [
    "A cat sleeps on the sofa.",
    "The kitten is napping on the couch.",
    "The stock market fell sharply today.",
    "Share prices dropped on Tuesday.",
];

const READY: &str = "listening grpc=";

/// A running `wisp serve`, killed when dropped.
struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    /// Starts the server that was built beside the client, or skips `test` when there is none.
    fn start(test: &str) -> Option<Self> {
        let program = Path::new(env!("CARGO_BIN_EXE_embed-client")).with_file_name("wisp");
        if !program.is_file() {
            wisp_testing::skip(test, "`wisp` is not built; run `cargo build`");
            return None;
        }
        let mut child = Command::new(program)
            .args(["serve", "--grpc", "127.0.0.1:0", "--http", "off", "--admin", "off"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is there");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let ready = lines.find(|line| line.starts_with(READY));
        let ready = ready.expect("the server says when it is ready, or ends with an error above");
        let address = ready[READY.len()..].split_whitespace().next().expect("an address follows").to_owned();
        Some(Self { child, endpoint: format!("http://{address}") })
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the server runs");
        let status = self.child.wait().expect("the server was started here");
        assert!(status.success(), "the server ended with {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a stop both calls find an ended process and change nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rust_client(endpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embed-client"));
    command.args(["--endpoint", endpoint]);
    command
}

/// The Python client with its packages, or a skip of `test` when nobody has installed them.
fn python_client(test: &str, endpoint: &str) -> Option<Command> {
    let Some(packages) = std::env::var_os("WISP_PYTHON_CLIENT_PACKAGES").map(PathBuf::from) else {
        wisp_testing::skip(test, "the Python client's packages are not installed; run `cargo xtask test`");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/embed.py");
    let mut command = Command::new(std::env::var_os("WISP_PYTHON").unwrap_or_else(|| "python3".into()));
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1").arg(script);
    command.args(["--endpoint", endpoint]);
    Some(command)
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the client can be started")
}

/// Rows of the table as text, neighbour and cosine.
fn rows(output: &Output) -> Vec<(String, String, f64)> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let cells = text.lines().map(|line| line.split(['│', '┆', '|']).map(str::trim).filter(|cell| !cell.is_empty()));
    let rows = cells.filter_map(|mut cells| {
        let (text, neighbour, cosine) = (cells.next()?, cells.next()?, cells.next()?);
        Some((text.to_owned(), neighbour.to_owned(), cosine.parse().ok()?))
    });
    rows.collect()
}

fn assert_pairs(rows: &[(String, String, f64)]) {
    let pairs: Vec<_> = rows.iter().map(|(text, neighbour, _)| (text.as_str(), neighbour.as_str())).collect();
    let expected = [(TEXTS[0], TEXTS[1]), (TEXTS[1], TEXTS[0]), (TEXTS[2], TEXTS[3]), (TEXTS[3], TEXTS[2])];
    assert_eq!(pairs, expected);
}

#[test]
fn both_clients_find_the_nearest_neighbours() {
    let test = "both_clients_find_the_nearest_neighbours";
    let Some(server) = Server::start(test) else { return };
    let rust = rows(&output(rust_client(&server.endpoint).args(TEXTS)));
    assert_pairs(&rust);

    if let Some(mut python) = python_client(test, &server.endpoint) {
        let python = rows(&output(python.args(TEXTS)));
        assert_pairs(&python);
        for (ours, theirs) in rust.iter().zip(&python) {
            assert!((ours.2 - theirs.2).abs() <= 0.001, "{ours:?} and {theirs:?}");
        }
    }
    server.stop();
}

#[test]
fn both_clients_report_the_status_of_a_refused_call() {
    let test = "both_clients_report_the_status_of_a_refused_call";
    let Some(server) = Server::start(test) else { return };
    let clients = [Some(rust_client(&server.endpoint)), python_client(test, &server.endpoint)];
    for mut client in clients.into_iter().flatten() {
        let output = output(client.args(["--deployment", "nobody-deployed-this", "text"]));
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("NOT_FOUND") && message.contains("nobody-deployed-this"), "{message}");
    }
    server.stop();
}

#[test]
fn the_python_client_shows_no_control_characters_and_no_neighbours_of_many() {
    let test = "the_python_client_shows_no_control_characters_and_no_neighbours_of_many";
    let Some(server) = Server::start(test) else { return };
    if let Some(mut python) = python_client(test, &server.endpoint) {
        let texts = (0..201).map(|index| format!("text \u{1b}[31m {index}"));
        let output = output(python.args(texts));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("no neighbours: they are looked for among 200 texts at most"), "{text}");
    }
    server.stop();
}

#[test]
fn both_clients_refuse_input_that_is_not_utf8() {
    let test = "both_clients_refuse_input_that_is_not_utf8";
    // Reading comes before calling, so that no server is needed.
    let clients = [Some(rust_client("http://127.0.0.1:9")), python_client(test, "http://127.0.0.1:9")];
    for mut client in clients.into_iter().flatten() {
        let client = client.arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = client.spawn().expect("the client can be started");
        child.stdin.take().expect("it is piped").write_all(b"\xff\xfe text").expect("the client reads it");
        let output = child.wait_with_output().expect("the client was started here");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("not UTF-8"), "{message}");
    }
}

#[test]
fn the_rust_client_names_the_endpoint_that_it_cannot_reach() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback interface is there");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let output = output(rust_client(&endpoint).arg("text"));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&endpoint), "{message}");
}
