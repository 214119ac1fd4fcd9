//! The text tower of an export.

use std::borrow::Cow;

use lucida_core::{Error, Result, TowerKind};
use lucida_models::Tower;
use lucida_models::checkpoint::{TextHead, Tokens};
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;

use super::onnx_file::OnnxFile;
use super::tensor_info::TensorInfo;
use crate::checkpoint::Head;
use crate::device::Compute;
use crate::error::internal;
use crate::proto::DataType;
use crate::runtime::Runtime;

/// The names that exporters give a text's vector, the best first.
const OUTPUTS: [&str; 8] = [
    "text_embeds",
    "text_features",
    "unnorm_text_features",
    "text_embeddings",
    "l2norm_text_embeddings",
    "sentence_embedding",
    "embedding",
    "pooler_output",
];

/// The names of an encoder's rows, before they are pooled.
const ROWS: [&str; 2] = ["last_hidden_state", "token_embeddings"];

/// What an input is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Ids,
    /// 1 for a token and 0 behind the last.
    Mask,
    /// 0, 1, 2, …
    Positions,
    /// 0.
    Types,
}

impl Content {
    fn of(name: &str) -> Option<Self> {
        match name {
            "input_ids" | "text" | "ids" | "tokens" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "position_ids" => Some(Self::Positions),
            "token_type_ids" => Some(Self::Types),
            _ => None,
        }
    }

    /// Returns the number at a place of a text, of whose ids so many are not padding.
    fn at(self, ids: &[u32], unpadded: usize, place: usize) -> i64 {
        match self {
            Self::Ids => ids.get(place).copied().map_or(0, i64::from),
            Self::Mask => i64::from(place < unpadded),
            Self::Positions => i64::try_from(place).unwrap_or(i64::MAX),
            Self::Types => 0,
        }
    }
}

#[derive(Debug, Clone)]
struct Input {
    name: String,
    content: Content,
    /// Whether it takes `i32` and not `i64`.
    short: bool,
}

/// What a text goes through.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    inputs: Vec<Input>,
    /// How long each input is, where that is fixed; a shorter text is padded.
    length: Option<usize>,
    output: String,
    /// What follows, where the output is the encoder's rows `(1, s, h)`: the steps, and `h`.
    head: Option<(TextHead, usize)>,
}

impl Plan {
    /// Recognises the graph's inputs and its output. A model with a head of its own is taken by its rows where the graph
    /// gives them: what is in such a graph after them is not sure to be what the folder says.
    ///
    /// # Errors
    /// `Internal`, listing what there is, where it can't be told or doesn't fit the model's configuration.
    pub(super) fn of(
        graph: &OnnxFile,
        head: Option<TextHead>,
        max_tokens: usize,
        dimensions: usize,
    ) -> Result<Self> {
        let rows = graph
            .outputs
            .iter()
            .find(|output| ROWS.contains(&output.name.as_str()));
        let (output, head) = match (rows, head) {
            (Some(rows), Some(head)) => {
                let hidden = match rows.shape[..] {
                    [_, _, Some(hidden)] if rows.data_type() == DataType::Float => hidden,
                    _ => {
                        return Err(
                            graph.unsuited(&format!("doesn't tell how long a row of `{}` is", rows.name))
                        );
                    }
                };
                (rows, Some((head, hidden)))
            }
            (None | Some(_), _) => (graph.vector(&OUTPUTS, TowerKind::Text, dimensions)?, None),
        };
        let mut inputs = Vec::new();
        let mut length = None;
        for input in graph.inputs_of(&output.name) {
            let (Some(content), Some(short)) = (Content::of(&input.name), is_short(&input)) else {
                return Err(graph.unsuited(&format!("takes `{}`, which is not known", input.name)));
            };
            if let [_, Some(fixed)] = input.shape[..] {
                length = Some(fixed);
            }
            if !input.takes(&[1, length.unwrap_or(max_tokens)]) {
                return Err(graph.unsuited(&format!("can't take one text as `{}`", input.name)));
            }
            inputs.push(Input {
                name: input.name,
                content,
                short,
            });
        }
        let fed = |content| inputs.iter().any(|input| input.content == content);
        if !fed(Content::Ids) {
            return Err(graph.unsuited("takes no texts"));
        }
        if let Some(length) = length {
            if length < max_tokens {
                let problem = format!("takes {length} tokens, and the tokenizer gives up to {max_tokens}");
                return Err(graph.unsuited(&problem));
            }
            // CLIP's tokens see none behind them; in any other encoder padding has to be masked.
            if head.is_some() && !fed(Content::Mask) {
                return Err(graph.unsuited("takes padded texts and no mask that says where they end"));
            }
        }
        Ok(Self {
            inputs,
            length,
            output: output.name.clone(),
            head,
        })
    }
}

fn is_short(input: &TensorInfo) -> Option<bool> {
    match input.data_type() {
        DataType::Int32 => Some(true),
        DataType::Int64 => Some(false),
        DataType::Undefined
        | DataType::Float
        | DataType::Int8
        | DataType::Bool
        | DataType::Float16
        | DataType::Bfloat16 => None,
    }
}

/// Texts to vectors, one by one.
pub(crate) struct TextTower {
    session: Session,
    plan: Plan,
    head: Option<Head>,
}

impl TextTower {
    pub(super) fn load(runtime: &Runtime, compute: Compute, graph: &OnnxFile, plan: &Plan) -> Result<Self> {
        let head = plan.head.as_ref();
        Ok(Self {
            session: graph.open(&plan.output, runtime, compute)?,
            head: head
                .map(|(head, hidden)| Head::load(runtime, compute, head, *hidden))
                .transpose()?,
            plan: plan.clone(),
        })
    }

    fn embed_one(&mut self, tokens: &Tokens) -> Result<Vec<f32>> {
        let (ids, unpadded) = (tokens.ids(), tokens.unpadded());
        let running = |error| internal("running the text tower", error);
        let length = self.plan.length.unwrap_or(ids.len());
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::new();
        for Input { name, content, short } in &self.plan.inputs {
            let numbers = (0..length).map(|place| content.at(ids, unpadded, place));
            let value = if *short {
                let numbers = numbers
                    .map(i32::try_from)
                    .collect::<std::result::Result<Vec<_>, _>>();
                let numbers = numbers.map_err(|error| {
                    Error::internal("a token's id doesn't fit the graph").with_source(error)
                })?;
                Tensor::from_array(([1, length], numbers))
                    .map_err(running)?
                    .into_dyn()
            } else {
                let numbers: Vec<_> = numbers.collect();
                Tensor::from_array(([1, length], numbers))
                    .map_err(running)?
                    .into_dyn()
            };
            inputs.push((name.into(), value.into()));
        }
        let outputs = self.session.run(inputs).map_err(running)?;
        let output = &outputs[self.plan.output.as_str()];
        let (_, numbers) = output.try_extract_tensor::<f32>().map_err(running)?;
        match (&mut self.head, &self.plan.head) {
            (Some(head), Some((_, hidden))) => {
                // Padding behind the text is no part of it.
                let rows = numbers.get(..ids.len() * hidden);
                let rows = rows.ok_or_else(|| Error::internal("the text tower gave too few rows"))?;
                head.apply(rows, tokens)
            }
            (Some(_) | None, _) => Ok(numbers.to_vec()),
        }
    }
}

impl Tower for TextTower {
    type Input = Tokens;

    fn embed(&mut self, batch: &[Tokens]) -> Vec<Result<Vec<f32>>> {
        batch.iter().map(|tokens| self.embed_one(tokens)).collect()
    }

    fn token_count(tokens: &Tokens) -> Option<usize> {
        Some(tokens.unpadded())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lucida_core::BuildContext;
    use lucida_models::checkpoint::Pooling;

    use super::super::test_graph::TestGraph;
    use super::*;
    use crate::device::{Device, Precision};

    const COMPUTE: Compute = Compute {
        device: Device::Cpu,
        precision: Precision::Fp32,
        threads: 1,
    };

    fn read(folder: &Path, graph: TestGraph) -> OnnxFile {
        let path = folder.join("text_model.onnx");
        std::fs::write(&path, graph.model()).unwrap();
        OnnxFile::read(&path).unwrap()
    }

    fn embed(graph: &OnnxFile, plan: &Plan, ids: &[u32]) -> Vec<f32> {
        let runtime = Runtime::load(Device::Cpu, None, &BuildContext::from_env()).unwrap();
        let mut tower = TextTower::load(&runtime, COMPUTE, graph, plan).unwrap();
        tower.embed_one(&Tokens::new(ids.to_vec(), 0)).unwrap()
    }

    /// A "vector" that shows what the graph was given: ten times the ids, plus the mask.
    fn four_tokens(element: DataType) -> TestGraph {
        TestGraph::default()
            .input("input_ids", element, &[1, 4])
            .input("attention_mask", element, &[1, 4])
            .constant("ten", DataType::Float, &[1], &10.0_f32.to_le_bytes())
            .node(
                "Cast",
                &["input_ids"],
                "ids",
                Some(("to", DataType::Float.into())),
            )
            .node(
                "Cast",
                &["attention_mask"],
                "mask",
                Some(("to", DataType::Float.into())),
            )
            .node("Mul", &["ids", "ten"], "tens", None)
            .node("Add", &["tens", "mask"], "text_embeds", None)
            .output("text_embeds", DataType::Float, &[1, 4])
    }

    #[test]
    fn a_graph_of_a_fixed_length_gets_its_texts_padded_and_masked() {
        for element in [DataType::Int32, DataType::Int64] {
            let folder = tempfile::tempdir().unwrap();
            let graph = read(folder.path(), four_tokens(element));
            let plan = Plan::of(&graph, None, 4, 4).unwrap();
            assert_eq!(embed(&graph, &plan, &[7, 5]), [71.0, 51.0, 0.0, 0.0]);
        }
    }

    #[test]
    fn padding_is_no_part_of_what_is_pooled() {
        let rows = |graph: TestGraph| {
            graph
                .constant("last", DataType::Int64, &[1], &2_i64.to_le_bytes())
                .node("Unsqueeze", &["text_embeds", "last"], "last_hidden_state", None)
                .output("last_hidden_state", DataType::Float, &[1, 4, 1])
        };
        let head = || {
            Some(TextHead {
                pooling: vec![Pooling::Mean, Pooling::Max],
                dense: Vec::new(),
            })
        };
        let folder = tempfile::tempdir().unwrap();
        let graph = read(folder.path(), rows(four_tokens(DataType::Int64)));
        let plan = Plan::of(&graph, head(), 4, 2).unwrap();
        assert_eq!(embed(&graph, &plan, &[7, 5]), [61.0, 71.0]);

        let unmasked = TestGraph::default()
            .input("input_ids", DataType::Int64, &[1, 4])
            .node(
                "Cast",
                &["input_ids"],
                "text_embeds",
                Some(("to", DataType::Float.into())),
            );
        let error = Plan::of(&read(folder.path(), rows(unmasked)), head(), 4, 2).unwrap_err();
        assert!(error.message().contains("no mask"), "{error}");
    }

    #[test]
    fn positions_and_types_are_filled_in() {
        let graph = TestGraph::default()
            .input("input_ids", DataType::Int64, &[0, 0])
            .input("position_ids", DataType::Int64, &[0, 0])
            .input("token_type_ids", DataType::Int64, &[0, 0])
            .node("Add", &["input_ids", "position_ids"], "sum", None)
            .node("Add", &["sum", "token_type_ids"], "all", None)
            .node(
                "Cast",
                &["all"],
                "text_embeds",
                Some(("to", DataType::Float.into())),
            )
            .output("text_embeds", DataType::Float, &[0, 0]);
        let folder = tempfile::tempdir().unwrap();
        let graph = read(folder.path(), graph);
        let plan = Plan::of(&graph, None, 77, 3).unwrap();
        assert_eq!(embed(&graph, &plan, &[10, 20, 30]), [10.0, 21.0, 32.0]);
    }

    #[test]
    fn what_can_not_be_filled_or_is_too_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let graph = read(folder.path(), four_tokens(DataType::Int64));
        let error = Plan::of(&graph, None, 77, 4).unwrap_err();
        assert!(
            error
                .message()
                .contains("takes 4 tokens, and the tokenizer gives up to 77"),
            "{error}"
        );
        let odd = TestGraph::default()
            .input("past_key_values", DataType::Int64, &[0, 0])
            .node(
                "Cast",
                &["past_key_values"],
                "text_embeds",
                Some(("to", DataType::Float.into())),
            )
            .output("text_embeds", DataType::Float, &[0, 4]);
        let error = Plan::of(&read(folder.path(), odd), None, 77, 4).unwrap_err();
        assert!(
            error.message().contains("`past_key_values`, which is not known"),
            "{error}"
        );
    }
}
