//! Which tests could not run, and why.
//!
//! A test that cannot run says so: it appends a line `name: reason` to the file that `WISP_TEST_SKIPS` names, and returns;
//! with `WISP_TEST_REQUIRE=1` it fails instead. So a skipped test is never mistaken for one that passed.

use std::path::Path;

use anyhow::{Context, Result};

/// Names the file to which skipped tests append.
pub(crate) const SKIPS_VARIABLE: &str = "WISP_TEST_SKIPS";

/// When `1`, a test that cannot run fails.
pub(crate) const REQUIRE_VARIABLE: &str = "WISP_TEST_REQUIRE";

/// Empties the file before a run.
pub(crate) fn clear(file: &Path) -> Result<()> {
    std::fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))
}

/// Adds what is skipped before any test starts.
pub(crate) fn add(file: &Path, line: &str) -> Result<()> {
    let mut text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    text.push_str(&line.replace('\n', " "));
    text.push('\n');
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The tests that were skipped, `name: reason`, each once, in order of their names.
pub(crate) fn read(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    Ok(lines)
}

/// How a reason begins that no installation can mend: the words of `wisp_testing::lacks`.
const HARDWARE: &str = ": this machine has no ";

/// Which of the skipped tests are failures: none unless all are asked for, and then those that could be made to run here.
pub(crate) fn failures(skipped: &[String]) -> usize {
    let is_required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
    if is_required { mendable(skipped) } else { 0 }
}

fn mendable(skipped: &[String]) -> usize {
    skipped.iter().filter(|line| !line.contains(HARDWARE)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_hardware_is_nobodys_failure() {
        let skipped = ["a: no network", "b: this machine has no NPU"].map(str::to_owned);
        assert_eq!(mendable(&skipped), 1);
    }

    #[test]
    fn each_skipped_test_is_listed_once() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("skips.txt");
        clear(&file).expect("the folder can be written to");
        assert_eq!(read(&file).expect("the file is there"), Vec::<String>::new());

        std::fs::write(&file, "b: no model\n\na: no network\nb: no model\n").expect("the folder can be written to");
        assert_eq!(read(&file).expect("the file is there"), ["a: no network", "b: no model"]);
    }
}
