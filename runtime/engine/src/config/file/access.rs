//! `[server.tls]` and `[tenants]` in the text of a configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::super::{ClientCertificates, Scope, TenantConfig, TlsConfig, bounds};
use super::Checker;
use crate::ANONYMOUS;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsTable {
    cert: String,
    key: String,
    client_ca: Option<String>,
    client_certificates: Option<Spanned<ClientCertificates>>,
    #[serde(default)]
    admin: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantTable {
    token_file: Option<String>,
    #[serde(default)]
    sans: Vec<Spanned<String>>,
    scopes: Option<Vec<Scope>>,
    share: Option<f64>,
    inflight_requests: Option<u32>,
}

impl Checker<'_> {
    pub(super) fn tls(&mut self, table: TlsTable) -> TlsConfig {
        if let (None, Some(client_certificates)) = (&table.client_ca, &table.client_certificates) {
            let message = "client_certificates needs client_ca, the file with the authorities that issue them";
            self.note(client_certificates.span(), message.to_owned());
        }
        TlsConfig {
            cert: self.folder.join(table.cert),
            key: self.folder.join(table.key),
            client_ca: table.client_ca.map(|path| self.folder.join(path)),
            client_certificates: table.client_certificates.map(Spanned::into_inner).unwrap_or_default(),
            admin: table.admin,
        }
    }

    pub(super) fn tenants(
        &mut self,
        tables: BTreeMap<Spanned<String>, Spanned<TenantTable>>,
        has_client_ca: bool,
    ) -> BTreeMap<String, TenantConfig> {
        let mut tenants = BTreeMap::new();
        let mut owners = BTreeMap::new();
        for (name, table) in tables {
            let (span, table) = (table.span(), table.into_inner());
            let defaults = TenantConfig::default();
            let share = table.share.unwrap_or(defaults.share);
            if let Some(message) = bounds::tenant(name.get_ref(), share, table.inflight_requests) {
                self.note(span.clone(), message);
            }
            if table.token_file.is_none() && table.sans.is_empty() && name.get_ref() != ANONYMOUS {
                let message = format!(
                    "tenant `{}` has neither token_file nor sans; only `{ANONYMOUS}`, whoever shows nothing, can do without",
                    name.get_ref()
                );
                self.note(span, message);
            }
            for san in &table.sans {
                if !has_client_ca {
                    let message = "sans are names in clients' certificates; set client_ca under [server.tls]";
                    self.note(san.span(), message.to_owned());
                }
                if let Some(other) = owners.insert(san.get_ref().clone(), name.get_ref().clone()) {
                    self.note(san.span(), format!("`{}` is a name of tenant `{other}` already", san.get_ref()));
                }
            }
            let tenant = TenantConfig {
                token_file: table.token_file.map(|path| self.folder.join(path)),
                sans: table.sans.into_iter().map(Spanned::into_inner).collect(),
                scopes: table.scopes.unwrap_or(defaults.scopes),
                share,
                inflight_requests: table.inflight_requests,
            };
            let name = self.name(name);
            tenants.insert(name, tenant);
        }
        tenants
    }
}
