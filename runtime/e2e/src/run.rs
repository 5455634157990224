//! A run: one private containerd after the other, every check on each, and what is left at the end.

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Arguments;
use crate::checks::{self, Check, Outcome};
use crate::containerd::config::Handlers;
use crate::containerd::{Containerd, Generation};
use crate::images::{self, Ingredients};
use crate::leftovers::Marks;
use crate::model_folder;
use crate::node::{Node, Subject};
use crate::program;
use crate::report::{Report, Row, Verdict};
use crate::warm;

/// Longest time of one check. Whatever hangs below has limits of its own; this one is for what has none.
const CHECK_LIMIT: Duration = Duration::from_secs(900);

/// Longest time until processes and control groups of removed pods are gone.
const GONE_LIMIT: Duration = Duration::from_secs(5);

/// The check that ends every run.
const NOTHING_IS_LEFT: &str = "nothing is left after the pods are removed";

/// Runs all checks on every containerd.
pub(crate) async fn all(arguments: &Arguments) -> Result<Vec<Report>> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "pods need root: control groups, mounts and namespaces; run this as root"
    );
    let mut reports = Vec::new();
    for (number, programs) in arguments.containerd.iter().enumerate() {
        let folder = tempfile::Builder::new().prefix(&format!("we{number}-")).tempdir_in("/tmp");
        let folder = folder.context("cannot create a folder in /tmp")?;
        let report = one(arguments, programs, folder.path()).await;
        if arguments.keep {
            eprintln!("kept: {}", folder.keep().display());
        }
        reports.push(report?);
    }
    Ok(reports)
}

async fn one(arguments: &Arguments, programs: &Path, folder: &Path) -> Result<Report> {
    let cgroup = format!("/wisp-e2e-{}", std::process::id());
    let marks = Marks::new(folder, &cgroup);
    let mut node = node(arguments, programs, folder, cgroup).await?;
    let runtime = node.cri.version().await?;
    eprintln!("\n{runtime}, handler {}", node.subject.handler());

    let mut rows = Vec::new();
    let signal = tokio::select! {
        checked = check_all(arguments, &mut node, &mut rows) => checked.map(|()| None),
        signal = signalled() => signal.map(Some),
    };
    if !arguments.keep {
        if !matches!(signal, Ok(None)) {
            // Nothing more is reported; but nothing may be left either.
            let _ = node.sweep_stragglers().await;
        }
        let row = ended(&mut node, &marks).await;
        show(&row, &node);
        rows.push(row);
    }
    if let Some(signal) = signal? {
        bail!("ended by {signal}");
    }
    Ok(Report { runtime, handler: node.subject.handler(), checks: rows, figures: node.figures })
}

async fn check_all(arguments: &Arguments, node: &mut Node, rows: &mut Vec<Row>) -> Result<()> {
    let wanted = |check: &Check| arguments.only.as_deref().is_none_or(|pattern| check.name.contains(pattern));
    for check in checks::all().into_iter().filter(wanted) {
        let row = tried(&check, node).await;
        show(&row, node);
        rows.push(row);
    }
    Ok(())
}

/// Waits for a signal that asks this program to end.
async fn signalled() -> Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

/// A containerd with the images and the model.
async fn node(arguments: &Arguments, programs: &Path, folder: &Path, cgroup: String) -> Result<Node> {
    let model = folder.join("model");
    let golden = model_folder::assemble(&arguments.model, &model)?;
    let program = program::compile(folder).await?;
    eprintln!("the model is proven once, for the node");
    warm::prove(&arguments.engine, &model, &folder.join("node")).await?;
    let handlers = Handlers { runc: &arguments.runc, shim: arguments.shim.as_deref() };
    let (containerd, cri) = Containerd::start(programs, folder, handlers).await?;
    let is_modern = containerd.generation == Generation::Two;
    let subject = match &arguments.shim {
        Some(_) => Subject::Shim,
        None => Subject::Container,
    };
    let ingredients = Ingredients { program: &program, module: &arguments.module, model: &model };
    let made = images::all(ingredients, is_modern, is_modern)?;
    let node = Node {
        containerd,
        cri,
        subject,
        engine: arguments.engine.clone(),
        shim: arguments.shim.clone(),
        model,
        golden,
        figures: Vec::new(),
        cgroup,
        numbers: AtomicU32::new(0),
    };
    node.import(&made).await?;
    Ok(node)
}

/// Runs a check, and removes its pods whatever became of it.
async fn tried(check: &Check, node: &mut Node) -> Row {
    let started = Instant::now();
    let outcome = match tokio::time::timeout(CHECK_LIMIT, (check.run)(node)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(anyhow::anyhow!("not done within {} s", CHECK_LIMIT.as_secs())),
    };
    let swept = if outcome.is_ok() { node.sweep().await } else { node.sweep_stragglers().await };
    let swept = swept.context("its pods cannot be removed");
    let (verdict, detail) = match outcome.and_then(|outcome| swept.map(|()| outcome)) {
        Ok(Outcome::Holds(seen)) => (Verdict::Passed, seen),
        Ok(Outcome::Skipped(reason)) => (Verdict::Skipped, reason),
        Err(error) => (Verdict::Failed, format!("{error:#}")),
    };
    Row { check: check.name, verdict, detail, seconds: started.elapsed().as_secs_f64() }
}

/// Ends containerd and counts what is left.
async fn ended(node: &mut Node, marks: &Marks) -> Row {
    let started = Instant::now();
    let mut left = marks.leftovers();
    while left.as_ref().is_ok_and(|left| !left.is_empty()) && started.elapsed() < GONE_LIMIT {
        tokio::time::sleep(Duration::from_millis(100)).await;
        left = marks.leftovers();
    }
    let stopped = node.containerd.stop().await;
    marks.clean();
    let (verdict, detail) = match (left, stopped) {
        (Ok(left), Ok(())) if left.is_empty() => {
            (Verdict::Passed, "no process, mount, control group or socket".to_owned())
        }
        (Ok(left), Ok(())) => (Verdict::Failed, summary(&left)),
        (Err(error), _) | (_, Err(error)) => (Verdict::Failed, format!("{error:#}")),
    };
    Row { check: NOTHING_IS_LEFT, verdict, detail, seconds: started.elapsed().as_secs_f64() }
}

/// The first lines, and how many more there are.
fn summary(left: &[String]) -> String {
    let shown = left.iter().take(8).map(String::as_str).collect::<Vec<_>>().join("\n");
    if left.len() > 8 { format!("{shown}\nand {} more", left.len() - 8) } else { shown }
}

/// A line as soon as a check has ended, with containerd's log if it failed.
fn show(row: &Row, node: &Node) {
    let mark = match row.verdict {
        Verdict::Passed => '✓',
        Verdict::Failed => '✗',
        Verdict::Skipped => '–',
    };
    eprintln!("  {mark} {:<60} {:>6.1} s  {}", row.check, row.seconds, row.detail);
    if row.verdict == Verdict::Failed {
        eprintln!("    the end of containerd's log:\n{}", node.containerd.log_tail());
    }
}
