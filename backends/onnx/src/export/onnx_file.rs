//! An ONNX file of another exporter: what it takes and gives, where its weights are, and how it is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lucida_core::{Error, Result, TowerKind};
use lucida_models::checkpoint::map_file;
use ort::session::Session;
use prost::Message as _;

use super::extract::{Dependencies, extract};
use super::tensor_info::TensorInfo;
use crate::checkpoint::{common_folder, relative};
use crate::device::Compute;
use crate::proto::{DataType, GraphProto, ModelProto, TensorProto, ValueInfoProto};
use crate::runtime::Runtime;
use crate::session;

/// Tensors of fewer bytes stay in the graph: among them are shapes, which the runtime needs before it runs.
const LARGE_BYTES: usize = 4096;

/// A graph in memory whose large tensors are external data, and what can be seen of it from outside.
///
/// ONNX Runtime copies the tensors inside a graph, and for a while holds both; external data it maps. So a large tensor
/// inside becomes external data of the file that it is in. It may begin at an odd address there, which x86-64 and AArch64,
/// for which there are builds of the library, read as well.
pub(super) struct OnnxFile {
    path: PathBuf,
    /// Without its graph.
    model: ModelProto,
    graph: GraphProto,
    pub(super) inputs: Vec<TensorInfo>,
    pub(super) outputs: Vec<TensorInfo>,
    data: DataFiles,
}

/// The files of a graph's external data, its own file among them, by the names that the graph has for them.
///
/// A hub's cache holds links to files of other names, which ONNX Runtime refuses to follow out of the graph's folder. So
/// it gets the folder where the files really are, and their paths there.
struct DataFiles {
    folder: PathBuf,
    /// Paths below the folder.
    paths: BTreeMap<String, String>,
}

impl DataFiles {
    fn find(path: &Path, names: BTreeSet<String>) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = names.iter().map(|name| {
            folder.join(name).canonicalize().map_err(|error| {
                let message = format!("{} names the file {name}, which is missing", path.display());
                Error::unavailable(message).with_source(error)
            })
        });
        let files = files.collect::<Result<Vec<_>>>()?;
        let unusable = || {
            Error::internal(format!(
                "{} has weights in files without a common folder, or with a name that is not UTF-8",
                path.display()
            ))
        };
        let folder = common_folder(files.iter().map(PathBuf::as_path)).ok_or_else(unusable)?;
        let paths = names.into_iter().zip(&files).map(|(name, file)| {
            let path = relative(file, &folder).ok_or_else(unusable)?;
            Ok((name, path))
        });
        let paths = paths.collect::<Result<_>>()?;
        Ok(Self { folder, paths })
    }
}

impl OnnxFile {
    /// Reads a file.
    ///
    /// # Errors
    /// `Unavailable` for a file that can't be read; `Internal` for one that is not an ONNX graph.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = Bytes::from_owner(map_file(path).map_err(|error| unreadable(path, error))?);
        let damaged = || Error::internal(format!("{} is not an ONNX graph, or is damaged", path.display()));
        let mut model = ModelProto::decode(bytes.clone()).map_err(|error| damaged().with_source(error))?;
        let mut graph = model.graph.take().ok_or_else(damaged)?;
        if graph.output.is_empty() {
            return Err(damaged());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for tensor in &mut graph.initializer {
            move_out(tensor, &bytes, &name);
        }
        let locations = graph.initializer.iter_mut().filter_map(TensorProto::location_mut);
        let data = DataFiles::find(path, locations.map(|location| location.clone()).collect())?;
        for location in graph.initializer.iter_mut().filter_map(TensorProto::location_mut) {
            if let Some(path) = data.paths.get(location) {
                location.clone_from(path);
            }
        }
        // Before version 4 of the format initializers were among the inputs too.
        let initializers: BTreeSet<_> = graph.initializer.iter().map(|tensor| &tensor.name).collect();
        let is_input = |value: &&ValueInfoProto| !initializers.contains(&value.name);
        Ok(Self {
            path: path.to_path_buf(),
            inputs: graph.input.iter().filter(is_input).map(TensorInfo::of).collect(),
            outputs: graph.output.iter().map(TensorInfo::of).collect(),
            model,
            graph,
            data,
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
        let others = self
            .data
            .paths
            .values()
            .map(|path| self.data.folder.join(path))
            .filter(|path| *path != itself);
        Ok(std::iter::once(itself.clone()).chain(others).collect())
    }

    /// Opens what gives one of the outputs, and nothing else of it.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a graph that can't be run.
    pub(super) fn open(&self, output: &str, runtime: &Runtime, compute: Compute) -> Result<Session> {
        let name = self.path.display().to_string();
        let model = ModelProto {
            graph: Some(extract(&self.graph, output)),
            ..self.model.clone()
        };
        session::open_with_weights(runtime, &name, &model.encode_to_vec(), &self.data.folder, compute)
    }

    /// Returns the inputs that an output is computed from.
    pub(super) fn inputs_of(&self, output: &str) -> Vec<TensorInfo> {
        let needed = Dependencies::of(&self.graph, output);
        let mut inputs = self.inputs.clone();
        inputs.retain(|input| needed.values.contains(input.name.as_str()));
        inputs
    }

    /// Returns the output with the vector of a picture or a text, `(1, dimensions)` f32: the first that has one of the
    /// names, else the only one there is.
    ///
    /// # Errors
    /// `Internal`, listing what there is, where none can be told or the one that can has another shape.
    pub(super) fn vector(&self, names: &[&str], tower: TowerKind, dimensions: usize) -> Result<&TensorInfo> {
        let named = names
            .iter()
            .find_map(|name| self.outputs.iter().find(|output| output.name == *name));
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
        if output.data_type() != DataType::Float || !output.takes(&[1, dimensions]) {
            let problem = format!(
                "gives `{}`, which is not a vector of {dimensions} floats",
                output.name
            );
            return Err(self.unsuited(&problem));
        }
        Ok(output)
    }

    /// Says what goes in and comes out, after something that is wrong with it.
    pub(super) fn unsuited(&self, problem: &str) -> Error {
        let list = |all: &[TensorInfo]| {
            all.iter()
                .map(TensorInfo::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
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

/// Makes a large tensor external data of the file `name`, if its bytes are among those of the file.
fn move_out(tensor: &mut TensorProto, file: &Bytes, name: &str) {
    let Some(data) = tensor.raw_data.as_ref().filter(|data| data.len() >= LARGE_BYTES) else {
        return;
    };
    let (offset, length) = (data.as_ptr().addr().checked_sub(file.as_ptr().addr()), data.len());
    if let Some(offset) = offset.filter(|offset| offset + length <= file.len()) {
        tensor.set_external(name, offset, length);
    }
}

#[cfg(test)]
mod tests {
    use lucida_core::BuildContext;
    use ort::value::TensorRef;

    use super::super::test_graph::TestGraph;
    use super::*;
    use crate::device::{Device, Precision};

    /// A graph whose weights are in the file `weights`: the input plus `[1, 2]`.
    fn model() -> Vec<u8> {
        TestGraph::default()
            .input("x", DataType::Float, &[1, 2])
            .external("weight", 2, "weights")
            .node("Add", &["x", "weight"], "vector", None)
            .output("vector", DataType::Float, &[1, 2])
            .model()
    }

    fn run(graph: &OnnxFile, x: &[f32]) -> Vec<f32> {
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
        std::fs::write(blobs.join("aa"), model()).unwrap();
        std::fs::write(blobs.join("bb"), [1.0_f32, 2.0].map(f32::to_le_bytes).concat()).unwrap();
        std::os::unix::fs::symlink("../../../blobs/aa", snapshot.join("model.onnx")).unwrap();
        std::os::unix::fs::symlink("../../../blobs/bb", snapshot.join("weights")).unwrap();

        let graph = OnnxFile::read(&snapshot.join("model.onnx")).unwrap();
        let before = graph.hash().unwrap();
        assert_eq!(run(&graph, &[10.0, 20.0]), [11.0, 22.0]);

        std::fs::write(blobs.join("bb"), [1.0_f32, 3.0].map(f32::to_le_bytes).concat()).unwrap();
        let changed = OnnxFile::read(&snapshot.join("model.onnx")).unwrap();
        assert_ne!(changed.hash().unwrap(), before, "the weights beside it count too");
    }

    #[test]
    fn weights_that_are_not_beside_the_graph_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        std::fs::write(&path, model()).unwrap();
        let error = OnnxFile::read(&path).err().unwrap();
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
            let dims = [i64::from(count)];
            let model = TestGraph::default()
                .input("x", DataType::Float, &[1, 2048])
                .constant(name, DataType::Float, &dims, &bytes)
                .node("Add", &["x", name], "vector", None)
                .output("vector", DataType::Float, &[1, 2048])
                .model();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model.onnx");
            std::fs::write(&path, &model).unwrap();
            let graph = OnnxFile::read(&path).unwrap();
            assert!(
                graph.graph.encoded_len() < 512,
                "{} bytes",
                graph.graph.encoded_len()
            );
            let sums: Vec<_> = numbers.iter().map(|number| number + 1.0).collect();
            assert_eq!(run(&graph, &vec![1.0; numbers.len()]), sums);
        }
    }
}
