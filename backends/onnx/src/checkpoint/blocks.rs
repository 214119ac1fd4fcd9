//! The steps that towers are made of, as operators of a graph.

use lucida_models::checkpoint::{
    Activation, Dense, ElementType, LayerNorm, Layout, Linear, NormKind, Tensor,
};

use crate::graph::{Attribute, Form, Graph, Value};
use crate::proto::DataType;

/// The output of every graph that is written here, `(batch, d)` f32.
pub(super) const OUTPUT: &str = "vector";

/// A graph of a tower being written.
pub(super) struct Blocks<'t> {
    pub(super) graph: Graph<'t>,
    /// Whether matrices are multiplied in 8-bit integers.
    int8: bool,
}

/// Rows `(n, in)` as matrices take them.
pub(super) enum Rows {
    /// f32.
    Float(Value),
    /// `(codes - zero) * scale`.
    Int8 { codes: Value, scale: Value, zero: Value },
}

impl<'t> Blocks<'t> {
    pub(super) fn new(int8: bool) -> Self {
        Self {
            graph: Graph::default(),
            int8,
        }
    }

    /// Adds a weight of which single numbers count: f32 whatever the precision.
    pub(super) fn float(&mut self, tensor: &'t Tensor) -> Value {
        self.float_as(tensor, tensor.shape())
    }

    fn float_as(&mut self, tensor: &'t Tensor, shape: &[usize]) -> Value {
        let value = self.graph.weight_as(tensor, Form::Stored, shape);
        self.widened(value, tensor)
    }

    /// Casts what was read from a tensor to f32.
    fn widened(&mut self, value: Value, tensor: &Tensor) -> Value {
        match tensor.element_type() {
            ElementType::F32 => value,
            ElementType::F16 | ElementType::Bf16 => self.cast(&value),
        }
    }

    /// Casts whole numbers to f32.
    pub(super) fn float_of(&mut self, value: &Value) -> Value {
        self.cast(value)
    }

    fn cast(&mut self, value: &Value) -> Value {
        let float = Attribute::Int(i64::from(i32::from(DataType::Float)));
        self.graph.op("Cast", &[value], &[("to", float)])
    }

    /// Takes rows of a table in the tower's precision: `(n,)` i64 of `(rows, h)`, to `(n, h)`.
    pub(super) fn lookup(&mut self, table: &'t Tensor, rows: &Value) -> Value {
        if !self.int8 {
            return self.exact_lookup(table, rows);
        }
        let codes = self.graph.weight(table, Form::RowCodes);
        let scales = self.graph.weight(table, Form::RowScales);
        let codes = self.graph.op("Gather", &[&codes, rows], &[]);
        let codes = self.cast(&codes);
        let scales = self.graph.op("Gather", &[&scales, rows], &[]);
        let last = self.graph.ints(&[1]);
        let scales = self.graph.op("Unsqueeze", &[&scales, &last], &[]);
        self.graph.op("Mul", &[&codes, &scales], &[])
    }

    /// Takes rows of a table in f32, or a single one by `()` i64.
    pub(super) fn exact_lookup(&mut self, table: &'t Tensor, rows: &Value) -> Value {
        // What was picked is widened, not the table, which can have a quarter of a million rows.
        let stored = self.graph.weight(table, Form::Stored);
        let picked = self.graph.op("Gather", &[&stored, rows], &[]);
        self.widened(picked, table)
    }

    /// Adds a matrix in the tower's precision: `(n, in)` to `(n, out)`, where the sides of `weight` after the first are
    /// joined.
    pub(super) fn matrix(&mut self, rows: &Value, weight: &'t Tensor, bias: Option<&'t Tensor>) -> Value {
        let rows = self.rows(rows);
        self.multiply(&rows, weight, bias)
    }

    /// Adds a matrix in f32, for the last steps, which are small and whose faults nothing evens out.
    pub(super) fn exact(&mut self, rows: &Value, linear: &'t Linear) -> Value {
        match linear.layout {
            Layout::OutputsFirst => {
                self.multiply(&Rows::Float(rows.clone()), &linear.weight, linear.bias.as_ref())
            }
            Layout::InputsFirst => {
                let weight = self.float(&linear.weight);
                let bias = linear.bias.as_ref().map(|bias| self.float(bias));
                let inputs: Vec<_> = [rows, &weight].into_iter().chain(&bias).collect();
                self.graph.op("Gemm", &inputs, &[])
            }
        }
    }

    /// Adds what follows a tower: each step in f32.
    pub(super) fn dense(&mut self, rows: Value, steps: &'t [Dense]) -> Value {
        steps.iter().fold(rows, |rows, step| {
            let rows = self.exact(&rows, &step.linear);
            self.activation(rows, step.activation)
        })
    }

    pub(super) fn rows(&mut self, rows: &Value) -> Rows {
        if !self.int8 {
            return Rows::Float(rows.clone());
        }
        // One scale for all rows, so only what belongs to one input may be in them.
        let [codes, scale, zero] = self.graph.ops("DynamicQuantizeLinear", &[rows], &[]);
        Rows::Int8 { codes, scale, zero }
    }

    fn multiply(&mut self, rows: &Rows, weight: &'t Tensor, bias: Option<&'t Tensor>) -> Value {
        let outputs = weight.shape()[0];
        let shape = [outputs, weight.len() / outputs];
        match rows {
            Rows::Float(rows) => {
                let weight = self.float_as(weight, &shape);
                let bias = bias.map(|bias| self.float(bias));
                let inputs: Vec<_> = [rows, &weight].into_iter().chain(&bias).collect();
                self.graph.op("Gemm", &inputs, &[("transB", Attribute::Int(1))])
            }
            Rows::Int8 { codes, scale, zero } => {
                let columns = self.graph.weight_as(weight, Form::ColumnCodes, &shape);
                let scales = self.graph.weight_as(weight, Form::RowScales, &shape);
                let sums = self.graph.op("MatMulInteger", &[codes, &columns, zero], &[]);
                let sums = self.cast(&sums);
                let scales = self.graph.op("Mul", &[scale, &scales], &[]);
                let product = self.graph.op("Mul", &[&sums, &scales], &[]);
                match bias {
                    Some(bias) => {
                        let bias = self.float(bias);
                        self.graph.op("Add", &[&product, &bias], &[])
                    }
                    None => product,
                }
            }
        }
    }

    pub(super) fn linear(&mut self, rows: &Rows, linear: &'t Linear) -> Value {
        self.multiply(rows, &linear.weight, linear.bias.as_ref())
    }

    pub(super) fn norm(&mut self, rows: &Value, norm: &'t LayerNorm) -> Value {
        let weight = self.float(&norm.weight);
        let weight = match norm.kind {
            NormKind::Centred => {
                let bias = norm.bias.as_ref().map(|bias| self.float(bias));
                let inputs: Vec<_> = [rows, &weight].into_iter().chain(&bias).collect();
                let epsilon = ("epsilon", Attribute::Float(norm.epsilon));
                return self.graph.op(
                    "LayerNormalization",
                    &inputs,
                    &[("axis", Attribute::Int(-1)), epsilon],
                );
            }
            NormKind::RootMeanSquare => weight,
            NormKind::RootMeanSquareFromOne => {
                let one = self.graph.float(1.0);
                self.graph.op("Add", &[&weight, &one], &[])
            }
        };
        let squares = self.graph.op("Mul", &[rows, rows], &[]);
        let last = self.graph.ints(&[-1]);
        let mean = self.graph.op("ReduceMean", &[&squares, &last], &[]);
        let epsilon = self.graph.float(norm.epsilon);
        let mean = self.graph.op("Add", &[&mean, &epsilon], &[]);
        let root = self.graph.op("Sqrt", &[&mean], &[]);
        let rows = self.graph.op("Div", &[rows, &root], &[]);
        self.graph.op("Mul", &[&rows, &weight], &[])
    }

    pub(super) fn activation(&mut self, x: Value, activation: Activation) -> Value {
        match activation {
            Activation::Identity => x,
            Activation::QuickGelu => {
                let steepness = self.graph.float(1.702);
                let steep = self.graph.op("Mul", &[&x, &steepness], &[]);
                let gate = self.graph.op("Sigmoid", &[&steep], &[]);
                self.graph.op("Mul", &[&x, &gate], &[])
            }
            Activation::Gelu => self.graph.op("Gelu", &[&x], &[]),
            Activation::GeluTanh => {
                let tanh = ("approximate", Attribute::Text("tanh"));
                self.graph.op("Gelu", &[&x], &[tanh])
            }
            Activation::Silu => {
                let gate = self.graph.op("Sigmoid", &[&x], &[]);
                self.graph.op("Mul", &[&x, &gate], &[])
            }
            Activation::Relu => self.graph.op("Relu", &[&x], &[]),
            Activation::Tanh => self.graph.op("Tanh", &[&x], &[]),
        }
    }

    pub(super) fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.graph.ints(shape);
        self.graph.op("Reshape", &[x, &shape], &[])
    }

    pub(super) fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.graph
            .op("Transpose", &[x], &[("perm", Attribute::Ints(order))])
    }
}
