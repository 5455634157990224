//! What the answer of a registry, or the lack of one, means: try again, or tell the user.

use std::error::Error;

use oci_client::errors::{OciDistributionError, OciErrorCode};

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection could not be made or broke.
    Connection(String),
    /// Nothing came in time.
    Silence,
    /// The certificate is not accepted.
    Certificate(String),
    /// The other side speaks no TLS.
    NoTls,
    /// 429, 5xx.
    Busy(String),
    /// 401, 403.
    Access,
    /// 404.
    Missing,
    /// What came has another digest.
    Digest { expected: String, actual: String },
    /// The registry does not take a blob in parts.
    NoChunks(String),
    /// Anything else.
    Refused(String),
}

impl Failure {
    /// Whether the same request may work in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Silence | Self::Busy(_))
    }

    /// What a stream of a blob ended with.
    pub(crate) fn of_stream(error: std::io::Error) -> Self {
        match error.downcast::<OciDistributionError>() {
            Ok(error) => error.into(),
            Err(error) => match digest_error(&error) {
                Some(failure) => failure,
                None => of_chain(&error),
            },
        }
    }

    fn of_status(status: u16, message: &str) -> Self {
        let answer = match message.trim() {
            "" => format!("status {status}"),
            message => format!("status {status}: {}", message.chars().take(200).collect::<String>()),
        };
        match status {
            401 | 403 => Self::Access,
            404 => Self::Missing,
            408 | 429 | 500..=599 => Self::Busy(answer),
            405 | 411 | 416 => Self::NoChunks(answer),
            _ => Self::Refused(answer),
        }
    }
}

impl From<OciDistributionError> for Failure {
    fn from(error: OciDistributionError) -> Self {
        match error {
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                Self::Access
            }
            OciDistributionError::ServerError { code, message, .. } => Self::of_status(code, &message),
            OciDistributionError::ImageManifestNotFoundError(_) => Self::Missing,
            OciDistributionError::SpecViolationError(reason) => Self::NoChunks(reason),
            OciDistributionError::IoError(error) => Self::of_stream(error),
            OciDistributionError::DigestError(error) => of_digest(&error),
            OciDistributionError::RegistryError { envelope, .. } => {
                let said: Vec<_> = envelope.errors.iter().map(|error| error.message.clone()).collect();
                match envelope.errors.first().map(|error| &error.code) {
                    Some(OciErrorCode::Toomanyrequests) => Self::Busy(format!("status 429: {}", said.join(", "))),
                    Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => Self::Access,
                    Some(
                        OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::BlobUnknown
                        | OciErrorCode::NotFound,
                    ) => Self::Missing,
                    _ => Self::Refused(said.join(", ")),
                }
            }
            OciDistributionError::RequestError(error) => match error.status() {
                Some(status) => Self::of_status(status.as_u16(), ""),
                None if error.is_timeout() => Self::Silence,
                None if error.is_builder() => Self::Refused(innermost(&error)),
                None => of_chain(&error),
            },
            other => Self::Refused(other.to_string()),
        }
    }
}

fn of_digest(error: &oci_client::errors::DigestError) -> Failure {
    match error {
        oci_client::errors::DigestError::VerificationError { expected, actual } => {
            Failure::Digest { expected: expected.clone(), actual: actual.clone() }
        }
        other => Failure::Refused(other.to_string()),
    }
}

fn digest_error(error: &std::io::Error) -> Option<Failure> {
    Some(of_digest(error.get_ref()?.downcast_ref::<oci_client::errors::DigestError>()?))
}

/// A failure by what its causes say: TLS hides below the connection, inside of I/O errors.
fn of_chain(error: &(dyn Error + 'static)) -> Failure {
    if let Some(failure) = known(error) {
        return failure;
    }
    let reason = innermost(error);
    if reason == "operation timed out" { Failure::Silence } else { Failure::Connection(reason) }
}

/// The first cause that says more than that something broke.
fn known(error: &(dyn Error + 'static)) -> Option<Failure> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(of_tls(tls));
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if io.kind() == std::io::ErrorKind::TimedOut {
                return Some(Failure::Silence);
            }
            // What an I/O error wraps is none of its causes: those begin below it.
            if let Some(inner) = io.get_ref()
                && let Some(failure) = known(inner)
            {
                return Some(failure);
            }
        }
        cause = error.source();
    }
    None
}

fn of_tls(error: &rustls::Error) -> Failure {
    match error {
        rustls::Error::InvalidMessage(_) => Failure::NoTls,
        rustls::Error::InvalidCertificate(reason) => Failure::Certificate(reason.to_string()),
        other => Failure::Connection(other.to_string()),
    }
}

/// The last cause, which says what happened; the ones before it say where.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_tried_again_only_when_it_may_pass() {
        for (status, is_passing) in
            [(429, true), (500, true), (502, true), (503, true), (408, true), (400, false), (404, false)]
        {
            assert_eq!(Failure::of_status(status, "").is_passing(), is_passing, "{status}");
        }
        assert_eq!((Failure::of_status(401, ""), Failure::of_status(403, "")), (Failure::Access, Failure::Access));
        let long = "x".repeat(10_000);
        let Failure::Busy(answer) = Failure::of_status(503, &long) else { panic!("503 is busy") };
        assert!(answer.len() < 300, "a page of HTML is no message");
    }

    #[test]
    fn tls_is_found_below_other_errors() {
        let wrapped = |error| std::io::Error::other(std::io::Error::new(std::io::ErrorKind::InvalidData, error));
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(matches!(Failure::of_stream(std::io::Error::other(unknown.clone())), Failure::Certificate(_)));
        let http = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(Failure::of_stream(std::io::Error::other(http)), Failure::NoTls);
        assert!(matches!(Failure::of_stream(wrapped(unknown)), Failure::Certificate(_)));
        assert!(matches!(Failure::of_stream(std::io::ErrorKind::ConnectionReset.into()), Failure::Connection(_)));
    }
}
