//! That sources name what they can: packages, repositories and commits, and nothing a program takes for an option.

use toml::Spanned;

use super::{Checked, Checker, NAME_LIMIT_BYTES};
use crate::manifest::document::{FileSourceTable, HubTable, SourceTable, WheelTable};
use crate::manifest::{FileSource, HubSource, Source, WheelSource};

impl Checker<'_> {
    pub(super) fn sources(&self, tables: Spanned<Vec<SourceTable>>) -> Checked<Vec<Source>> {
        if tables.get_ref().is_empty() {
            return Err(self.error(&tables, "sources is empty; name at least one: wheel, hub or file"));
        }
        tables.into_inner().into_iter().map(|table| self.source(table)).collect()
    }

    fn source(&self, table: SourceTable) -> Checked<Source> {
        Ok(match table {
            SourceTable::Wheel(table) => Source::Wheel(self.wheel(table)?),
            SourceTable::Hub(table) => Source::Hub(self.hub(table)?),
            SourceTable::File(FileSourceTable { path }) => {
                Source::File(FileSource { path: self.not_empty("path", path)? })
            }
        })
    }

    fn wheel(&self, table: WheelTable) -> Checked<WheelSource> {
        Ok(WheelSource {
            sha256: self.digest(&table.sha256)?,
            size_bytes: self.positive("size_bytes", &table.size_bytes)?,
            package: self.requirement("package", table.package)?,
            version: self.requirement("version", table.version)?,
            prefix: table.prefix,
        })
    }

    /// A word of a pip requirement: it becomes an argument, so it must not look like an option or hold a separator.
    fn requirement(&self, key: &str, value: Spanned<String>) -> Checked<String> {
        let word = value.get_ref();
        let is_good = word.len() <= NAME_LIMIT_BYTES
            && word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+!".contains(c));
        if is_good {
            return Ok(value.into_inner());
        }
        let reason = format!("{key} `{word}` must be letters, digits and `-_.+!`, and start with a letter or digit");
        Err(self.error(&value, reason))
    }

    fn hub(&self, table: HubTable) -> Checked<HubSource> {
        let is_part = |part: &str| {
            !part.is_empty()
                && part.chars().any(|c| c != '.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let is_repository = |name: &str| name.split('/').count() == 2 && name.split('/').all(is_part);
        if !is_repository(table.repository.get_ref()) {
            let reason = format!("repository `{}` must be owner/name", table.repository.get_ref());
            return Err(self.error(&table.repository, reason));
        }
        let revision = table.revision.get_ref();
        if revision.len() != 40 || !revision.chars().all(|c| c.is_ascii_hexdigit()) {
            let reason = format!(
                "revision `{revision}` must be a commit of 40 hexadecimal digits; a branch would change under the digests"
            );
            return Err(self.error(&table.revision, reason));
        }
        Ok(HubSource { repository: table.repository.into_inner(), revision: table.revision.into_inner() })
    }
}
