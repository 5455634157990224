//! `cargo xtask doctor`: what is there, what set-up will bring, what only the user can bring.

use std::path::Path;

use anyhow::{Result, bail};
use wisp_model_store::Home;
use wisp_testing::Browser;

use crate::assets::{self, MODEL, ModelState};
use crate::go_tools;
use crate::progress::readable_bytes;
use crate::setup::Workplace;
use crate::toolchain::GuestToolchain;
use crate::tools::TOOLS;

/// Free space that a build from nothing takes: programs of the development profile with their tests, Debian's compiler, the
/// model in two formats, a browser.
const NEEDED_BYTES: u64 = 13_000_000_000;

/// How a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is there.
    Present,
    /// It is not there yet; set-up brings it.
    SetUpBringsIt,
    /// It is missing, and set-up cannot help.
    Missing,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    state: State,
    name: String,
    /// What was found, or the remedy.
    detail: String,
}

/// Prints the table; an error when the demo cannot run even after set-up.
pub(crate) fn doctor(workplace: &Workplace) -> Result<()> {
    let rows = rows(workplace);
    println!("Wisp in {}, cache in {}\n", workplace.repository.root().display(), workplace.home.root().display());
    for line in rows.iter().map(line) {
        println!("{line}");
    }
    println!("\n{}", verdict(&rows));
    let missing = rows.iter().filter(|row| row.state == State::Missing).count();
    if missing > 0 {
        bail!("{missing} missing; the demo cannot run");
    }
    Ok(())
}

fn rows(workplace: &Workplace) -> Vec<Row> {
    let tools = TOOLS.iter().map(|tool| match tool.version() {
        Some(version) => row(State::Present, tool.name, version),
        None => row(State::Missing, tool.name, format!("needed for {}: {}", tool.purpose, tool.remedy)),
    });
    let mut rows: Vec<Row> = tools.collect();
    rows.push(guest_compiler(workplace));
    rows.extend(assets::LIBRARIES.map(|library| match assets::find_library(&workplace.home, library) {
        Some(path) => row(State::Present, library.name, path.display()),
        None => row(State::SetUpBringsIt, library.name, "not fetched; `cargo xtask setup` fetches it"),
    }));
    rows.push(go_tools(&workplace.home));
    rows.push(browser(&workplace.home));
    rows.push(model(&workplace.home));
    rows.push(guests(&workplace.repository.built_guests()));
    rows.extend(["wisp", "embed-client"].map(|name| program(name, &workplace.repository.binary(name))));
    rows.push(disk_space(workplace, rows.iter().all(|row| row.state == State::Present)));
    rows
}

fn guest_compiler(workplace: &Workplace) -> Row {
    let name = "guest compiler";
    if let Some(found) = GuestToolchain::find(&workplace.home.toolchains(), workplace.compiler) {
        return row(State::Present, name, found.describe());
    }
    match GuestToolchain::obstacle(workplace.compiler) {
        None => row(State::SetUpBringsIt, name, "not installed; `cargo xtask setup` installs it"),
        Some(obstacle) => row(State::Missing, name, obstacle),
    }
}

/// Programs of some tests; the demo does without.
fn go_tools(home: &Home) -> Row {
    let missing: Vec<_> = go_tools::missing(&home.tools()).map(|tool| tool.name).collect();
    let names = missing.join(", ");
    match (missing.is_empty(), go_tools::version()) {
        (true, _) => row(State::Present, "Go programs", "all that tests use"),
        (false, Some(go)) => row(State::SetUpBringsIt, "Go programs", format!("{names} not built; {go} builds them")),
        (false, None) => {
            let detail = format!("no Go, so tests with {names} are skipped; for them {}", go_tools::REMEDY);
            row(State::SetUpBringsIt, "Go programs", detail)
        }
    }
}

/// The tests of the console look at it through a browser; the demo does without.
fn browser(home: &Home) -> Row {
    match Browser::below(&home.tools()).version() {
        Some(version) => row(State::Present, "browser", format!("{version} out of Debian's packages")),
        None => row(
            State::SetUpBringsIt,
            "browser",
            "not fetched; `cargo xtask setup` fetches it where Debian's packages are",
        ),
    }
}

fn model(home: &Home) -> Row {
    match assets::model_state(home) {
        Ok(ModelState::Complete) => row(State::Present, "model", MODEL),
        Ok(ModelState::Partial { present, total }) => {
            let detail = format!("{present} of {total} files of {MODEL}; `cargo xtask setup` fetches the rest");
            row(State::SetUpBringsIt, "model", detail)
        }
        Err(error) => row(State::Missing, "model", format!("{error:#}")),
    }
}

fn guests(folder: &Path) -> Row {
    let names = folder.read_dir().map(|entries| {
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let guests = paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        let mut names: Vec<_> = guests.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
        names.sort();
        names
    });
    match names {
        Ok(names) if !names.is_empty() => row(State::Present, "guests", names.join(", ")),
        _ => row(State::SetUpBringsIt, "guests", "not built; `cargo xtask guests` builds them"),
    }
}

fn program(name: &str, path: &Path) -> Row {
    if path.is_file() {
        row(State::Present, name, path.display())
    } else {
        row(State::SetUpBringsIt, name, "not built; `cargo xtask setup` builds it")
    }
}

fn disk_space(workplace: &Workplace, is_built: bool) -> Row {
    let name = "disk space";
    let Ok(file_system) = rustix::fs::statvfs(workplace.repository.root()) else {
        return row(State::Present, name, "cannot be told");
    };
    let free_bytes = file_system.f_bavail.saturating_mul(file_system.f_frsize);
    let free = readable_bytes(free_bytes);
    if is_built || free_bytes >= NEEDED_BYTES {
        return row(State::Present, name, format!("{free} free"));
    }
    let needed = readable_bytes(NEEDED_BYTES);
    row(State::Missing, name, format!("{free} free; a build from nothing takes up to {needed}: free some space"))
}

fn row(state: State, name: &str, detail: impl ToString) -> Row {
    Row { state, name: name.to_owned(), detail: detail.to_string() }
}

fn line(row: &Row) -> String {
    let mark = match row.state {
        State::Present => '✓',
        State::SetUpBringsIt => '○',
        State::Missing => '✗',
    };
    format!("  {mark} {:16} {}", row.name, row.detail)
}

fn verdict(rows: &[Row]) -> &'static str {
    if rows.iter().any(|row| row.state == State::Missing) {
        "What is marked ✗ must be brought by you; then run `cargo xtask demo`."
    } else if rows.iter().any(|row| row.state == State::SetUpBringsIt) {
        "What is marked ○ is brought by `cargo xtask setup`, and by `cargo xtask demo` and `cargo xtask test`."
    } else {
        "Everything is there; run `cargo xtask demo`."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_the_worst_state() {
        let present = row(State::Present, "git", "2.39");
        let later = row(State::SetUpBringsIt, "model", "not fetched");
        let missing = row(State::Missing, "pip", "install it");
        assert!(verdict(std::slice::from_ref(&present)).contains("Everything is there"));
        assert!(verdict(&[present.clone(), later.clone()]).contains("cargo xtask setup"));
        assert!(verdict(&[missing, later, present]).contains("must be brought by you"));
    }

    #[test]
    fn guests_count_as_built_only_when_a_component_is_there() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        assert_eq!(guests(folder.path()).state, State::SetUpBringsIt);
        assert_eq!(guests(&folder.path().join("absent")).state, State::SetUpBringsIt);
        std::fs::write(folder.path().join("embedder.wasm"), b"\0asm").expect("the folder can be written to");
        let found = guests(folder.path());
        assert_eq!((found.state, found.detail.as_str()), (State::Present, "embedder"));
    }
}
