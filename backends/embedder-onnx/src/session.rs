//! A graph in memory, opened with the options that a server wants.

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
/// faster here; no spinning, because threads that wait busily take the core from decoding. Those of a device are its own.
///
/// # Errors
/// `Internal`, naming the file, when it is no graph or hasn't exactly these inputs and this output.
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
            "{file} has inputs {found:?} and not {inputs:?}, or no output `{output}`: make the model folder anew"
        )));
    }
    Ok(session)
}

fn configure(builder: SessionBuilder, compute: Compute) -> ort::Result<SessionBuilder> {
    let builder = compute
        .configure(builder)?
        .with_intra_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_log_level(LogLevel::Warning)?;
    Ok(builder)
}
