//! An ONNX file as somebody's exporter wrote it: what it takes and gives, where its weights are, and how it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use lucida_core::{Error, Result, TowerKind};
use ort::session::Session;

use super::outline::{Element, Outline, Port};
use super::skeleton;
use super::trim::{Needed, trim};
use super::wire::Damaged;
use crate::checkpoint::{common_folder, relative};
use crate::device::Compute;
use crate::runtime::Runtime;
use crate::session;

/// A graph in memory, without its large weights, and what can be seen of it from outside.
pub(super) struct GraphFile {
    path: PathBuf,
    skeleton: Vec<u8>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    weights: WeightFiles,
}

/// The files of a graph's weights, its own among them, by the names that the graph has for them.
///
/// A hub's cache holds links to files of other names, which ONNX Runtime refuses to follow out of the graph's folder. So
/// it is told the folder where the files really are, and their names there.
#[derive(Default)]
struct WeightFiles {
    folder: PathBuf,
    /// Below the folder.
    places: BTreeMap<String, String>,
}

impl WeightFiles {
    fn find(path: &Path, names: BTreeSet<String>) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = names.iter().map(|name| {
            folder.join(name).canonicalize().map_err(|error| {
                let message = format!("{} names the file {name}, which is not there", path.display());
                Error::unavailable(message).with_source(error)
            })
        });
        let files = files.collect::<Result<Vec<_>>>()?;
        let unusable = || {
            Error::internal(format!(
                "{} has weights in files that have no common folder, or a name that is no UTF-8",
                path.display()
            ))
        };
        let folder = common_folder(files.iter().map(PathBuf::as_path)).ok_or_else(unusable)?;
        let places = names.into_iter().zip(&files).map(|(name, file)| {
            let place = relative(file, &folder).ok_or_else(unusable)?;
            Ok((name, place))
        });
        let places = places.collect::<Result<_>>()?;
        Ok(Self { folder, places })
    }
}

impl GraphFile {
    /// Reads a file.
    ///
    /// # Errors
    /// `Unavailable` for a file that can't be read; `Internal` for one that is no graph.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let skeleton = skeleton::read(path, &name).map_err(|error| {
            if error.kind() == io::ErrorKind::InvalidData {
                damaged(path)
            } else {
                unreadable(path, error)
            }
        })?;
        let outline = Outline::of(&skeleton).map_err(|Damaged| damaged(path))?;
        let Outline {
            inputs,
            outputs,
            locations,
        } = outline;
        Ok(Self {
            path: path.to_path_buf(),
            skeleton,
            inputs,
            outputs,
            weights: WeightFiles::find(path, locations)?,
        })
    }

    /// Hashes the file, and the files of weights that it names.
    ///
    /// # Errors
    /// `Unavailable`, naming the file that can't be read.
    pub(super) fn hash(&self) -> Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        for path in self.files()? {
            let hashed = File::open(&path).and_then(|file| hasher.update_reader(file).map(drop));
            hashed.map_err(|error| unreadable(&path, error))?;
        }
        Ok(hasher.finalize())
    }

    /// Returns the size of the file and of the files of weights that it names; `None` where one can't be read.
    pub(super) fn size_bytes(&self) -> Option<u64> {
        let files = self.files().ok()?;
        files.iter().map(|path| Some(path.metadata().ok()?.len())).sum()
    }

    /// Returns the file, and then the files of weights that it names.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let itself = self
            .path
            .canonicalize()
            .map_err(|error| unreadable(&self.path, error))?;
        let places = self.weights.places.values();
        let others = places
            .map(|place| self.weights.folder.join(place))
            .filter(|path| *path != itself);
        Ok(std::iter::once(itself.clone()).chain(others).collect())
    }

    /// Opens what gives one of the outputs, and nothing else of it.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a graph that can't be run.
    pub(super) fn open(&self, output: &str, runtime: &Runtime, compute: Compute) -> Result<Session> {
        let part =
            trim(&self.skeleton, output, &self.weights.places).map_err(|Damaged| damaged(&self.path))?;
        let name = self.path.display().to_string();
        session::open_with_weights(runtime, &name, &part, &self.weights.folder, compute)
    }

    /// Returns the inputs of which an output is made.
    ///
    /// # Errors
    /// `Internal` for a graph that is damaged.
    pub(super) fn leading_to(&self, output: &str) -> Result<Vec<Port>> {
        let needed = Needed::of(&self.skeleton, output).map_err(|Damaged| damaged(&self.path))?;
        let mut inputs = self.inputs.clone();
        inputs.retain(|input| needed.names.contains(input.name.as_str()));
        Ok(inputs)
    }

    /// Returns the output with the vector of a picture or a text, `(1, dimensions)` f32: the first that has one of the
    /// names, else the only one there is.
    ///
    /// # Errors
    /// `Internal`, listing what there is, where none can be told or the one that can has another shape.
    pub(super) fn vector(&self, names: &[&str], tower: TowerKind, dimensions: usize) -> Result<&Port> {
        let named = names
            .iter()
            .find_map(|name| self.outputs.iter().find(|port| port.name == *name));
        let output = match (named, &self.outputs[..]) {
            (Some(output), _) | (None, [output]) => output,
            (None, _) => {
                let problem = format!(
                    "gives nothing that is known as the vector of its {} tower",
                    tower.as_str()
                );
                return Err(self.unsuited(&problem));
            }
        };
        if output.element != Element::F32 || !output.takes(&[1, dimensions]) {
            let problem = format!("gives `{}`, which is no vector of {dimensions} f32", output.name);
            return Err(self.unsuited(&problem));
        }
        Ok(output)
    }

    /// Says what goes in and comes out, after something that is wrong with it.
    pub(super) fn unsuited(&self, problem: &str) -> Error {
        let list = |ports: &[Port]| ports.iter().map(Port::to_string).collect::<Vec<_>>().join(", ");
        Error::internal(format!(
            "{} {problem}; it takes {} and gives {}",
            self.path.display(),
            list(&self.inputs),
            list(&self.outputs)
        ))
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("{} can't be read", path.display())).with_source(error)
}

fn damaged(path: &Path) -> Error {
    Error::internal(format!("{} is no ONNX graph, or is damaged", path.display()))
}

#[cfg(test)]
mod tests {
    use lucida_core::BuildContext;
    use ort::value::TensorRef;

    use super::super::sketch::{F32, Sketch};
    use super::*;
    use crate::config::{Device, Precision};

    /// A graph whose weights are in the file `weights`: the input plus `[1, 2]`.
    fn sketch() -> Vec<u8> {
        Sketch::default()
            .input("x", F32, &[1, 2])
            .elsewhere("weight", &[2], "weights")
            .node("Add", &["x", "weight"], "vector", None)
            .output("vector", F32, &[1, 2])
            .model()
    }

    fn run(graph: &GraphFile, x: &[f32]) -> Vec<f32> {
        let compute = Compute {
            device: Device::Cpu,
            precision: Precision::Fp32,
            threads: 1,
        };
        let runtime = Runtime::load(Device::Cpu, None, &BuildContext::from_env()).unwrap();
        let mut session = graph.open("vector", &runtime, compute).unwrap();
        let input = TensorRef::from_array_view(([1, x.len()], x)).unwrap();
        let outputs = session.run(ort::inputs!["x" => input]).unwrap();
        let (_, vector) = outputs["vector"].try_extract_tensor::<f32>().unwrap();
        vector.to_vec()
    }

    /// A hub's cache holds the files under the names of their hashes, and links to them under their own.
    #[cfg(unix)]
    #[test]
    fn weights_beside_a_graph_are_found_behind_links() {
        let cache = tempfile::tempdir().unwrap();
        let (blobs, snapshot) = (cache.path().join("blobs"), cache.path().join("snapshots/1/onnx"));
        std::fs::create_dir(&blobs).unwrap();
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::write(blobs.join("aa"), sketch()).unwrap();
        std::fs::write(blobs.join("bb"), [1.0_f32, 2.0].map(f32::to_le_bytes).concat()).unwrap();
        std::os::unix::fs::symlink("../../../blobs/aa", snapshot.join("model.onnx")).unwrap();
        std::os::unix::fs::symlink("../../../blobs/bb", snapshot.join("weights")).unwrap();

        let graph = GraphFile::read(&snapshot.join("model.onnx")).unwrap();
        let before = graph.hash().unwrap();
        assert_eq!(run(&graph, &[10.0, 20.0]), [11.0, 22.0]);

        std::fs::write(blobs.join("bb"), [1.0_f32, 3.0].map(f32::to_le_bytes).concat()).unwrap();
        let changed = GraphFile::read(&snapshot.join("model.onnx")).unwrap();
        assert_ne!(changed.hash().unwrap(), before, "the weights beside it count too");
    }

    #[test]
    fn weights_that_are_not_beside_the_graph_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, sketch()).unwrap();
        let error = GraphFile::read(&path).err().unwrap();
        assert!(
            error.message().contains("model.onnx names the file weights"),
            "{error}"
        );
    }

    #[test]
    fn large_weights_inside_a_graph_stay_in_its_file() {
        let count = 2048_u16;
        let numbers: Vec<f32> = (0..count).map(f32::from).collect();
        // A name of each length, so that the numbers begin at every address.
        for name in ["w", "we", "wei", "weig"] {
            let bytes: Vec<_> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let sides = [u64::from(count)];
            let model = Sketch::default()
                .input("x", F32, &[1, 2048])
                .constant(name, F32, &sides, &bytes)
                .node("Add", &["x", name], "vector", None)
                .output("vector", F32, &[1, 2048])
                .model();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model.onnx");
            std::fs::write(&path, &model).unwrap();
            let graph = GraphFile::read(&path).unwrap();
            assert!(graph.skeleton.len() < 512, "{} bytes", graph.skeleton.len());
            let sums: Vec<_> = numbers.iter().map(|number| number + 1.0).collect();
            assert_eq!(run(&graph, &vec![1.0; numbers.len()]), sums);
        }
    }
}
