//! Writes graphs of ONNX operators whose weights stay in the files that hold them.

use bytes::Bytes;
use lucida_models::checkpoint::{ElementType, Tensor};
use prost::Message;

use crate::proto::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, dimension, type_proto,
};

/// The first version of the operators that has `Gelu`; every runtime that is loaded here knows it.
const OPERATORS_VERSION: i64 = 20;

/// The version of the file format that came with those operators.
const FORMAT_VERSION: i64 = 9;

/// A tensor in a graph, by its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value(String);

/// A constant of an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute<'a> {
    /// A whole number.
    Int(i64),
    /// A fraction.
    Float(f32),
    /// A word.
    Text(&'static str),
    /// Several whole numbers.
    Ints(&'a [i64]),
}

/// In which form a graph has a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// As the checkpoint has it.
    Stored,
    /// `(rows, columns)` i8, each row in steps of its own scale.
    RowCodes,
    /// The same, turned into `(columns, rows)`.
    ColumnCodes,
    /// `(rows,)` f32, the step of each row.
    RowScales,
}

/// A weight of a graph: a tensor of the checkpoint, in some form.
#[derive(Debug, Clone)]
pub(crate) struct Weight<'t> {
    pub(crate) tensor: &'t Tensor,
    pub(crate) form: Form,
    /// The tensor's sides in the graph, before `form` turns it.
    shape: Vec<usize>,
    name: String,
}

impl Weight<'_> {
    /// Returns `(rows, columns)`, with all but the first side joined.
    pub(crate) fn matrix(&self) -> (usize, usize) {
        match self.shape.split_first() {
            Some((&rows, columns)) => (rows, columns.iter().product()),
            None => (1, 1),
        }
    }

    /// Returns its sides in the graph.
    fn dims(&self) -> Vec<usize> {
        let (rows, columns) = self.matrix();
        match self.form {
            Form::Stored | Form::RowCodes => self.shape.clone(),
            Form::ColumnCodes => vec![columns, rows],
            Form::RowScales => vec![rows],
        }
    }

    /// Returns how many bytes it takes.
    pub(crate) fn size_bytes(&self) -> usize {
        let count: usize = self.dims().iter().product();
        match self.form {
            Form::Stored => count * self.tensor.element_type().size_bytes(),
            Form::RowScales => count * size_of::<f32>(),
            Form::RowCodes | Form::ColumnCodes => count,
        }
    }

    fn data_type(&self) -> DataType {
        match (self.form, self.tensor.element_type()) {
            (Form::RowCodes | Form::ColumnCodes, _) => DataType::Int8,
            (Form::Stored, ElementType::F16) => DataType::Float16,
            (Form::Stored, ElementType::Bf16) => DataType::Bfloat16,
            (Form::Stored, ElementType::F32) | (Form::RowScales, _) => DataType::Float,
        }
    }
}

/// Where a weight's bytes are: a file's path below the folder that the runtime is given, and the place of the first byte.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) file: String,
    pub(crate) offset_bytes: usize,
}

/// An input of a graph, or its output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) name: &'a str,
    pub(crate) data_type: DataType,
    pub(crate) sides: &'a [Side],
}

/// A side of an input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    /// Of this length.
    Fixed(usize),
    /// Of a length that is known when the graph runs; the same name is the same length.
    Free(&'static str),
}

/// A graph being written: operations are added in the order in which they are computed.
#[derive(Debug, Default)]
pub(crate) struct Graph<'t> {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    weights: Vec<Weight<'t>>,
    inputs: Vec<ValueInfoProto>,
    named: usize,
}

impl<'t> Graph<'t> {
    /// Adds an input.
    pub(crate) fn input(&mut self, input: Input<'_>) -> Value {
        self.inputs.push(value_info(input));
        Value(input.name.to_owned())
    }

    /// Adds an operation with one result.
    pub(crate) fn op(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Value {
        let [result] = self.ops(operator, inputs, attributes);
        result
    }

    /// Adds an operation with several results.
    pub(crate) fn ops<const RESULTS: usize>(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
    ) -> [Value; RESULTS] {
        let name = self.name(operator);
        let results: [Value; RESULTS] = std::array::from_fn(|at| Value(format!("{name}:{at}")));
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: results.iter().map(|value| value.0.clone()).collect(),
            name,
            op_type: operator.to_owned(),
            attribute: attributes
                .iter()
                .map(|&(name, value)| attribute(name, value))
                .collect(),
            ..NodeProto::default()
        });
        results
    }

    /// Adds a weight in the checkpoint's own shape.
    pub(crate) fn weight(&mut self, tensor: &'t Tensor, form: Form) -> Value {
        self.weight_as(tensor, form, tensor.shape())
    }

    /// Adds a weight in another shape of as many numbers.
    pub(crate) fn weight_as(&mut self, tensor: &'t Tensor, form: Form, shape: &[usize]) -> Value {
        let name = self.name(tensor.name());
        self.weights.push(Weight {
            tensor,
            form,
            shape: shape.to_vec(),
            name: name.clone(),
        });
        Value(name)
    }

    /// Adds `(n,)` i64.
    pub(crate) fn ints(&mut self, numbers: &[i64]) -> Value {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.constant(DataType::Int64, &[numbers.len()], bytes)
    }

    /// Adds `()` i64.
    pub(crate) fn int(&mut self, number: i64) -> Value {
        self.constant(DataType::Int64, &[], number.to_le_bytes().to_vec())
    }

    /// Adds `()` f32.
    pub(crate) fn float(&mut self, number: f32) -> Value {
        self.constant(DataType::Float, &[], number.to_le_bytes().to_vec())
    }

    /// Adds f32 of any shape.
    pub(crate) fn floats(&mut self, shape: &[usize], numbers: &[f32]) -> Value {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.constant(DataType::Float, shape, bytes)
    }

    /// Adds truths of any shape.
    pub(crate) fn truths(&mut self, shape: &[usize], truths: &[bool]) -> Value {
        let bytes = truths.iter().map(|&truth| u8::from(truth)).collect();
        self.constant(DataType::Bool, shape, bytes)
    }

    /// Returns the weights, in the order in which they were added.
    pub(crate) fn weights(&self) -> &[Weight<'t>] {
        &self.weights
    }

    /// Ends the graph: encodes a model that gives `result`, `(batch, dimensions)` f32, by the name `output`, and finds its
    /// weights at `locations`, one for each.
    pub(crate) fn finish(
        mut self,
        result: &Value,
        output: &str,
        dimensions: usize,
        locations: &[Location],
    ) -> Vec<u8> {
        let name = self.name(output);
        self.nodes.push(NodeProto {
            input: vec![result.0.clone()],
            output: vec![output.to_owned()],
            name,
            op_type: "Identity".to_owned(),
            ..NodeProto::default()
        });
        let mut initializer = self.constants;
        let weights = self.weights.iter().zip(locations);
        initializer.extend(weights.map(|(weight, location)| external(weight, location)));
        let output = value_info(Input {
            name: output,
            data_type: DataType::Float,
            sides: &[Side::Free("batch"), Side::Fixed(dimensions)],
        });
        let graph = GraphProto {
            node: self.nodes,
            name: "tower".to_owned(),
            initializer,
            input: self.inputs,
            output: vec![output],
            ..GraphProto::default()
        };
        let model = ModelProto {
            ir_version: FORMAT_VERSION,
            producer_name: "lucida".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: OPERATORS_VERSION,
            }],
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    fn constant(&mut self, data_type: DataType, shape: &[usize], bytes: Vec<u8>) -> Value {
        let name = self.name("constant");
        self.constants.push(TensorProto {
            dims: shape.iter().copied().map(signed).collect(),
            data_type: data_type.into(),
            name: name.clone(),
            raw_data: Some(Bytes::from(bytes)),
            ..TensorProto::default()
        });
        Value(name)
    }

    /// Makes a name that is there once and still tells what it names.
    fn name(&mut self, what: &str) -> String {
        self.named += 1;
        format!("{what}#{}", self.named)
    }
}

/// States the name, element type and shape of an input or output.
pub(crate) fn value_info(value: Input<'_>) -> ValueInfoProto {
    let dim = |side: &Side| Dimension {
        value: Some(match side {
            Side::Fixed(length) => dimension::Value::DimValue(signed(*length)),
            Side::Free(name) => dimension::Value::DimParam((*name).to_owned()),
        }),
    };
    let tensor = type_proto::Tensor {
        elem_type: value.data_type.into(),
        shape: Some(TensorShapeProto {
            dim: value.sides.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: value.name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::Tensor(tensor)),
        }),
    }
}

/// Creates a constant of an operation.
pub(crate) fn attribute(name: &str, value: Attribute<'_>) -> AttributeProto {
    let mut attribute = AttributeProto {
        name: name.to_owned(),
        ..AttributeProto::default()
    };
    match value {
        Attribute::Int(number) => {
            attribute.set_type(AttributeType::Int);
            attribute.i = Some(number);
        }
        Attribute::Float(number) => {
            attribute.set_type(AttributeType::Float);
            attribute.f = Some(number);
        }
        Attribute::Text(word) => {
            attribute.set_type(AttributeType::String);
            attribute.s = Some(Bytes::from_static(word.as_bytes()));
        }
        Attribute::Ints(numbers) => {
            attribute.set_type(AttributeType::Ints);
            attribute.ints = numbers.to_vec();
        }
    }
    attribute
}

fn external(weight: &Weight<'_>, location: &Location) -> TensorProto {
    let mut tensor = TensorProto {
        dims: weight.dims().into_iter().map(signed).collect(),
        data_type: weight.data_type().into(),
        name: weight.name.clone(),
        ..TensorProto::default()
    };
    tensor.set_external(&location.file, location.offset_bytes, weight.size_bytes());
    tensor
}

/// A length as the file format has it.
pub(crate) fn signed(length: usize) -> i64 {
    i64::try_from(length).expect("what is in memory is shorter than 2^63")
}
