//! Files with secrets: looked at again while the service runs, so that they can be exchanged without stopping it.
//!
//! They are read and compared instead of watched: mounted secrets are exchanged by turning links around, which watchers of files
//! miss, and three small files a second cost nothing.

use std::sync::Arc;
use std::time::Duration;

use wisp_engine::Engine;

use crate::transport::{Certificates, Refresh};

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(1);

/// Keeps certificates and tokens as the files have them; never ends by itself. What cannot be used is told once and changes
/// nothing.
pub(crate) async fn follow(engine: Engine, certificates: Option<Arc<Certificates>>) {
    let mut told = None;
    loop {
        tokio::time::sleep(POLL).await;
        let (engine, certificates) = (engine.clone(), certificates.clone());
        let looked = tokio::task::spawn_blocking(move || look(&engine, certificates.as_deref())).await;
        // A look does not panic; if it did, the next one may not.
        let Ok(problem) = looked else { continue };
        if let Some(problem) = problem.as_ref().filter(|problem| told.as_ref() != Some(*problem)) {
            tracing::error!("{problem}; what was read before stays in use");
        }
        told = problem;
    }
}

/// Looks at every file. Returns what is wrong.
fn look(engine: &Engine, certificates: Option<&Certificates>) -> Option<String> {
    let mut problem = None;
    match certificates.map(Certificates::refresh) {
        Some(Ok(Refresh::Exchanged)) => tracing::info!("the certificates changed; new connections use them"),
        Some(Err(error)) => problem = Some(error.to_string()),
        Some(Ok(Refresh::Unchanged)) | None => {}
    }
    match engine.reread_tokens() {
        Ok(true) => tracing::info!("the tokens of tenants changed"),
        Ok(false) => {}
        Err(error) => problem = Some(error.to_string()),
    }
    problem
}
