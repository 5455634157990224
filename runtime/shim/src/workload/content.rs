//! The little of containerd's gRPC services that a shim needs: which image a container has, and the bytes of a blob.
//!
//! Messages are an own transcription, field by field, of containerd's public API (`containers/v1`, `images/v1`, `content/v1`);
//! fields that are not read here are left out.

use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::error::{Error, Result, chain};

/// A connection to containerd within one namespace.
pub(super) struct Containerd {
    address: String,
    namespace: String,
    service: Grpc<Channel>,
}

/// Name of a blob, and what it is.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Descriptor {
    /// What the blob holds.
    #[prost(string, tag = "1")]
    pub(super) media_type: String,
    /// `sha256:` and its digest in hexadecimal.
    #[prost(string, tag = "2")]
    pub(super) digest: String,
    /// Bytes.
    #[prost(int64, tag = "3")]
    pub(super) size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct GetContainerRequest {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct GetContainerResponse {
    #[prost(message, optional, tag = "1")]
    container: Option<Container>,
}

#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "3")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct GetImageRequest {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct GetImageResponse {
    #[prost(message, optional, tag = "1")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(message, optional, tag = "3")]
    target: Option<Descriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadContentRequest {
    #[prost(string, tag = "1")]
    digest: String,
    #[prost(int64, tag = "2")]
    offset: i64,
    #[prost(int64, tag = "3")]
    size: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ReadContentResponse {
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
}

impl Containerd {
    /// Connects to the socket at `address`.
    pub(super) async fn connect(address: &str, namespace: &str) -> Result<Self> {
        let failed =
            |reason: String| Error::Containerd { address: address.to_owned(), what: "its socket".into(), reason };
        let uri = format!("unix://{}", address.trim_start_matches("unix://"));
        let endpoint = Endpoint::from_shared(uri).map_err(|error| failed(chain(&error)))?;
        let channel = endpoint.connect().await.map_err(|error| failed(chain(&error)))?;
        Ok(Self { address: address.to_owned(), namespace: namespace.to_owned(), service: Grpc::new(channel) })
    }

    /// The name of a container's image; empty for a container without one.
    pub(super) async fn image_of(&mut self, container: &str) -> Result<String> {
        let request = GetContainerRequest { id: container.to_owned() };
        let response: GetContainerResponse =
            self.unary("/containerd.services.containers.v1.Containers/Get", request, container).await?;
        Ok(response.container.unwrap_or_default().image)
    }

    /// What an image's name stands for: a manifest, or an index of them.
    pub(super) async fn target_of(&mut self, image: &str) -> Result<Descriptor> {
        let request = GetImageRequest { name: image.to_owned() };
        let response: GetImageResponse =
            self.unary("/containerd.services.images.v1.Images/Get", request, image).await?;
        Ok(response.image.and_then(|image| image.target).unwrap_or_default())
    }

    /// Reads a whole blob of at most `limit_bytes` and checks its digest.
    pub(super) async fn read(&mut self, blob: &Descriptor, image: &str, limit_bytes: u64) -> Result<Vec<u8>> {
        let announced = u64::try_from(blob.size).unwrap_or(u64::MAX);
        if announced > limit_bytes {
            return Err(Error::ModuleTooLarge { name: blob.digest.clone(), bytes: announced, limit_bytes });
        }
        let request = self.request(ReadContentRequest { digest: blob.digest.clone(), offset: 0, size: 0 })?;
        let refused = |address: &str, status: tonic::Status| Error::Containerd {
            address: address.to_owned(),
            what: format!("blob {}", blob.digest),
            reason: status.message().to_owned(),
        };
        let address = self.address.clone();
        self.ready().await?;
        let path = PathAndQuery::from_static("/containerd.services.content.v1.Content/Read");
        let response = self
            .service
            .server_streaming(request, path, ProstCodec::<ReadContentRequest, ReadContentResponse>::default())
            .await;
        let mut stream = response.map_err(|status| refused(&address, status))?.into_inner();
        let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
        while let Some(part) = stream.message().await.map_err(|status| refused(&address, status))? {
            bytes.extend_from_slice(&part.data);
            if bytes.len() as u64 > announced {
                break;
            }
        }
        if format!("sha256:{}", hex(&Sha256::digest(&bytes))) == blob.digest {
            Ok(bytes)
        } else {
            Err(Error::DigestMismatch { image: image.to_owned(), digest: blob.digest.clone() })
        }
    }

    async fn unary<Request, Response>(&mut self, path: &'static str, message: Request, what: &str) -> Result<Response>
    where
        Request: Message + Send + Sync + 'static,
        Response: Message + Default + Send + Sync + 'static,
    {
        let request = self.request(message)?;
        self.ready().await?;
        let answer = self
            .service
            .unary(request, PathAndQuery::from_static(path), ProstCodec::<Request, Response>::default())
            .await;
        answer.map(tonic::Response::into_inner).map_err(|status| Error::Containerd {
            address: self.address.clone(),
            what: format!("`{what}` ({path})"),
            reason: status.message().to_owned(),
        })
    }

    fn request<Message>(&self, message: Message) -> Result<tonic::Request<Message>> {
        let mut request = tonic::Request::new(message);
        let namespace = self.namespace.parse().map_err(|_| Error::Setting {
            place: "containerd's namespace".into(),
            reason: format!("`{}` cannot be a header", self.namespace.escape_debug()),
        })?;
        request.metadata_mut().insert("containerd-namespace", namespace);
        Ok(request)
    }

    async fn ready(&mut self) -> Result<()> {
        self.service.ready().await.map_err(|error| Error::Containerd {
            address: self.address.clone(),
            what: "its socket".into(),
            reason: chain(&error),
        })
    }
}

/// Bytes as lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
