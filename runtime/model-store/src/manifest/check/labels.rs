//! That labels come from one place.

use toml::Spanned;

use super::{Checked, Checker, quoted};
use crate::manifest::ModelFile;

impl Checker<'_> {
    pub(super) fn labels_file(
        &self,
        path: Option<Spanned<String>>,
        labels: Option<&Spanned<Vec<String>>>,
        files: &[ModelFile],
    ) -> Checked<Option<String>> {
        let Some(path) = path else { return Ok(None) };
        if labels.is_some() {
            return Err(self.error(&path, "labels_file is for models without `labels`; keep one of the two"));
        }
        let name = path.get_ref();
        if !files.iter().any(|file| file.path == *name && file.format.is_none()) {
            let known = quoted(files.iter().filter(|file| file.format.is_none()).map(|file| file.path.as_str()));
            let reason = format!("labels_file `{name}` is not among the files without a format: {known}");
            return Err(self.error(&path, reason));
        }
        Ok(Some(path.into_inner()))
    }
}
