//! Wasm modules and models as OCI artifacts: pushed to registries, and pulled from them.
//!
//! [`push_module`] makes an artifact that `oras`, `wkg` and containerd understand; [`push_model`] makes a container image that
//! Kubernetes mounts as an image volume. [`pull`] takes either, and what those programs push, into the cache by its digest,
//! or anywhere else. An [`ArtifactName`] says which, [`RegistryOptions`] how.
//!
//! Credentials are those of the Docker configuration. Every byte is verified by its digest before it is used; what a registry sends
//! is bounded by [`RegistryOptions`], and layers write nothing outside their folder. Layers stream: a model never lies in
//! memory whole.
//!
//! ```no_run
//! use wisp_model_store::{Access, Home, NoProgress, Store};
//! use wisp_registry::{ArtifactName, RegistryOptions, pull};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::new(Home::from_env()?, Access::Online);
//! let name: ArtifactName = "registry.example/team/embedder:v1".parse()?;
//! let pulled = pull(&name, None, &store, &RegistryOptions::default(), &NoProgress).await?;
//! println!("guest = \"oci:{}\"", pulled.pinned);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod connection;
mod credentials;
mod document;
mod download;
mod error;
mod failure;
mod layer;
mod module;
mod options;
mod pull;
mod push;
mod reference;
mod trust;
mod unpack;
mod upload;

pub use error::RegistryError;
pub use options::RegistryOptions;
pub use pull::{Pulled, pull};
pub use push::{Pushed, push_model, push_module};
pub use reference::ArtifactName;

/// What an artifact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactKind {
    /// A Wasm module or component.
    Module,
    /// A model: manifest, golden vectors and files.
    Model,
}

impl ArtifactKind {
    /// Its name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Model => "model",
        }
    }
}
