//! The part of a graph that one output needs, as `onnx.utils.extract_model` does it.
//!
//! A combined export has both towers, and ONNX Runtime would compute both for every input, whose other half it would
//! have to be given. So every node that doesn't lead to the output is left out, and what only such nodes read.

use std::collections::{HashMap, HashSet};

use crate::proto::{GraphProto, NodeProto};

/// Copies from a graph what leads to `output`.
pub(super) fn extract(graph: &GraphProto, output: &str) -> GraphProto {
    let needed = Dependencies::of(graph, output);
    let is_needed = |name: &str| needed.values.contains(name);
    let nodes = graph.node.iter().enumerate();
    let nodes = nodes.filter(|(place, _)| needed.nodes.contains(place));
    let initializers = graph.initializer.iter();
    let initializers = initializers.filter(|tensor| is_needed(&tensor.name));
    GraphProto {
        node: nodes.map(|(_, node)| node.clone()).collect(),
        name: graph.name.clone(),
        initializer: initializers.cloned().collect(),
        input: kept(&graph.input, |value| is_needed(&value.name)),
        output: kept(&graph.output, |value| value.name == output),
        value_info: kept(&graph.value_info, |value| is_needed(&value.name)),
        quantization_annotation: graph.quantization_annotation.clone(),
        sparse_initializer: graph.sparse_initializer.clone(),
    }
}

fn kept<T: Clone>(all: &[T], keeps: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|one| keeps(one)).cloned().collect()
}

/// What leads to an output.
pub(super) struct Dependencies<'a> {
    /// The places of the nodes in the graph's list.
    nodes: HashSet<usize>,
    /// The names of the values that they read and write.
    pub(super) values: HashSet<&'a str>,
}

impl<'a> Dependencies<'a> {
    /// Goes back from an output of a graph.
    pub(super) fn of(graph: &'a GraphProto, output: &'a str) -> Self {
        let mut writers = HashMap::new();
        for (place, node) in graph.node.iter().enumerate() {
            writers.extend(node.output.iter().map(|name| (name.as_str(), place)));
        }
        let mut needed = Self {
            nodes: HashSet::new(),
            values: HashSet::from([output]),
        };
        let mut open = vec![output];
        while let Some(name) = open.pop() {
            let Some(&place) = writers.get(name) else {
                continue;
            };
            if !needed.nodes.insert(place) {
                continue;
            }
            let mut names = Vec::new();
            list_values(&graph.node[place], &mut names);
            open.extend(names.into_iter().filter(|name| needed.values.insert(name)));
        }
        needed
    }
}

/// Lists every value that a node reads or writes, and those inside its subgraphs, which may be values of the graph around
/// them.
fn list_values<'a>(node: &'a NodeProto, names: &mut Vec<&'a str>) {
    names.extend(node.input.iter().chain(&node.output).map(String::as_str));
    for attribute in &node.attribute {
        for subgraph in attribute.g.iter().chain(&attribute.graphs) {
            for node in &subgraph.node {
                list_values(node, names);
            }
            names.extend(subgraph.output.iter().map(|output| output.name.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_graph::TestGraph;
    use super::*;
    use crate::proto::DataType::{Bool, Float, Int64};

    fn results(graph: &GraphProto) -> Vec<&str> {
        let nodes = graph.node.iter();
        nodes.flat_map(|node| &node.output).map(String::as_str).collect()
    }

    fn inputs(graph: &GraphProto) -> Vec<&str> {
        graph.input.iter().map(|input| input.name.as_str()).collect()
    }

    #[test]
    fn what_leads_to_the_other_output_is_left_out() {
        let one = 1.0_f32.to_le_bytes();
        let graph = TestGraph::default()
            .input("pixels", Float, &[0, 1])
            .input("ids", Int64, &[0, 1])
            .constant("image weight", Float, &[1], &one)
            .constant("text weight", Float, &[1], &one)
            .node("Cast", &["ids"], "rows", Some(("to", Float.into())))
            .node("Mul", &["pixels", "image weight"], "image", None)
            .node("Mul", &["rows", "text weight"], "text", None)
            .output("image", Float, &[0, 1])
            .output("text", Float, &[0, 1])
            .graph();
        let text = extract(&graph, "text");
        assert_eq!(results(&text), ["rows", "text"]);
        assert_eq!(text.initializer, [graph.initializer[1].clone()]);
        assert_eq!(inputs(&text), ["ids"]);
        assert_eq!(text.output, [graph.output[1].clone()]);
        let image = extract(&graph, "image");
        assert_eq!((results(&image), inputs(&image)), (vec!["image"], vec!["pixels"]));
    }

    #[test]
    fn what_a_branch_inside_a_node_reads_is_kept() {
        let branch = |of| {
            TestGraph::default()
                .node("Neg", &[of], "chosen", None)
                .output("chosen", Float, &[1])
        };
        let graph = TestGraph::default()
            .input("x", Float, &[1])
            .input("condition", Bool, &[1])
            .node("Abs", &["x"], "outer", None)
            .node("Exp", &["x"], "unread", None)
            .choice("condition", "vector", [branch("outer"), branch("x")])
            .output("vector", Float, &[1])
            .graph();
        let part = extract(&graph, "vector");
        assert_eq!(results(&part), ["outer", "vector"]);
        assert_eq!(inputs(&part), ["x", "condition"]);
    }

    #[test]
    fn a_graph_with_one_output_of_everything_stays_as_it_is() {
        let graph = TestGraph::default()
            .input("x", Float, &[1])
            .node("Abs", &["x"], "y", None)
            .output("y", Float, &[1])
            .graph();
        assert_eq!(extract(&graph, "y"), graph);
    }
}
