//! Who is at the other end of a connection, as far as the connection itself tells.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use webpki::EndEntityCert;

/// What is known of a peer; an extension of each of its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// Whether it is on this machine, or in this pod.
    pub(crate) is_local: bool,
    /// Whether the connection is encrypted.
    pub(crate) is_encrypted: bool,
    /// The subject alternative names of its certificate, DNS names and URIs (such as SPIFFE ids); empty without a certificate.
    pub(crate) names: Arc<[String]>,
}

impl Peer {
    /// Of a connection of which nothing more is known yet.
    pub(super) fn of(stream: &TcpStream) -> Self {
        let is_local = stream.peer_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
        Self { is_local, ..Self::default() }
    }

    /// With certificates, if there are any, that were verified in the handshake; the first is the peer's own.
    pub(super) fn encrypted(self, certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let own = certificates.and_then(<[_]>::first).and_then(|own| EndEntityCert::try_from(own).ok());
        let names = own.map_or_else(Vec::new, |own| {
            own.valid_dns_names().chain(own.valid_uri_names()).map(str::to_owned).collect()
        });
        Self { is_encrypted: true, names: names.into(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_of_workloads_are_read() {
        let mut parameters = rcgen::CertificateParams::new(["client.example".to_owned()]).expect("names");
        let workload = "spiffe://cluster.example/ns/web/sa/search".try_into().expect("ASCII");
        parameters.subject_alt_names.push(rcgen::SanType::URI(workload));
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let peer = Peer::default().encrypted(Some(&[certificate.der().clone()]));
        assert_eq!(&*peer.names, ["client.example", "spiffe://cluster.example/ns/web/sa/search"]);
        assert!(peer.is_encrypted);
    }

    #[test]
    fn whoever_shows_no_certificate_has_no_name() {
        assert!(Peer::default().encrypted(None).names.is_empty());
        assert!(Peer::default().encrypted(Some(&[CertificateDer::from(vec![0x30, 0x00])])).names.is_empty());
    }
}
