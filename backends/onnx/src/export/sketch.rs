//! Small graphs for tests, as an exporter might write them: with more than one output, fixed sides, or weights elsewhere.

use super::outline::{EXTERNAL_DATA, GRAPH, INITIALIZER, INPUT, LOCATION, NODE, OUTPUT, TENSOR_NAME};
use super::wire::{write_bytes, write_number};

/// `TensorProto.DataType`.
pub(super) const F32: u64 = 1;
pub(super) const I32: u64 = 6;
pub(super) const I64: u64 = 7;
pub(super) const BOOL: u64 = 9;

/// A graph being written.
#[derive(Default)]
pub(super) struct Sketch {
    graph: Vec<u8>,
}

impl Sketch {
    /// Adds an input; a side of 0 may be of any length.
    pub(super) fn input(mut self, name: &str, element: u64, sides: &[u64]) -> Self {
        write_bytes(&mut self.graph, INPUT, &port(name, element, sides));
        self
    }

    /// Adds an output.
    pub(super) fn output(mut self, name: &str, element: u64, sides: &[u64]) -> Self {
        write_bytes(&mut self.graph, OUTPUT, &port(name, element, sides));
        self
    }

    /// Adds an operation; it may have one attribute that is a number.
    pub(super) fn node(
        mut self,
        operator: &str,
        inputs: &[&str],
        result: &str,
        number: Option<(&str, u64)>,
    ) -> Self {
        let mut node = node(operator, inputs, result);
        if let Some((name, value)) = number {
            let mut attribute = Vec::new();
            write_bytes(&mut attribute, 1, name.as_bytes());
            write_number(&mut attribute, 3, value);
            write_number(&mut attribute, 20, 2);
            write_bytes(&mut node, 5, &attribute);
        }
        write_bytes(&mut self.graph, NODE, &node);
        self
    }

    /// Adds a choice between two graphs without inputs, each of which gives its own `choice`.
    pub(super) fn choice(mut self, condition: &str, result: &str, [then, otherwise]: [Self; 2]) -> Self {
        let mut node = node("If", &[condition], result);
        for (name, branch) in [("then_branch", then), ("else_branch", otherwise)] {
            let mut attribute = Vec::new();
            write_bytes(&mut attribute, 1, name.as_bytes());
            write_bytes(&mut attribute, 6, &named(branch.graph));
            write_number(&mut attribute, 20, 5);
            write_bytes(&mut node, 5, &attribute);
        }
        write_bytes(&mut self.graph, NODE, &node);
        self
    }

    /// Adds numbers, as little-endian bytes.
    pub(super) fn constant(mut self, name: &str, element: u64, sides: &[u64], bytes: &[u8]) -> Self {
        let mut tensor = tensor(name, element, sides);
        write_bytes(&mut tensor, 9, bytes);
        write_bytes(&mut self.graph, INITIALIZER, &tensor);
        self
    }

    /// Adds f32 numbers that begin a file.
    pub(super) fn elsewhere(mut self, name: &str, sides: &[u64], file: &str) -> Self {
        let mut tensor = tensor(name, F32, sides);
        let length = 4 * sides.iter().product::<u64>();
        for (key, value) in [(LOCATION, file), ("offset", "0"), ("length", &length.to_string())] {
            let mut entry = Vec::new();
            write_bytes(&mut entry, 1, key.as_bytes());
            write_bytes(&mut entry, 2, value.as_bytes());
            write_bytes(&mut tensor, EXTERNAL_DATA, &entry);
        }
        write_number(&mut tensor, 14, 1);
        write_bytes(&mut self.graph, INITIALIZER, &tensor);
        self
    }

    /// Makes a model of it.
    pub(super) fn model(self) -> Vec<u8> {
        let (mut model, mut operators) = (Vec::new(), Vec::new());
        write_number(&mut model, 1, 9);
        write_bytes(&mut model, GRAPH, &named(self.graph));
        write_number(&mut operators, 2, 20);
        write_bytes(&mut model, 8, &operators);
        model
    }
}

fn named(mut graph: Vec<u8>) -> Vec<u8> {
    write_bytes(&mut graph, 2, b"sketch");
    graph
}

fn node(operator: &str, inputs: &[&str], result: &str) -> Vec<u8> {
    let mut node = Vec::new();
    for input in inputs {
        write_bytes(&mut node, 1, input.as_bytes());
    }
    write_bytes(&mut node, 2, result.as_bytes());
    write_bytes(&mut node, 4, operator.as_bytes());
    node
}

fn tensor(name: &str, element: u64, sides: &[u64]) -> Vec<u8> {
    let mut tensor = Vec::new();
    for &side in sides {
        write_number(&mut tensor, 1, side);
    }
    write_number(&mut tensor, 2, element);
    write_bytes(&mut tensor, TENSOR_NAME, name.as_bytes());
    tensor
}

fn port(name: &str, element: u64, sides: &[u64]) -> Vec<u8> {
    let mut shape = Vec::new();
    for &side in sides {
        let mut dimension = Vec::new();
        if side == 0 {
            write_bytes(&mut dimension, 2, b"free");
        } else {
            write_number(&mut dimension, 1, side);
        }
        write_bytes(&mut shape, 1, &dimension);
    }
    let (mut tensor, mut kind, mut port) = (Vec::new(), Vec::new(), Vec::new());
    write_number(&mut tensor, 1, element);
    write_bytes(&mut tensor, 2, &shape);
    write_bytes(&mut kind, 1, &tensor);
    write_bytes(&mut port, 1, name.as_bytes());
    write_bytes(&mut port, 2, &kind);
    port
}
