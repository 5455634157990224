//! Files of a hub repository at one commit, over HTTPS, taken up again where a connection broke.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;
use ureq::http::Response;

use super::{Context, FetchError, Wanted};
use crate::{HubSource, Progress};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest silence of a server in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections that are tried for one file; each takes up where the last one broke.
const ATTEMPTS: u32 = 4;

/// Pause before the second attempt; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

const CHUNK_BYTES: usize = 64 * 1024;

/// Downloads every wanted file.
pub(super) fn fetch(source: &HubSource, wanted: &mut Vec<Wanted<'_>>, context: Context<'_>) -> Result<(), FetchError> {
    let agent = agent();
    while let Some(file) = wanted.last() {
        let (repository, revision) = (&source.repository, &source.revision);
        let endpoint = context.origins.hub_endpoint.trim_end_matches('/');
        let url = format!("{endpoint}/{repository}/resolve/{revision}/{}", escape(file.source_path));
        Transfer { agent: &agent, url, file, part: part(&file.destination), progress: context.progress }.fetch()?;
        wanted.pop();
    }
    Ok(())
}

/// One file on its way.
struct Transfer<'a> {
    agent: &'a Agent,
    url: String,
    file: &'a Wanted<'a>,
    /// What has arrived so far; it outlives the process, so that the next one takes it up.
    part: PathBuf,
    progress: &'a dyn Progress,
}

/// Why a connection did not bring the whole file.
enum Break {
    /// Another connection may bring the rest.
    Passing(FetchError),
    /// No connection will.
    Final(FetchError),
}

impl Transfer<'_> {
    fn fetch(&self) -> Result<(), FetchError> {
        if let Some(folder) = self.part.parent() {
            fs::create_dir_all(folder).map_err(FetchError::io("create", folder))?;
        }
        self.progress.step(&format!("fetching {}", self.file.name), Some(self.file.pin.size_bytes));
        let resumed_bytes = self.arrived_bytes()?;
        if resumed_bytes > 0 {
            self.progress.advance(resumed_bytes);
        }
        self.receive_all()?;
        let result = match self.file.accept(&self.part) {
            // What an earlier process left may be the part that is wrong, and is gone now: once more, from the start.
            Err(FetchError::Differs { .. }) if resumed_bytes > 0 => {
                self.receive_all()?;
                self.file.accept(&self.part)
            }
            other => other,
        };
        result.inspect(|()| self.progress.done(&format!("{} fetched", self.file.name)))
    }

    fn receive_all(&self) -> Result<(), FetchError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.receive() {
                Ok(()) => break,
                Err(Break::Passing(error)) if attempt < ATTEMPTS => {
                    tracing::debug!(url = self.url, attempt, %error, "connection broke");
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                Err(Break::Passing(error) | Break::Final(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Length of what has arrived; a part that is too long is deleted, for no rest makes it right.
    fn arrived_bytes(&self) -> Result<u64, FetchError> {
        match fs::metadata(&self.part) {
            Ok(metadata) if metadata.len() <= self.file.pin.size_bytes => Ok(metadata.len()),
            Ok(_) => self.start_over().map(|()| 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(FetchError::io("read", &self.part)(error)),
        }
    }

    /// One connection: the rest of the file from where the last one ended.
    fn receive(&self) -> Result<(), Break> {
        let arrived_bytes = self.arrived_bytes().map_err(Break::Final)?;
        if arrived_bytes == self.file.pin.size_bytes {
            return Ok(());
        }
        let mut request = self.agent.get(&self.url);
        if arrived_bytes > 0 {
            request = request.header("range", format!("bytes={arrived_bytes}-"));
        }
        let response = request.call().map_err(|error| Break::Passing(self.transport(error.to_string())))?;
        let mut options = OpenOptions::new();
        match response.status().as_u16() {
            200 => options.write(true).create(true).truncate(true),
            206 if continues_at(&response, arrived_bytes) => options.append(true),
            206 | 416 => {
                // The server does not continue where we are: from the start.
                self.start_over().map_err(Break::Final)?;
                return Err(Break::Passing(self.transport("the server does not resume this download".to_owned())));
            }
            status => {
                let error = FetchError::Status { url: self.url.clone(), status };
                return Err(if status >= 500 || status == 429 { Break::Passing(error) } else { Break::Final(error) });
            }
        };
        let file = options.open(&self.part).map_err(|error| Break::Final(FetchError::io("open", &self.part)(error)))?;
        let received_bytes = if response.status() == 206 { arrived_bytes } else { 0 };
        self.write(response.into_body().into_reader(), file, received_bytes)
    }

    /// Appends the answer to the part, and no more than the file is long.
    fn write(&self, mut body: impl Read, mut part: File, received_bytes: u64) -> Result<(), Break> {
        let mut missing_bytes = self.file.pin.size_bytes.saturating_sub(received_bytes);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = match body.read(&mut chunk) {
                Ok(0) if missing_bytes == 0 => return Ok(()),
                Ok(0) => return Err(Break::Passing(self.transport(format!("{missing_bytes} bytes are missing")))),
                Ok(length) => length,
                Err(error) => return Err(Break::Passing(self.transport(error.to_string()))),
            };
            let Some(rest) = missing_bytes.checked_sub(length as u64) else {
                let reason =
                    format!("the answer is longer than the {} bytes that are pinned", self.file.pin.size_bytes);
                self.start_over().map_err(Break::Final)?;
                return Err(Break::Final(self.transport(reason)));
            };
            part.write_all(&chunk[..length])
                .map_err(|error| Break::Final(FetchError::io("write", &self.part)(error)))?;
            self.progress.advance(length as u64);
            missing_bytes = rest;
        }
    }

    /// Forgets what has arrived.
    fn start_over(&self) -> Result<(), FetchError> {
        match fs::remove_file(&self.part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FetchError::io("delete", &self.part)(error)),
            _ => Ok(()),
        }
    }

    fn transport(&self, reason: String) -> FetchError {
        FetchError::Transport { url: self.url.clone(), reason }
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT))
        .http_status_as_error(false)
        .user_agent(concat!("wisp/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Where the part of a file lies: beside it, with a name that no manifest can give to a file.
fn part(destination: &Path) -> PathBuf {
    let name = destination.file_name().unwrap_or_default().to_string_lossy();
    destination.with_file_name(format!(".{name}.part"))
}

fn continues_at<B>(response: &Response<B>, start: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// Percent-encodes what a path of a manifest may hold and an address may not.
fn escape(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    path.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
