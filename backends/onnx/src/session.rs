//! A graph in memory, opened with the options that a server wants.

use std::path::Path;

use lucida_core::{Error, Result, release_free_memory};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use crate::device::Compute;
use crate::error::internal;
use crate::runtime::Runtime;

/// Opens the graph in `bytes`; `file` names it in errors.
///
/// Options set on purpose: no memory pattern, because it keeps the largest batch's memory for good and measures no
/// faster here; spinning only for as long as two operators lie apart. Those of a device are its own.
///
/// # Errors
/// `Internal`, naming the file, when it is not a graph or hasn't exactly these inputs and this output.
pub(crate) fn open(
    runtime: &Runtime,
    file: &str,
    bytes: Vec<u8>,
    compute: Compute,
    inputs: &[&str],
    output: &str,
) -> Result<Session> {
    let loading = format!("loading the graph {file}");
    let builder = Session::builder(runtime.environment()).map_err(|error| internal(&loading, error))?;
    let session = configure(builder, compute)
        .map_err(|error| internal(&loading, error))?
        .commit_from_memory(&bytes)
        .map_err(|error| internal(&loading, error))?;
    // The file, the parsed graph and the weights before they were folded are free by now, several times the size of
    // what is left.
    drop(bytes);
    release_free_memory();
    let found: Vec<_> = session.inputs().iter().map(|input| input.name()).collect();
    let gives_output = session.outputs().iter().any(|found| found.name() == output);
    if found != inputs || !gives_output {
        return Err(Error::internal(format!(
            "{file} has inputs {found:?} and not {inputs:?}, or no output `{output}`: create the model folder again"
        )));
    }
    Ok(session)
}

/// Opens a graph in memory, which `name` names in errors. Weights that it has elsewhere are in files below
/// `weights_folder`, from which the runtime maps them.
///
/// # Errors
/// `Internal`, naming the graph.
pub(crate) fn open_with_weights(
    runtime: &Runtime,
    name: &str,
    graph: &[u8],
    weights_folder: &Path,
    compute: Compute,
) -> Result<Session> {
    let loading = format!("loading {name}");
    let folder = weights_folder.to_str().ok_or_else(|| {
        Error::internal(format!(
            "{loading} failed: {} has a path that is not UTF-8",
            weights_folder.display()
        ))
    })?;
    let builder = Session::builder(runtime.environment()).map_err(|error| internal(&loading, error))?;
    let session = configure(builder, compute)
        .and_then(|builder| Ok(builder.with_config_entry(WEIGHTS_FOLDER_KEY, folder)?))
        .map_err(|error| internal(&loading, error))?
        .commit_from_memory(graph)
        .map_err(|error| internal(&loading, error))?;
    release_free_memory();
    Ok(session)
}

/// The option that says where the files are that a graph in memory refers to.
const WEIGHTS_FOLDER_KEY: &str = "session.model_external_initializers_file_folder_path";

/// How long a thread waits busily for the next operator before it sleeps. Waking it takes about as long, a hundred times
/// for one text: in int8 a text takes 3.1 ms without spinning, 2.1 ms with this, and no less with any more; a photo
/// 22 and 17 ms. Without a bound, threads that spin take the core from decoding; a runtime too old to know this one
/// spins until the run ends.
const SPIN_MICROSECONDS: &str = "50";
const SPIN_KEY: &str = "session.intra_op.spin_duration_us";

/// Ends the spinning when a run ends.
const STOP_SPINNING_KEY: &str = "session.force_spinning_stop";

fn configure(builder: SessionBuilder, compute: Compute) -> ort::Result<SessionBuilder> {
    let builder = compute
        .configure(builder)?
        .with_intra_op_spinning(true)?
        .with_config_entry(SPIN_KEY, SPIN_MICROSECONDS)?
        .with_config_entry(STOP_SPINNING_KEY, "1")?
        .with_memory_pattern(false)?
        .with_log_level(LogLevel::Warning)?;
    Ok(builder)
}
