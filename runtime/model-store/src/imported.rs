//! Models that the user imported: folders of the cache directory that are opened by name.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::manifest::is_name;
use crate::model::MANIFEST_FILE;
use crate::{Home, StoreError};

/// The folder of the imported model of this name, if there is one.
pub(crate) fn find(home: &Home, name: &str) -> Option<PathBuf> {
    let folder = home.imported().join(name);
    (is_name(name) && folder.join(MANIFEST_FILE).is_file()).then_some(folder)
}

/// Names of all imported models, sorted.
///
/// # Errors
/// [`StoreError::Io`] when the folder is there and cannot be read.
pub(crate) fn names(home: &Home) -> Result<Vec<String>, StoreError> {
    let folder = home.imported();
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other.map_err(StoreError::io("read", &folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(StoreError::io("read", &folder))?.file_name();
        // Others, such as the temporary folder of an import that is under way, are no models.
        if let Some(name) = name.to_str().filter(|name| find(home, name).is_some()) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_folders_with_a_manifest_and_a_name_that_climbs_nowhere() {
        let root = tempfile::tempdir().expect("temporary folder");
        let home = Home::at(root.path());
        assert_eq!(names(&home).expect("nothing is imported yet"), [""; 0]);
        for folder in ["b", "a-1.0", ".incoming", "Upper", "empty"] {
            fs::create_dir_all(home.imported().join(folder)).expect("new folder");
            if folder != "empty" {
                fs::write(home.imported().join(folder).join(MANIFEST_FILE), "").expect("writable");
            }
        }
        fs::write(root.path().join(MANIFEST_FILE), "").expect("writable");
        assert_eq!(names(&home).expect("readable"), ["a-1.0", "b"]);
        assert_eq!(find(&home, "b"), Some(home.imported().join("b")));
        for name in ["", "..", ".", "../imported/b", "b/", "Upper", ".incoming", "empty", "c"] {
            assert_eq!(find(&home, name), None, "{name}");
        }
    }
}
