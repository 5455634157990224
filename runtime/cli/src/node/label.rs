//! The node's labels in the cluster, by which pods of the RuntimeClass find nodes that have Wisp.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

/// There while pods can have Wisp on the node; what the RuntimeClass looks for.
const READY_LABEL: &str = "wisp.dev/runtime";
/// The version that new pods get.
const VERSION_LABEL: &str = "wisp.dev/version";

/// What a pod is given to talk with the cluster.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Gives the node its labels, or takes them away.
pub(super) fn set(node: &str, version: Option<&str>) -> Result<()> {
    let address =
        address().context("the cluster cannot be reached from here: label the node yourself, or run this in a pod")?;
    let read = |name: &str| {
        let path = Path::new(ACCOUNT).join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let (token, authority) = (read("token")?, read("ca.crt")?);
    let patch = json!({ "metadata": { "labels": { READY_LABEL: version.map(|_| "ready"), VERSION_LABEL: version } } });
    let url = format!("https://{address}/api/v1/nodes/{node}");
    let answer = agent(&authority)?
        .patch(&url)
        .header("authorization", format!("Bearer {}", token.trim()))
        .header("content-type", "application/strategic-merge-patch+json")
        .send(patch.to_string());
    answer.with_context(|| format!("node {node} cannot be labelled"))?;
    Ok(())
}

fn agent(authority: &str) -> Result<ureq::Agent> {
    let certificates: Vec<_> = ureq::tls::parse_pem(authority.as_bytes())
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    let roots = ureq::tls::RootCerts::new_with_certs(&certificates);
    let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
    Ok(ureq::Agent::config_builder().tls_config(tls).build().new_agent())
}

/// Where the cluster's API is, as every pod is told.
fn address() -> Option<String> {
    let (host, port) = (std::env::var("KUBERNETES_SERVICE_HOST").ok()?, std::env::var("KUBERNETES_SERVICE_PORT").ok()?);
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}
