//! Programs: modules that run once, with models and grants that a command line gives them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wisp_host::{
    AotCache, CallError, DirGrant, Grants, Guest, Host, HostConfig, Limits, Loading, ModelGrant, Outside, ProgramCall,
    ProgramEnd, Streams, TensorTypes, Terms,
};
use wisp_model_store::{Progress, Store};

use crate::brought::Brought;
use crate::config::{DeviceConfig, GrantsConfig, GuestLimits, ModelConfig, TrustConfig};
use crate::metrics::Metrics;
use crate::model::Models;
use crate::outside::outside;
use crate::{StartError, trust};

/// What a program is run with.
#[derive(Clone, Debug, Default)]
pub struct ProgramConfig {
    /// Its name, for messages.
    pub name: String,
    /// Its file, if it has one: a signature may lie beside it.
    pub file: Option<PathBuf>,
    /// What it must be for it to be compiled.
    pub trust: TrustConfig,
    /// The models, by the alias that it uses.
    pub models: BTreeMap<String, ModelConfig>,
    /// What it may use besides.
    pub grants: GrantsConfig,
    /// Whether it may change what is in its folders.
    pub may_write: bool,
    /// Its bounds.
    pub limits: GuestLimits,
}

/// A program, loaded with its models.
pub struct Program {
    guest: Guest,
    name: Arc<str>,
    grants: Arc<Grants>,
    limits: Limits,
}

impl Program {
    /// Loads the module, its models after it: a module that cannot run costs nothing.
    ///
    /// # Errors
    /// [`StartError`] naming what is wrong.
    pub fn load(
        config: &ProgramConfig,
        wasm: &[u8],
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Self, StartError> {
        let name = &config.name;
        trust::check(&config.trust, config.file.as_deref(), wasm).map_err(|source| StartError::Trust {
            deployment: name.clone(),
            guest: name.clone(),
            source,
        })?;
        let limits = Limits::from(&config.limits);
        let host = Host::new(HostConfig {
            max_instances: 1,
            max_memory_bytes: limits.memory_bytes,
            max_table_elements: limits.table_elements,
            aot_cache: store.may_write().then(|| AotCache::at(store.home().aot())),
            ..HostConfig::default()
        })?;
        let loading = Loading {
            code: None,
            is_metered: limits.fuel.is_some(),
            compile_limit: Some(Duration::from_millis(config.limits.compile_ms)),
            max_module_bytes: Some(config.limits.module_bytes),
        };
        let guest = host.load_as(name, wasm, loading)?;
        let metrics = Metrics::new();
        let mut started = Models::within(&BTreeMap::<_, DeviceConfig>::new(), None, metrics.scheduler.clone());
        let models = config.models.iter().map(|(alias, model)| {
            let (granted, _) = started.start(alias, model, None, store, progress)?;
            Ok((alias.clone(), ModelGrant::from(granted)))
        });
        let models = models.collect::<Result<Vec<_>, StartError>>()?;
        let outside = outside(name, &config.grants, &Brought::new(store, metrics.scheduler.clone()))?;
        let dirs = outside.dirs.into_iter().map(|dir| DirGrant { may_write: config.may_write, ..dir }).collect();
        let outside = Outside { dirs, ..outside };
        let grants = Arc::new(Grants::new(models).with_outside(outside));
        Ok(Self { guest, name: name.as_str().into(), grants, limits })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// [`CallError`] when it breaks off; an exit code of its own is none.
    pub async fn run(&self, streams: Streams, tensor_types: TensorTypes) -> Result<ProgramEnd, CallError> {
        let terms = Terms::new(Arc::clone(&self.name), Arc::clone(&self.grants), self.limits);
        self.guest.run(ProgramCall { terms, streams, tensor_types }).await
    }
}
