//! The one directory that everything Wisp downloads, builds and caches lies in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// The cache directory: `WISP_HOME`, else `$XDG_CACHE_HOME/wisp`, else `~/.cache/wisp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The directory that the environment names. Nothing is created yet.
    ///
    /// # Errors
    /// [`StoreError::NoHome`] when none of the three variables is set.
    pub fn from_env() -> Result<Self, StoreError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// This directory, whatever the environment says.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Model files, by name and digest.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// Models that the user imported, by name: each a folder with `model.toml` and files.
    #[must_use]
    pub fn imported(&self) -> PathBuf {
        self.root.join("imported")
    }

    /// What was measured when sessions were compared with golden answers.
    #[must_use]
    pub fn proofs(&self) -> PathBuf {
        self.root.join("proofs")
    }

    /// What backends compiled out of models for the devices of this machine.
    #[must_use]
    pub fn compiled(&self) -> PathBuf {
        self.root.join("compiled")
    }

    /// Native libraries, by name and version.
    #[must_use]
    pub fn libraries(&self) -> PathBuf {
        self.root.join("libraries")
    }

    /// Machine code that Wisp compiled out of guests.
    #[must_use]
    pub fn aot(&self) -> PathBuf {
        self.root.join("aot")
    }

    /// Compilers for guests, where rustup has none.
    #[must_use]
    pub fn toolchains(&self) -> PathBuf {
        self.root.join("toolchains")
    }

    /// Programs that set-up and tests need.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, StoreError> {
        let directory = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The XDG base directory specification has relative paths ignored.
        let xdg = || directory("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("wisp"));
        let user = || directory("HOME").map(|path| path.join(".cache/wisp"));
        directory("WISP_HOME").or_else(xdg).or_else(user).map(Self::at).ok_or(StoreError::NoHome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(variables: &[(&str, &str)]) -> Option<PathBuf> {
        let lookup = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| OsString::from(value))
        };
        Home::from_variables(lookup).ok().map(|home| home.root)
    }

    #[test]
    fn the_most_specific_variable_wins() {
        let user = ("HOME", "/home/ada");
        for (variables, expected) in [
            (vec![user, ("XDG_CACHE_HOME", "/cache"), ("WISP_HOME", "/wisp")], "/wisp"),
            (vec![user, ("XDG_CACHE_HOME", "/cache")], "/cache/wisp"),
            (vec![user, ("XDG_CACHE_HOME", "relative"), ("WISP_HOME", "")], "/home/ada/.cache/wisp"),
        ] {
            assert_eq!(home(&variables).as_deref(), Some(Path::new(expected)));
        }
    }

    #[test]
    fn no_variable_is_an_error_that_names_the_remedy() {
        let error = Home::from_variables(|_| None).expect_err("nothing is set");
        assert!(error.to_string().contains("set WISP_HOME"), "{error}");
    }
}
