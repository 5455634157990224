//! Stands before a registry and does what networks and overloaded servers do to answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it is passed on, and so is the answer.
    None,
    /// It is answered with this status, and not passed on.
    Status(u16),
    /// The connection ends after so many bytes of the answer's body.
    Truncate(usize),
    /// The connection ends before any answer.
    Drop,
}

/// A request as the proxy saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The header `range`, if there was one.
    pub(crate) range: Option<String>,
}

type Decide = dyn Fn(&Seen, usize) -> Fault + Send + Sync;

/// A proxy on a free port; its threads end with the test program.
pub(crate) struct Proxy {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    /// Asks `decide` for every request; it also hears how many requests of that method and path came before.
    pub(crate) fn before(upstream: &str, decide: impl Fn(&Seen, usize) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (seen, decide): (Arc<Mutex<Vec<Seen>>>, Arc<Decide>) = (Arc::default(), Arc::new(decide));
        let (log, upstream) = (Arc::clone(&seen), upstream.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, decide, upstream) = (Arc::clone(&log), Arc::clone(&decide), upstream.clone());
                std::thread::spawn(move || {
                    // A client that leaves early is what these tests are about.
                    let _ = serve(stream, &upstream, &log, &*decide);
                });
            }
        });
        Self { address, seen }
    }

    /// The requests so far of this method whose path holds this text.
    pub(crate) fn seen(&self, method: &str, part: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("not poisoned");
        seen.iter().filter(|seen| seen.method == method && seen.path.contains(part)).cloned().collect()
    }
}

/// One request a connection.
fn serve(mut client: TcpStream, upstream: &str, log: &Mutex<Vec<Seen>>, decide: &Decide) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    // TLS begins with this byte; servers of HTTP say that they do not speak it.
    if reader.fill_buf()?.first() == Some(&0x16) {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let (mut head, mut length, mut range) = (Vec::new(), 0_u64, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if let Some(value) = lower.strip_prefix("range:") {
            range = Some(value.trim().to_owned());
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push(line);
        }
    }
    let mut words = head.first().map(String::as_str).unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let seen = Seen { method: word(), path: word(), range };
    let earlier = {
        let mut log = log.lock().expect("not poisoned");
        let earlier = log.iter().filter(|old| (&old.method, &old.path) == (&seen.method, &seen.path)).count();
        log.push(seen.clone());
        earlier
    };
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    let limit = match decide(&seen, earlier) {
        Fault::Drop => return client.shutdown(Shutdown::Both),
        Fault::Status(status) => {
            return write!(client, "HTTP/1.1 {status} Fault\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy");
        }
        Fault::Truncate(limit) => limit,
        Fault::None => usize::MAX,
    };
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(head.concat().as_bytes())?;
    server.write_all(b"connection: close\r\n\r\n")?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let body_at = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let end = answer.len().min(body_at.saturating_add(limit));
    client.write_all(&answer[..end])?;
    client.shutdown(Shutdown::Write)
}
