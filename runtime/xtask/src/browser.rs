//! Chromium and its driver out of Debian's packages, for the tests of the console's page.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use wisp_testing::Browser;

use crate::packages::{Ingredients, Wanted, install};
use crate::process::capture;
use crate::progress::Step;

/// The oldest suite whose packages are kept up to date: its programs run on every C library that is newer.
const SUITE: &str = "bookworm";

/// The browser, what drives it, and a font to look at pages with.
const ROOTS: [&str; 4] = ["chromium", "chromium-common", "chromium-driver", "fonts-inter"];

/// The C library is the machine's own, since its loader starts the programs; without a screen nobody needs windows.
const LEFT_OUT: [&str; 7] =
    ["libc6", "debconf", "libgtk-3-0", "x11-utils", "xdg-desktop-portal", "xdg-desktop-portal-backend", "xdg-utils"];

/// Unpacks them below `tools` where they are missing; what is there then, in a few words. Where Debian's packages cannot be
/// had, the tests look for a browser of the machine's own.
pub(crate) fn ensure(tools: &Path, step: &Step) -> Result<String> {
    let browser = Browser::below(tools);
    if browser.version().is_none() {
        if let Err(obstacle) = Ingredients::of_this_machine() {
            return Ok(format!("not fetched, and tests of pages need one of the machine's own: {obstacle:#}"));
        }
        let wanted = Wanted::WithNeeds { roots: &ROOTS, left_out: &LEFT_OUT };
        install(browser.root(), SUITE, &wanted, step, |unpacked| {
            let unpacked = Browser::at(unpacked);
            [unpacked.program(), unpacked.driver_program()].into_iter().try_for_each(|program| {
                let mut command = Command::new(program);
                capture(unpacked.with_libraries(&mut command).arg("--version")).map(drop)
            })
        })?;
    }
    let version = browser.version().unwrap_or_default();
    Ok(format!("{version} out of Debian's packages"))
}
