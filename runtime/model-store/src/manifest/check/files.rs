//! That paths stay inside the model's folder, name one file each, and refer to files that exist.

use std::path::{Component, Path};

use toml::Spanned;
use wisp_core::{BackendId, ModelFormat, PlacementError, Precision};

use super::{Checked, Checker, quoted};
use crate::manifest::document::{DerivedTable, FileTable};
use crate::manifest::{Derived, Exporter, ModelFile};

impl Checker<'_> {
    pub(super) fn files(&self, tables: &Spanned<Vec<FileTable>>) -> Checked<Vec<ModelFile>> {
        let all = tables.get_ref();
        let mut files: Vec<ModelFile> = Vec::with_capacity(all.len());
        for table in all {
            let file = self.model_file(table, all)?;
            if files.iter().any(|earlier| earlier.path == file.path) {
                return Err(self.error(&table.path, format!("file `{}` is listed twice", file.path)));
            }
            if let Some(format) = &table.format
                && let Some((earlier, backend)) = rival(&files, &file)
            {
                let reason = format!(
                    "format `{}` for backend `{backend}` is taken by `{}`; give files of quantised weights a `precision`",
                    format.get_ref(),
                    earlier.path
                );
                return Err(self.error(format, reason));
            }
            files.push(file);
        }
        if files.iter().all(|file| file.format.is_none()) {
            return Err(self.error(tables, "no file has a format; give the model file `format` and `backends`"));
        }
        Ok(files)
    }

    /// A path that stays inside its folder, whatever it is joined to, and keeps clear of the store's own dot files.
    pub(super) fn path(&self, value: &Spanned<String>) -> Checked<String> {
        let path = value.get_ref();
        let is_plain =
            |part: Component<'_>| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
        // `components` drops `.`, doubled and trailing slashes; comparing with what it kept refuses them as well.
        let parts: Vec<_> = Path::new(path).components().collect();
        let kept: Vec<_> = parts.iter().map(|part| part.as_os_str().to_string_lossy()).collect();
        let is_good = !parts.is_empty()
            && parts.iter().all(|&part| is_plain(part))
            && kept.join("/") == *path
            && !path.contains(['\\', '\0', '\n', ':']);
        if is_good {
            return Ok(path.clone());
        }
        let reason = format!(
            "path `{}` must be relative, with `/`, and without `..`, `\\`, `:` or names that start with a dot",
            path.escape_debug()
        );
        Err(self.error(value, reason))
    }

    fn model_file(&self, table: &FileTable, all: &[FileTable]) -> Checked<ModelFile> {
        let format = table.format.as_ref().map(|format| *format.get_ref());
        let backends = table.backends.as_ref().map(|names| self.backends(names)).transpose()?.unwrap_or_default();
        if let Some(format) = &table.format
            && backends.is_empty()
        {
            return Err(self.error(format, "a file with a format needs `backends`, such as [\"ort\"]"));
        }
        if let (None, Some(backends)) = (format, &table.backends) {
            return Err(self.error(backends, "backends is for files with a format"));
        }
        let architecture =
            table.architecture.as_ref().map(|path| self.companion("architecture", path, all)).transpose()?;
        if format == Some(ModelFormat::Safetensors) && architecture.is_none() {
            return Err(self.error(&table.path, "safetensors hold weights alone; name config.json in `architecture`"));
        }
        if let (Some(derived), Some(source_path)) = (&table.derived, &table.source_path) {
            let reason = format!(
                "source_path is for fetched files; this one is derived from `{}`",
                derived.get_ref().from.get_ref()
            );
            return Err(self.error(source_path, reason));
        }
        Ok(ModelFile {
            path: self.path(&table.path)?,
            size_bytes: self.positive("size_bytes", &table.size_bytes)?,
            sha256: self.digest(&table.sha256)?,
            format,
            precision: table.precision.as_ref().map(|precision| self.precision(precision, format)).transpose()?,
            backends,
            architecture,
            weights: self.weights(table, all)?,
            derived: table.derived.as_ref().map(|derived| self.derived(derived, table, all)).transpose()?,
            source_path: table.source_path.as_ref().map(|path| self.path(path)).transpose()?,
        })
    }

    fn precision(&self, precision: &Spanned<Precision>, format: Option<ModelFormat>) -> Checked<Precision> {
        match (format, *precision.get_ref()) {
            (None, _) => Err(self.error(precision, "precision is for files with a format")),
            (_, Precision::F32) => {
                Err(self.error(precision, "f32 is what a file without `precision` serves; leave it out"))
            }
            (_, quantized) => Ok(quantized),
        }
    }

    /// OpenVINO's library takes the weights from beside the graph, under its name.
    fn weights(&self, table: &FileTable, all: &[FileTable]) -> Checked<Option<String>> {
        let is_graph = table.format.as_ref().map(|format| *format.get_ref()) == Some(ModelFormat::OpenVino);
        let expected = Path::new(table.path.get_ref()).with_extension("bin");
        match (&table.weights, is_graph) {
            (None, false) => Ok(None),
            (Some(weights), false) => Err(self.error(weights, "weights is for files of format `openvino`")),
            (None, true) => {
                let reason = format!("an openvino graph holds no weights; name `{}` in `weights`", expected.display());
                Err(self.error(&table.path, reason))
            }
            (Some(weights), true) if Path::new(weights.get_ref()) != expected => {
                let reason = format!(
                    "weights `{}` must lie beside the graph, under its name: `{}`",
                    weights.get_ref(),
                    expected.display()
                );
                Err(self.error(weights, reason))
            }
            (Some(weights), true) => self.companion("weights", weights, all).map(Some),
        }
    }

    fn backends(&self, names: &Spanned<Vec<Spanned<String>>>) -> Checked<Vec<BackendId>> {
        let backend = |name: &Spanned<String>| {
            name.get_ref().parse().map_err(|error: PlacementError| self.error(name, error.to_string()))
        };
        names.get_ref().iter().map(backend).collect()
    }

    fn derived(&self, derived: &Spanned<DerivedTable>, owner: &FileTable, all: &[FileTable]) -> Checked<Derived> {
        let DerivedTable { exporter, from, config, ranges } = derived.get_ref();
        let name = exporter.get_ref().name();
        if owner.format.as_ref().map(|format| *format.get_ref()) != Some(ModelFormat::Onnx) {
            return Err(self.error(derived, format!("exporter `{name}` makes files of format `onnx`")));
        }
        if owner.precision.as_ref().map(|precision| *precision.get_ref()) != exporter.get_ref().precision() {
            let reason = match exporter.get_ref().precision() {
                Some(precision) => {
                    format!("exporter `{name}` makes files of precision `{precision}`; add it to the file")
                }
                None => format!("exporter `{name}` makes files of full weights; leave `precision` out"),
            };
            return Err(self.error(exporter, reason));
        }
        let weights = self.listed("derived.from", from, all)?;
        if weights.format.as_ref().map(|format| *format.get_ref()) != Some(ModelFormat::Safetensors) {
            let reason = format!("derived.from `{}` must be a file of format `safetensors`", from.get_ref());
            return Err(self.error(from, reason));
        }
        Ok(Derived {
            exporter: *exporter.get_ref(),
            from: from.get_ref().clone(),
            config: self.companion("derived.config", config, all)?,
            ranges: self.ranges(*exporter.get_ref(), derived, ranges.as_ref())?,
        })
    }

    fn ranges(
        &self,
        exporter: Exporter,
        derived: &Spanned<DerivedTable>,
        ranges: Option<&Spanned<String>>,
    ) -> Checked<Option<String>> {
        match (exporter, ranges) {
            (Exporter::BertOnnxInt8Static, Some(ranges)) => self.path(ranges).map(Some),
            (Exporter::BertOnnxInt8Static, None) => {
                let reason = "exporter `bert-onnx-int8-static` rounds activations by their `ranges`; name the file that \
                              `wisp models calibrate` wrote";
                Err(self.error(derived, reason))
            }
            (_, Some(ranges)) => Err(self.error(ranges, "ranges is for exporter `bert-onnx-int8-static`")),
            (_, None) => Ok(None),
        }
    }

    /// A file that is fetched with every format: one without a format of its own.
    fn companion(&self, key: &str, path: &Spanned<String>, all: &[FileTable]) -> Checked<String> {
        if self.listed(key, path, all)?.format.is_some() {
            let reason = format!("{key} `{}` is a model file; name a file without a format", path.get_ref());
            return Err(self.error(path, reason));
        }
        Ok(path.get_ref().clone())
    }

    fn listed<'t>(&self, key: &str, path: &Spanned<String>, all: &'t [FileTable]) -> Checked<&'t FileTable> {
        all.iter().find(|table| table.path.get_ref() == path.get_ref()).ok_or_else(|| {
            let known = quoted(all.iter().map(|table| table.path.get_ref().as_str()));
            self.error(path, format!("{key} `{}` names no file; files are {known}", path.get_ref()))
        })
    }
}

/// An earlier file of full weights in the same format for one of the same backends.
fn rival<'f>(earlier: &'f [ModelFile], file: &ModelFile) -> Option<(&'f ModelFile, BackendId)> {
    let is_full = |file: &&ModelFile| file.precision.is_none();
    let mut alike = earlier.iter().filter(is_full).filter(|earlier| earlier.format == file.format);
    let shared = |earlier: &ModelFile| file.backends.iter().copied().find(|id| earlier.backends.contains(id));
    if file.precision.is_some() { None } else { alike.find_map(|earlier| Some((earlier, shared(earlier)?))) }
}
