//! The part of a graph that one output needs.
//!
//! A combined export holds both towers, and ONNX Runtime would compute both for every input, whose other half it would
//! have to be given. So what doesn't lead to the output that is asked for is left out, node by node; everything else
//! stays byte for byte.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::outline::{
    EXTERNAL_DATA, GRAPH, INITIALIZER, INPUT, LOCATION, NODE, OUTPUT, TENSOR_NAME, VALUE_INFO, graph,
    location, messages, name,
};
use super::wire::{Damaged, fields, write_bytes};

/// Keeps of a model what leads to `output`, and writes the files of weights as `places` has them.
pub(super) fn trim(
    model: &[u8],
    output: &str,
    places: &BTreeMap<String, String>,
) -> Result<Vec<u8>, Damaged> {
    let graph = graph(model)?;
    let needed = Needed::of(model, output)?;
    let mut kept = Vec::with_capacity(graph.len());
    let mut node = 0;
    for field in fields(graph) {
        let field = field?;
        let keeps = match field.number {
            NODE => {
                node += 1;
                needed.nodes.contains(&(node - 1))
            }
            INITIALIZER => {
                let tensor = field.bytes()?;
                let keeps = needed.names.contains(name(tensor, TENSOR_NAME)?);
                match location(tensor)?.and_then(|name| places.get(&name)) {
                    Some(place) if keeps => {
                        write_bytes(&mut kept, INITIALIZER, &moved(tensor, place)?);
                        false
                    }
                    Some(_) | None => keeps,
                }
            }
            INPUT | VALUE_INFO => needed.names.contains(name(field.bytes()?, 1)?),
            OUTPUT => name(field.bytes()?, 1)? == output,
            _ => true,
        };
        if keeps {
            kept.extend_from_slice(field.whole);
        }
    }
    let mut trimmed = Vec::with_capacity(model.len() - graph.len() + kept.len() + 16);
    for field in fields(model) {
        let field = field?;
        if field.number == GRAPH {
            write_bytes(&mut trimmed, GRAPH, &kept);
        } else {
            trimmed.extend_from_slice(field.whole);
        }
    }
    Ok(trimmed)
}

/// Writes another file into a tensor whose numbers lie elsewhere.
fn moved(tensor: &[u8], place: &str) -> Result<Vec<u8>, Damaged> {
    let mut moved = Vec::with_capacity(tensor.len() + place.len());
    for field in fields(tensor) {
        let field = field?;
        if field.number == EXTERNAL_DATA && name(field.bytes()?, 1)? == LOCATION {
            let mut entry = Vec::new();
            write_bytes(&mut entry, 1, LOCATION.as_bytes());
            write_bytes(&mut entry, 2, place.as_bytes());
            write_bytes(&mut moved, EXTERNAL_DATA, &entry);
        } else {
            moved.extend_from_slice(field.whole);
        }
    }
    Ok(moved)
}

/// What leads to an output.
pub(super) struct Needed<'a> {
    /// The places of the nodes in the graph's list.
    nodes: HashSet<usize>,
    /// What they compute on and give.
    pub(super) names: HashSet<&'a str>,
}

impl<'a> Needed<'a> {
    /// Goes back from an output of a model.
    pub(super) fn of(model: &'a [u8], output: &'a str) -> Result<Self, Damaged> {
        let nodes = messages(graph(model)?, NODE)?;
        let mut makers = HashMap::new();
        for (place, node) in nodes.iter().enumerate() {
            for field in fields(node) {
                let field = field?;
                // `NodeProto`: input 1, output 2, attribute 5.
                if field.number == 2 {
                    makers.insert(field.text()?, place);
                }
            }
        }
        let mut needed = Self {
            nodes: HashSet::new(),
            names: HashSet::from([output]),
        };
        let mut open = vec![output];
        while let Some(name) = open.pop() {
            let Some(&place) = makers.get(name) else {
                continue;
            };
            if !needed.nodes.insert(place) {
                continue;
            }
            let mut names = Vec::new();
            uses(nodes[place], &mut names)?;
            for name in names {
                if needed.names.insert(name) {
                    open.push(name);
                }
            }
        }
        Ok(needed)
    }
}

/// Lists every name that a node reads or gives, and those inside its subgraphs, which may be names of the graph around them.
fn uses<'a>(node: &'a [u8], names: &mut Vec<&'a str>) -> Result<(), Damaged> {
    for field in fields(node) {
        let field = field?;
        match field.number {
            1 | 2 => names.push(field.text()?),
            5 => {
                // `AttributeProto`: one graph 6, a list of graphs 11.
                for attribute in fields(field.bytes()?) {
                    let attribute = attribute?;
                    if matches!(attribute.number, 6 | 11) {
                        let subgraph = attribute.bytes()?;
                        for node in messages(subgraph, NODE)? {
                            uses(node, names)?;
                        }
                        for output in messages(subgraph, OUTPUT)? {
                            names.push(name(output, 1)?);
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::outline::Outline;
    use super::super::sketch::{BOOL, F32, I64, Sketch};
    use super::*;

    fn names(model: &[u8], kind: u64, number: u64) -> Vec<String> {
        let messages = messages(graph(model).unwrap(), kind).unwrap();
        messages
            .iter()
            .map(|message| name(message, number).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn what_leads_to_the_other_output_is_left_out() {
        let one = 1.0_f32.to_le_bytes();
        let model = Sketch::default()
            .input("pixels", F32, &[0, 1])
            .input("ids", I64, &[0, 1])
            .constant("image weight", F32, &[1], &one)
            .constant("text weight", F32, &[1], &one)
            .node("Cast", &["ids"], "rows", Some(("to", F32)))
            .node("Mul", &["pixels", "image weight"], "image", None)
            .node("Mul", &["rows", "text weight"], "text", None)
            .output("image", F32, &[0, 1])
            .output("text", F32, &[0, 1])
            .model();
        let text = trim(&model, "text", &BTreeMap::new()).unwrap();
        assert_eq!(names(&text, NODE, 2), ["rows", "text"]);
        assert_eq!(names(&text, INITIALIZER, TENSOR_NAME), ["text weight"]);
        assert_eq!(names(&text, INPUT, 1), ["ids"]);
        assert_eq!(names(&text, OUTPUT, 1), ["text"]);
        let image = trim(&model, "image", &BTreeMap::new()).unwrap();
        assert_eq!(names(&image, NODE, 2), ["image"]);
        assert_eq!(Outline::of(&image).unwrap().inputs[0].name, "pixels");
    }

    #[test]
    fn what_a_branch_inside_a_node_reads_is_kept() {
        let branch = |of| {
            Sketch::default()
                .node("Neg", &[of], "chosen", None)
                .output("chosen", F32, &[1])
        };
        let model = Sketch::default()
            .input("x", F32, &[1])
            .input("condition", BOOL, &[1])
            .node("Abs", &["x"], "outer", None)
            .node("Exp", &["x"], "unread", None)
            .choice("condition", "vector", [branch("outer"), branch("x")])
            .output("vector", F32, &[1])
            .model();
        let trimmed = trim(&model, "vector", &BTreeMap::new()).unwrap();
        assert_eq!(names(&trimmed, NODE, 2), ["outer", "vector"]);
        assert_eq!(names(&trimmed, INPUT, 1), ["x", "condition"]);
    }

    #[test]
    fn a_model_with_one_output_of_everything_stays_as_it_is() {
        let model = Sketch::default()
            .input("x", F32, &[1])
            .node("Abs", &["x"], "y", None)
            .output("y", F32, &[1])
            .model();
        assert_eq!(trim(&model, "y", &BTreeMap::new()).unwrap(), model);
    }
}
