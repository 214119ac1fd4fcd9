//! Where a graph's weights are stored: in the checkpoint's own files, from which the runtime maps them.

use std::path::{Path, PathBuf};

use lucida_core::{Error, Result};

use crate::graph::{Location, Weight};

/// Places for the weights of a graph.
#[derive(Debug)]
pub(super) struct Placement {
    /// The folder that the runtime is given, below which all files are.
    pub(super) folder: PathBuf,
    /// One for each weight.
    pub(super) locations: Vec<Location>,
}

impl Placement {
    /// Finds weights in the files of their tensors.
    ///
    /// # Errors
    /// `Internal` for files that share no folder, or whose path is no UTF-8.
    pub(super) fn in_checkpoint(weights: &[Weight<'_>]) -> Result<Self> {
        let files = weights.iter().map(|weight| weight.tensor.file());
        let folder = common_folder(files)
            .ok_or_else(|| Error::internal("the weights of a tower are in files that share no folder"))?;
        let locations = weights.iter().map(|weight| {
            let file = weight.tensor.file();
            Ok(Location {
                file: relative(file, &folder).ok_or_else(|| {
                    Error::internal(format!("{} has a path that is not UTF-8", file.display()))
                })?,
                offset_bytes: weight.tensor.offset_bytes(),
            })
        });
        let locations = locations.collect::<Result<_>>()?;
        Ok(Self { folder, locations })
    }
}

/// Returns the deepest folder that holds every file, and an empty path where there are none.
pub(crate) fn common_folder<'a>(mut files: impl Iterator<Item = &'a Path>) -> Option<PathBuf> {
    let Some(first) = files.next() else {
        return Some(PathBuf::new());
    };
    let mut folder = first.parent()?;
    for file in files {
        while !file.starts_with(folder) {
            folder = folder.parent()?;
        }
    }
    Some(folder.to_path_buf())
}

/// Returns the path of a file below a folder, as the file format writes it on every system.
pub(crate) fn relative(file: &Path, folder: &Path) -> Option<String> {
    let parts = file.strip_prefix(folder).ok()?.iter();
    let parts: Option<Vec<_>> = parts.map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_from_the_deepest_folder_that_holds_them_all() {
        let files = [
            "/m/a/model.safetensors",
            "/m/a/2_Dense/model.safetensors",
            "/m/a/b/c.bin",
        ]
        .map(Path::new);
        let folder = common_folder(files.into_iter()).unwrap();
        assert_eq!(folder, Path::new("/m/a"));
        assert_eq!(relative(files[1], &folder).unwrap(), "2_Dense/model.safetensors");
        assert_eq!(
            common_folder(files[..1].iter().copied()).unwrap(),
            Path::new("/m/a")
        );
    }
}
