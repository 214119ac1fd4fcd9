//! Which ONNX files of a repository an engine runs.

/// The ONNX files that are fetched, where they are taken in place of weights or there is nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exports {
    /// The engine runs none: a model that is published for others only is refused before it is downloaded.
    Unused,
    /// Those in f32.
    Plain,
    /// Those in 8 bits, and where there are none those in f32.
    Int8,
}
