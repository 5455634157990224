//! `cargo xtask setup`: everything that the demo and the tests need, fetched, built and checked in one order.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use wisp_model_store::Home;

use crate::assets;
use crate::browser;
use crate::go_tools;
use crate::guests::{self, Guest};
use crate::process::{cargo, run_within};
use crate::progress::Step;
use crate::python_packages;
use crate::repository::Repository;
use crate::toolchain::{Choice, GuestToolchain};
use crate::tools;

/// What every command works with.
#[derive(Clone, Debug)]
pub(crate) struct Workplace {
    /// The checkout.
    pub(crate) repository: Repository,
    /// The cache directory, by an absolute path: tests run in folders of their own.
    pub(crate) home: Home,
    /// The guest compiler that the user wants.
    pub(crate) compiler: Choice,
}

impl Workplace {
    /// The checkout, and the cache directory that the environment names.
    pub(crate) fn open(compiler: Choice) -> Result<Self> {
        let home = Home::from_env()?;
        let root = std::path::absolute(home.root()).context("the cache directory has no absolute path")?;
        Ok(Self { repository: Repository::open()?, home: Home::at(root), compiler })
    }
}

/// What set-up has put in place.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Folder of the tokenizer that the portable guest compiles in.
    pub(crate) tokenizer: PathBuf,
    /// The guests.
    pub(crate) guests: Vec<Guest>,
}

/// Brings everything in place up to the built programs. Each step finds out by itself that there is nothing to do.
pub(crate) fn prepare(workplace: &Workplace) -> Result<Prepared> {
    let prepared = prepare_guests(workplace)?;

    let step = Step::begin("libraries");
    let summary = assets::ensure_libraries(&workplace.home, &step)?;
    step.done(&summary);

    let step = Step::begin("wisp");
    step.say("cargo build");
    run_within(&step, cargo().current_dir(workplace.repository.root()).arg("build"))?;
    step.done("built in target/debug");
    Ok(prepared)
}

/// As [`prepare`], with the programs that only tests use.
pub(crate) fn prepare_tests(workplace: &Workplace) -> Result<Prepared> {
    let prepared = prepare(workplace)?;
    let step = Step::begin("Go programs");
    let summary = go_tools::ensure(&workplace.home.tools(), &step)?;
    step.done(&summary);

    let step = Step::begin("Python packages");
    let summary = python_packages::ensure(&workplace.home.tools(), &step)?;
    step.done(&summary);

    let step = Step::begin("browser");
    let summary = browser::ensure(&workplace.home.tools(), &step)?;
    step.done(&summary);
    Ok(prepared)
}

/// Brings the guests in place, and what they are built from.
pub(crate) fn prepare_guests(workplace: &Workplace) -> Result<Prepared> {
    let step = Step::begin("tools");
    let missing = tools::missing();
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    step.done("git, Rust, a C compiler, Python with pip");

    let step = Step::begin("guest compiler");
    let toolchain = GuestToolchain::ensure(&workplace.home.toolchains(), workplace.compiler, &step)?;
    step.done(&toolchain.describe());

    let step = Step::begin("model");
    let model = assets::ensure_model(&workplace.home, &step)?;
    step.done(&model.summary);

    let step = Step::begin("guests");
    let guests = guests::build(&workplace.repository, &toolchain, &model.tokenizer, &step)?;
    let names: Vec<_> = guests.iter().map(|guest| guest.name.as_str()).collect();
    step.done(&names.join(", "));
    Ok(Prepared { tokenizer: model.tokenizer, guests })
}
