//! Blobs that come down in as many pieces as it takes: what has arrived stays in a file, and the rest is asked for.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use oci_client::client::BlobResponse;
use wisp_model_store::{Progress, Sha256Digest, Sha256Hasher};

use crate::RegistryError;
use crate::connection::Connection;
use crate::document::Descriptor;
use crate::failure::Failure;

/// Why an attempt at a blob ended.
enum Ended {
    Failed(Failure),
    Io(std::io::Error),
    TooLong { size_bytes: u64 },
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Brings a blob into `folder`, where an earlier attempt may have left its beginning, and verifies every byte.
///
/// # Errors
/// [`RegistryError`]; what has arrived before the connection was lost stays for the next time.
pub(crate) async fn download(
    connection: &Connection,
    blob: &Descriptor,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, RegistryError> {
    let digest = blob.sha256()?;
    let path = folder.join(digest.to_string());
    fs::create_dir_all(folder).map_err(RegistryError::io("create", folder))?;
    let what = format!("layer {} of {}", blob.digest, connection.name);
    let at_path = |error| RegistryError::io("write", &path)(error);
    let had_bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let label = blob.title().map_or_else(|| digest.short(), str::to_owned);
    progress.step(&format!("pulling {label}"), Some(blob.size));
    if had_bytes > 0 {
        tracing::info!(what, had_bytes, "resuming");
    }
    // A beginning that another registry or version left is found out only at the end: then once more from the start.
    for is_last in [had_bytes == 0, true] {
        let arrived =
            connection.patiently(&what, async || match piece(connection, blob, digest, &path, progress).await {
                Err(Ended::Failed(failure)) => Err(failure),
                other => Ok(other),
            });
        match arrived.await? {
            Ok(actual) if actual == digest => break,
            Ok(actual) => {
                fs::remove_file(&path).map_err(at_path)?;
                if is_last {
                    let (expected, actual) = (blob.digest.clone(), actual.to_oci());
                    return Err(RegistryError::Digest { what, expected, actual });
                }
                progress.step(&format!("pulling {label} anew"), Some(blob.size));
            }
            Err(Ended::TooLong { size_bytes }) => {
                fs::remove_file(&path).map_err(at_path)?;
                return Err(RegistryError::TooLarge { what, size_bytes, limit_bytes: blob.size });
            }
            Err(Ended::Io(error)) => return Err(at_path(error)),
            Err(Ended::Failed(failure)) => return Err(connection.explain(failure, &what, 1)),
        }
    }
    progress.done(&format!("{label} pulled"));
    Ok(path)
}

/// One request for what is missing; the digest of the whole file once nothing is.
async fn piece(
    connection: &Connection,
    blob: &Descriptor,
    expected: Sha256Digest,
    path: &Path,
    progress: &dyn Progress,
) -> Result<Sha256Digest, Ended> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let (mut hasher, mut had_bytes) = read_beginning(&mut file, blob.size)?;
    if had_bytes == blob.size {
        let digest = hasher.finish();
        if digest == expected || blob.size == 0 {
            return Ok(digest);
        }
        (hasher, had_bytes) = (Sha256Hasher::default(), 0);
        file.set_len(0)?;
        file.rewind()?;
    }
    let failed = |error: oci_client::errors::OciDistributionError| Ended::Failed(error.into());
    let (client, reference, digest) = (&connection.client, &connection.name.reference, blob.digest.as_str());
    let mut stream = if had_bytes == 0 {
        client.pull_blob_stream(reference, digest).await.map_err(failed)?
    } else {
        match client.pull_blob_stream_partial(reference, digest, had_bytes, None).await.map_err(failed)? {
            BlobResponse::Partial(stream) => stream,
            BlobResponse::Full(stream) => {
                // This registry starts again at the beginning, and so must we.
                file.set_len(0)?;
                file.rewind()?;
                (hasher, had_bytes) = (Sha256Hasher::default(), 0);
                stream
            }
        }
    };
    progress.step(&format!("pulling {}", blob.title().unwrap_or(digest)), Some(blob.size));
    progress.advance(had_bytes);
    while let Some(bytes) = stream.next().await {
        let bytes = match bytes.map_err(Failure::of_stream) {
            Ok(bytes) => bytes,
            // Told by the digest of the file, together with what was there before.
            Err(Failure::Digest { .. }) => break,
            Err(failure) => {
                file.flush()?;
                return Err(Ended::Failed(failure));
            }
        };
        had_bytes += bytes.len() as u64;
        if had_bytes > blob.size {
            return Err(Ended::TooLong { size_bytes: had_bytes });
        }
        file.write_all(&bytes)?;
        hasher.update(&bytes);
        progress.advance(bytes.len() as u64);
    }
    if had_bytes < blob.size {
        let reason = format!("the answer ended after {had_bytes} of {} bytes", blob.size);
        return Err(Ended::Failed(Failure::Connection(reason)));
    }
    file.sync_all()?;
    Ok(hasher.finish())
}

/// Hashes what is there already, and stands behind it; a file that is longer than the blob is none of it.
fn read_beginning(file: &mut File, size_bytes: u64) -> std::io::Result<(Sha256Hasher, u64)> {
    let mut hasher = Sha256Hasher::default();
    let had_bytes = file.metadata()?.len();
    if had_bytes > size_bytes {
        file.set_len(0)?;
        return Ok((hasher, 0));
    }
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            count => hasher.update(&chunk[..count]),
        }
    }
    file.seek(SeekFrom::Start(had_bytes))?;
    Ok((hasher, had_bytes))
}
