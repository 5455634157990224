//! `[deployments.NAME]`, checked: the guest, whose it may be, and its grants.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use wisp_core::Placement;
use wisp_host::HttpGrant;
use wisp_model_store::PinnedArtifact;

use super::super::deployment::{
    DeploymentConfig, DirConfig, EnvConfig, GrantsConfig, InstancesChoice, ModelGrantConfig, TrustConfig,
};
use super::super::{GuestLimits, ModelConfig, bounds};
use super::{Checker, Problem, check_placement};
use crate::{BUILTIN_PREFIX, IMAGE_GUEST, builtin};

/// Hexadecimal digits of a digest.
const DIGEST_DIGITS: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deployment {
    guest: Spanned<String>,
    digest: Option<Spanned<String>>,
    signature: Option<String>,
    signed_by: Option<Spanned<Vec<String>>>,
    models: BTreeMap<Spanned<String>, Spanned<Grant>>,
    limits: Option<Spanned<GuestLimits>>,
    grants: Option<GrantsTable>,
    instances: Option<InstancesChoice>,
    route: Option<Spanned<String>>,
}

/// A model's name, or a table with it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the name of a model, or a table of model, max_rows and deadline_ms")]
enum Grant {
    Name(String),
    Table(ModelGrantConfig),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GrantsTable {
    dirs: Vec<Spanned<String>>,
    env: Vec<Spanned<String>>,
    http: Vec<Spanned<String>>,
    load: Vec<Spanned<String>>,
}

impl Checker<'_> {
    pub(super) fn deployment(
        &mut self,
        name: &Spanned<String>,
        deployment: Deployment,
        models: &BTreeMap<String, ModelConfig>,
    ) -> DeploymentConfig {
        let trust = self.trust(deployment.digest, deployment.signature, deployment.signed_by);
        let granted = self.models(name.get_ref(), deployment.models, models);
        let guest = self.guest(deployment.guest);
        let limits = match deployment.limits {
            Some(limits) => {
                let wrong = bounds::guest(name.get_ref(), limits.get_ref());
                wrong.into_iter().for_each(|message| self.note(limits.span(), message));
                limits.into_inner()
            }
            None => GuestLimits::default(),
        };
        DeploymentConfig {
            guest,
            trust,
            models: granted,
            limits,
            grants: deployment.grants.map(|grants| self.grants(grants)).unwrap_or_default(),
            instances: deployment.instances.unwrap_or_default(),
            route: deployment.route.map(|route| self.route(route)),
        }
    }

    fn models(
        &mut self,
        deployment: &str,
        granted: BTreeMap<Spanned<String>, Spanned<Grant>>,
        models: &BTreeMap<String, ModelConfig>,
    ) -> BTreeMap<String, ModelGrantConfig> {
        let mut grants = BTreeMap::new();
        for (alias, grant) in granted {
            let span = grant.span();
            let grant = match grant.into_inner() {
                Grant::Name(model) => ModelGrantConfig { model, ..ModelGrantConfig::default() },
                Grant::Table(grant) => grant,
            };
            if !models.contains_key(&grant.model) {
                let known: Vec<_> = models.keys().map(|name| format!("`{name}`")).collect();
                let others =
                    if known.is_empty() { String::new() } else { format!(" or use one of {}", known.join(", ")) };
                let model = &grant.model;
                self.note(span.clone(), format!("model `{model}` is not configured; add [models.{model}]{others}"));
            }
            for message in bounds::grant(deployment, alias.get_ref(), &grant) {
                self.note(span.clone(), message);
            }
            let alias = self.name(alias);
            grants.insert(alias, grant);
        }
        grants
    }

    fn guest(&mut self, guest: Spanned<String>) -> String {
        let span = guest.span();
        let guest = guest.into_inner();
        if guest.is_empty() {
            self.note(
                span,
                "guest is empty; write builtin:NAME, the path of a .wasm file, or oci:REF@sha256:DIGEST".to_owned(),
            );
            return guest;
        }
        if let Some(name) = guest.strip_prefix(BUILTIN_PREFIX) {
            if !builtin::may_be(name) {
                let message = format!("guest `{guest}` is not in this binary; it has {}", builtin::names());
                self.note(span, message);
            }
            return guest;
        }
        if self.base.has_image && guest == IMAGE_GUEST {
            return guest;
        }
        if let Some(artifact) = PinnedArtifact::parse(&guest) {
            artifact.map_or_else(|error| self.note(span, error.to_string()), drop);
            return guest;
        }
        let path = self.folder.join(guest);
        if let Err(reason) = (self.base.check_guest)(&path) {
            self.note(span, format!("guest {}: {reason}", path.display()));
        }
        path.display().to_string()
    }

    fn trust(
        &mut self,
        digest: Option<Spanned<String>>,
        signature: Option<String>,
        signed_by: Option<Spanned<Vec<String>>>,
    ) -> TrustConfig {
        if let Some(digest) = &digest
            && !is_digest(digest.get_ref())
        {
            let message =
                format!("`{}` is no digest; write sha256: and {DIGEST_DIGITS} hexadecimal digits", digest.get_ref());
            self.note(digest.span(), message);
        }
        if let Some(keys) = signed_by.as_ref().filter(|keys| keys.get_ref().is_empty()) {
            let message = "signed_by is empty, which nobody can satisfy; list public keys in PEM, or leave it out";
            self.note(keys.span(), message.to_owned());
        }
        let in_folder = |path: String| -> PathBuf { self.folder.join(path) };
        TrustConfig {
            digest: digest.map(|digest| digest.into_inner().to_ascii_lowercase()),
            signature: signature.map(in_folder),
            signed_by: signed_by.map(Spanned::into_inner).unwrap_or_default().into_iter().map(in_folder).collect(),
        }
    }

    fn grants(&mut self, grants: GrantsTable) -> GrantsConfig {
        let dirs = grants.dirs.into_iter().map(|text| self.dir(&text)).collect();
        let env = grants.env.into_iter().map(|text| self.env(&text)).collect();
        let http = grants.http.into_iter().filter_map(|text| {
            let parsed: Result<HttpGrant, _> = text.get_ref().parse();
            let span = text.span();
            self.keep(parsed.map(Some).map_err(|error| Problem { span, message: error.to_string() }), None)
        });
        let http = http.collect();
        let load: Vec<Placement> =
            grants.load.into_iter().filter_map(|text| self.keep(check_placement(text).map(Some), None)).collect();
        GrantsConfig { dirs, env, http, load, ..GrantsConfig::default() }
    }

    fn dir(&mut self, text: &Spanned<String>) -> DirConfig {
        let dir = DirConfig::parse(text.get_ref());
        if dir.host.as_os_str().is_empty() || dir.guest.is_empty() {
            let message = format!("`{}` names no folder; write HOST, or HOST::GUEST", text.get_ref());
            self.note(text.span(), message);
        }
        DirConfig { host: self.folder.join(&dir.host), ..dir }
    }

    fn env(&mut self, text: &Spanned<String>) -> EnvConfig {
        let env = EnvConfig::parse(text.get_ref());
        if env.name.is_empty() || text.get_ref().contains('\0') {
            let message = format!("`{}` is no variable; write NAME, or NAME=VALUE", text.get_ref().escape_debug());
            self.note(text.span(), message);
        }
        env
    }

    fn route(&mut self, route: Spanned<String>) -> String {
        let text = route.get_ref();
        let is_path = text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok() && !text.contains('?');
        if !is_path {
            self.note(route.span(), format!("`{text}` is no route; write the beginning of a path, such as /search"));
        }
        // `/search` and `/search/` are one.
        let text = route.into_inner();
        let trimmed = text.trim_end_matches('/');
        if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() }
    }
}

fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == DIGEST_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
