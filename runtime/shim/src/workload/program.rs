//! Where a container's program may lie, by the name that its specification gives it.

use std::path::PathBuf;

use oci_spec::runtime::Process;

/// Where programs without a slash in their name are looked for when the container sets no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first argument of a process; empty where there is none.
pub(super) fn name(process: Option<&Process>) -> &str {
    process.and_then(|process| process.args().as_ref()?.first()).map_or("", String::as_str)
}

/// The absolute paths inside the container at which the program is looked for, in order: one where the name has a slash, else
/// one for each folder of the container's `PATH`.
pub(super) fn candidates(process: &Process) -> Vec<PathBuf> {
    let name = name(Some(process));
    if name.contains('/') {
        return vec![process.cwd().join(name)];
    }
    let environment = process.env().iter().flatten();
    let path = environment.filter_map(|entry| entry.strip_prefix("PATH=")).next_back().unwrap_or(DEFAULT_PATH);
    path.split(':').map(|folder| PathBuf::from(folder).join(name)).collect()
}
