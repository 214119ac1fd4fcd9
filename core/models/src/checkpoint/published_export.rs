//! Families whose weights no engine computes, by the ONNX export that their makers publish.

use std::path::Path;

use lucida_core::Error;

use super::unsupported;

/// The published export of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublishedExport {
    /// What `config.json` calls the family, or its architecture.
    pub(super) family: &'static str,
    /// The repository on the hub.
    pub(super) repository: &'static str,
    /// The files of the whole export, as paths in the repository.
    pub(super) files: &'static [&'static str],
}

impl PublishedExport {
    /// Says why the weights in `folder`, described by the file `path`, can't be run, and what runs instead: which files of
    /// the export are missing and where they are published, or that an engine runs those that are there.
    pub(super) fn refusal(&self, path: &Path, folder: &Path) -> Error {
        let Self {
            family, repository, ..
        } = self;
        let missing: Vec<_> = self
            .files
            .iter()
            .filter(|file| !folder.join(file).is_file())
            .map(|file| format!("`{file}`"))
            .collect();
        let problem = if missing.is_empty() {
            format!(
                "is of a `{family}`, whose weights no engine computes: the embedder type `onnx` runs the ONNX export beside \
                 them"
            )
        } else {
            format!(
                "is of a `{family}`, whose weights no engine computes: the embedder type `onnx` runs its ONNX export, and the \
                 folder lacks {} of it, published in `{repository}`",
                missing.join(" and ")
            )
        };
        unsupported(path, &problem)
    }
}
