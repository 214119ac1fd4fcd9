//! What goes into a graph, what comes out, and which files its weights are in.
//!
//! Field numbers are those of `onnx/onnx.proto3` at tag v1.17.0 of <https://github.com/onnx/onnx>.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use super::wire::{Damaged, fields};

/// `ModelProto`'s field for the graph.
pub(super) const GRAPH: u64 = 7;
/// `GraphProto`'s fields.
pub(super) const NODE: u64 = 1;
pub(super) const INITIALIZER: u64 = 5;
pub(super) const INPUT: u64 = 11;
pub(super) const OUTPUT: u64 = 12;
pub(super) const VALUE_INFO: u64 = 13;
/// `TensorProto`'s field for its name; a `ValueInfoProto` has its own at 1.
pub(super) const TENSOR_NAME: u64 = 8;
/// `TensorProto`'s list of keys (1) and values (2) for numbers that lie elsewhere, and the key of the file.
pub(super) const EXTERNAL_DATA: u64 = 13;
pub(super) const LOCATION: &str = "location";

/// An input or an output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) element: Element,
    /// The sides of the tensor, `None` for one that may be of any length.
    pub(super) sides: Vec<Option<usize>>,
}

impl Port {
    /// Tells whether a tensor of this shape fits.
    pub(super) fn takes(&self, shape: &[usize]) -> bool {
        self.sides.len() == shape.len()
            && self
                .sides
                .iter()
                .zip(shape)
                .all(|(side, length)| side.is_none_or(|side| side == *length))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<usize>| side.map_or_else(|| "?".to_owned(), |side| side.to_string());
        let sides: Vec<_> = self.sides.iter().map(side).collect();
        write!(f, "`{}` {} ({})", self.name, self.element, sides.join(", "))
    }
}

/// What a tensor's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    I32,
    I64,
    /// Something else, by its number in `TensorProto.DataType`.
    Other(u64),
}

impl Element {
    const fn of(number: u64) -> Self {
        match number {
            1 => Self::F32,
            6 => Self::I32,
            7 => Self::I64,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("f32"),
            Self::I32 => f.write_str("i32"),
            Self::I64 => f.write_str("i64"),
            Self::Other(10) => f.write_str("f16"),
            Self::Other(number) => write!(f, "type {number}"),
        }
    }
}

/// What can be seen of a graph from outside.
#[derive(Default)]
pub(super) struct Outline {
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    /// The names of the files that hold weights.
    pub(super) locations: BTreeSet<String>,
}

impl Outline {
    /// Reads a whole model.
    pub(super) fn of(model: &[u8]) -> Result<Self, Damaged> {
        let mut outline = Self::default();
        let mut weights = HashSet::new();
        for field in fields(graph(model)?) {
            let field = field?;
            match field.number {
                INPUT => outline.inputs.push(port(field.bytes()?)?),
                OUTPUT => outline.outputs.push(port(field.bytes()?)?),
                INITIALIZER => {
                    let tensor = field.bytes()?;
                    weights.insert(name(tensor, TENSOR_NAME)?);
                    outline.locations.extend(location(tensor)?);
                }
                _ => {}
            }
        }
        // Before version 4 of the format weights were listed among the inputs too.
        outline
            .inputs
            .retain(|input| !weights.contains(input.name.as_str()));
        if outline.outputs.is_empty() {
            return Err(Damaged);
        }
        Ok(outline)
    }
}

/// Returns the graph of a model.
pub(super) fn graph(model: &[u8]) -> Result<&[u8], Damaged> {
    let mut found = None;
    for field in fields(model) {
        let field = field?;
        if field.number == GRAPH {
            found = Some(field.bytes()?);
        }
    }
    found.ok_or(Damaged)
}

/// Returns the string at `number` of a message, empty where there is none.
pub(super) fn name(message: &[u8], number: u64) -> Result<&str, Damaged> {
    for field in fields(message) {
        let field = field?;
        if field.number == number {
            return field.text();
        }
    }
    Ok("")
}

/// Returns the messages at `number` of a message.
pub(super) fn messages(message: &[u8], number: u64) -> Result<Vec<&[u8]>, Damaged> {
    fields(message)
        .filter(|field| field.map_or(true, |field| field.number == number))
        .map(|field| field?.bytes())
        .collect()
}

/// Reads a `ValueInfoProto`: name (1), type (2) → tensor (1) → element (1), shape (2) → dimensions (1) → length (1).
fn port(info: &[u8]) -> Result<Port, Damaged> {
    let mut port = Port {
        name: name(info, 1)?.to_owned(),
        element: Element::Other(0),
        sides: Vec::new(),
    };
    for kind in messages(info, 2)? {
        for tensor in messages(kind, 1)? {
            for field in fields(tensor) {
                let field = field?;
                match field.number {
                    1 => port.element = Element::of(field.integer()?),
                    2 => {
                        for dimension in messages(field.bytes()?, 1)? {
                            port.sides.push(side(dimension)?);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(port)
}

fn side(dimension: &[u8]) -> Result<Option<usize>, Damaged> {
    for field in fields(dimension) {
        let field = field?;
        if field.number == 1 {
            // Some exporters write -1 for one that may be of any length.
            return Ok(usize::try_from(field.integer()?.cast_signed()).ok());
        }
    }
    Ok(None)
}

/// Returns the file of a tensor whose numbers lie elsewhere.
pub(super) fn location(tensor: &[u8]) -> Result<Option<String>, Damaged> {
    for entry in messages(tensor, EXTERNAL_DATA)? {
        if name(entry, 1)? == LOCATION {
            return Ok(Some(name(entry, 2)?.to_owned()));
        }
    }
    Ok(None)
}
