//! A real browser for tests of pages: Chromium and its driver, unpacked by set-up or installed on the machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use wisp_model_store::Home;

use crate::skip;

/// Counts changes of what set-up unpacks; an older folder is left alone and no longer used.
const RECIPE: u32 = 1;

/// How browsers are called where a machine has one.
const INSTALLED: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A browser and its driver.
#[derive(Clone, Debug)]
pub struct Browser {
    root: PathBuf,
    program: PathBuf,
    driver: PathBuf,
}

impl Browser {
    /// The one that set-up unpacks below the folder of all tools.
    #[must_use]
    pub fn below(tools: &Path) -> Self {
        Self::at(&tools.join(format!("chromium-debian-{RECIPE}")))
    }

    /// One in the unpacked packages of Debian.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        let (program, driver) = (root.join("usr/lib/chromium/chromium"), root.join("usr/bin/chromedriver"));
        Self { root: root.to_owned(), program, driver }
    }

    /// The browser that set-up unpacked, or else the machine's own; a skip of `test` without either.
    #[must_use]
    pub fn get(test: &str) -> Option<Self> {
        let unpacked = Home::from_env().ok().map(|home| Self::below(&home.tools()));
        let found = unpacked.filter(|browser| browser.version().is_some()).or_else(Self::installed);
        if found.is_none() {
            skip(test, "there is no browser; run `cargo xtask setup`, or install chromium and chromedriver");
        }
        found
    }

    fn installed() -> Option<Self> {
        let program = INSTALLED.into_iter().find_map(in_path)?;
        Some(Self { root: PathBuf::from("/"), program, driver: in_path("chromedriver")? })
    }

    /// The folder of its packages.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The browser.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What drives it.
    #[must_use]
    pub fn driver_program(&self) -> &Path {
        &self.driver
    }

    /// Lets a program find the libraries of the packages; those that it starts inherit it.
    pub fn with_libraries<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if self.root != Path::new("/") {
            let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
            let folders =
                [format!("usr/lib/{triple}"), format!("lib/{triple}"), format!("usr/lib/{triple}/pulseaudio")];
            let folders = folders.map(|folder| self.root.join(folder).display().to_string());
            command.env("LD_LIBRARY_PATH", folders.join(":"));
        }
        command
    }

    /// What the driver says it is, `ChromeDriver 150.0.7871.100`; `None` when it does not run.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let mut command = Command::new(&self.driver);
        let said = self.with_libraries(&mut command).arg("--version").output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        let version: Vec<_> = said.split_whitespace().take(2).collect();
        (version.len() == 2 && self.program.is_file()).then(|| version.join(" "))
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}
