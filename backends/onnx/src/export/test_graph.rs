//! Small graphs for tests, as an exporter might write them: with more than one output, fixed dimensions, or external data.

use bytes::Bytes;
use prost::Message as _;

use crate::graph::{Attribute, Input, Side, attribute, value_info};
use crate::proto::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto,
};

/// A graph that grows by one call after another.
#[derive(Default)]
pub(super) struct TestGraph(GraphProto);

impl TestGraph {
    /// Adds an input; a dimension of 0 may be of any length.
    pub(super) fn input(mut self, name: &str, data_type: DataType, shape: &[usize]) -> Self {
        self.0.input.push(tensor_info(name, data_type, shape));
        self
    }

    /// Adds an output.
    pub(super) fn output(mut self, name: &str, data_type: DataType, shape: &[usize]) -> Self {
        self.0.output.push(tensor_info(name, data_type, shape));
        self
    }

    /// Adds an operation; it may have one attribute that is a number.
    pub(super) fn node(
        self,
        operator: &str,
        inputs: &[&str],
        result: &str,
        number: Option<(&str, i32)>,
    ) -> Self {
        let number = number.map(|(name, value)| attribute(name, Attribute::Int(value.into())));
        self.node_with(operator, inputs, result, number.into_iter().collect())
    }

    /// Adds a choice between two graphs without inputs, each of which has its own output `choice`.
    pub(super) fn choice(self, condition: &str, result: &str, [then, otherwise]: [Self; 2]) -> Self {
        let branch = |name: &str, branch: Self| AttributeProto {
            name: name.to_owned(),
            g: Some(branch.graph()),
            r#type: AttributeType::Graph.into(),
            ..AttributeProto::default()
        };
        let branches = vec![branch("then_branch", then), branch("else_branch", otherwise)];
        self.node_with("If", &[condition], result, branches)
    }

    fn node_with(
        mut self,
        operator: &str,
        inputs: &[&str],
        result: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        self.0.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![result.to_owned()],
            op_type: operator.to_owned(),
            attribute,
            ..NodeProto::default()
        });
        self
    }

    /// Adds a tensor of little-endian numbers.
    pub(super) fn constant(mut self, name: &str, data_type: DataType, dims: &[i64], bytes: &[u8]) -> Self {
        self.0.initializer.push(TensorProto {
            dims: dims.to_vec(),
            data_type: data_type.into(),
            name: name.to_owned(),
            raw_data: Some(Bytes::copy_from_slice(bytes)),
            ..TensorProto::default()
        });
        self
    }

    /// Adds `count` f32 numbers at the beginning of a file.
    pub(super) fn external(self, name: &str, count: usize, file: &str) -> Self {
        let dims = [i64::try_from(count).unwrap()];
        let mut graph = self.constant(name, DataType::Float, &dims, &[]);
        if let Some(tensor) = graph.0.initializer.last_mut() {
            tensor.set_external(file, 0, 4 * count);
        }
        graph
    }

    /// Returns the graph.
    pub(super) fn graph(mut self) -> GraphProto {
        self.0.name = "test".to_owned();
        self.0
    }

    /// Encodes a model of the graph.
    pub(super) fn model(self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: 9,
            graph: Some(self.graph()),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 20,
            }],
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

fn tensor_info(name: &str, data_type: DataType, shape: &[usize]) -> crate::proto::ValueInfoProto {
    let side = |&length: &usize| match length {
        0 => Side::Free("any"),
        _ => Side::Fixed(length),
    };
    let sides: Vec<_> = shape.iter().map(side).collect();
    value_info(Input {
        name,
        data_type,
        sides: &sides,
    })
}
