//! The image tower of an export.

use lucida_core::{Error, Result, TowerKind};
use lucida_models::Tower;
use lucida_models::checkpoint::{ImageRecipe, Pixels};
use ort::session::Session;
use ort::value::TensorRef;

use super::onnx_file::OnnxFile;
use super::tensor_info::TensorInfo;
use crate::device::Compute;
use crate::error::internal;
use crate::proto::DataType;
use crate::runtime::Runtime;

/// The names that exporters give a picture's vector, the best first.
const OUTPUTS: [&str; 7] = [
    "image_embeds",
    "image_features",
    "unnorm_image_features",
    "image_embeddings",
    "l2norm_image_embeddings",
    "embedding",
    "pooler_output",
];

/// The name of an encoder's rows, `(1, rows, dimensions)`, where the first is the picture's vector.
const ROWS: &str = "last_hidden_state";

/// How pictures go through a graph.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    input: String,
    output: String,
    dimensions: usize,
}

impl Plan {
    /// Recognises the graph's input and output; a model whose vector is the first row of its encoder's says so by
    /// `first_row`.
    ///
    /// # Errors
    /// `Internal`, listing what there is, where it can't be told or doesn't fit the model's configuration.
    pub(super) fn of(graph: &OnnxFile, side: usize, dimensions: usize, first_row: bool) -> Result<Self> {
        let shape = [1, 3, side, side];
        // A combined export takes texts too, as whole numbers.
        let is_picture =
            |input: &&TensorInfo| input.data_type() == DataType::Float && input.shape.len() == shape.len();
        let Some(input) = graph.inputs.iter().find(is_picture) else {
            return Err(graph.unsuited("takes no pictures"));
        };
        if !input.takes(&shape) {
            let problem = format!("can't take one picture of {side} × {side} as `{}`", input.name);
            return Err(graph.unsuited(&problem));
        }
        let rows = graph
            .outputs
            .iter()
            .find(|output| first_row && output.name == ROWS);
        let output = match rows {
            Some(rows) => match rows.shape[..] {
                [_, _, length]
                    if rows.data_type() == DataType::Float
                        && length.is_none_or(|length| length == dimensions) =>
                {
                    rows
                }
                _ => {
                    let problem = format!("gives `{ROWS}`, whose rows are not of {dimensions} floats");
                    return Err(graph.unsuited(&problem));
                }
            },
            None => graph.vector(&OUTPUTS, TowerKind::Image, dimensions)?,
        };
        if graph.inputs_of(&output.name) != [input.clone()] {
            return Err(graph.unsuited(&format!("makes `{}` of more than a picture", output.name)));
        }
        Ok(Self {
            input: input.name.clone(),
            output: output.name.clone(),
            dimensions,
        })
    }
}

/// Pictures to vectors, one by one.
pub(crate) struct ImageTower {
    session: Session,
    plan: Plan,
    recipe: ImageRecipe,
    /// `(1, 3, side, side)` f32, filled anew for each picture.
    planes: Vec<f32>,
}

impl ImageTower {
    pub(super) fn load(
        runtime: &Runtime,
        compute: Compute,
        graph: &OnnxFile,
        plan: &Plan,
        recipe: &ImageRecipe,
    ) -> Result<Self> {
        let side = recipe.size_pixels() as usize;
        Ok(Self {
            session: graph.open(&plan.output, runtime, compute)?,
            plan: plan.clone(),
            recipe: recipe.clone(),
            planes: vec![0.0; 3 * side * side],
        })
    }

    fn embed_one(&mut self, pixels: &Pixels) -> Result<Vec<f32>> {
        self.recipe.planes(pixels, &mut self.planes);
        let side = self.recipe.size_pixels() as usize;
        let running = |error| internal("running the image tower", error);
        let input = TensorRef::from_array_view(([1, 3, side, side], &self.planes[..])).map_err(running)?;
        let inputs = ort::inputs![self.plan.input.as_str() => input];
        let outputs = self.session.run(inputs).map_err(running)?;
        let output = &outputs[self.plan.output.as_str()];
        let (_, numbers) = output.try_extract_tensor::<f32>().map_err(running)?;
        let vector = numbers.get(..self.plan.dimensions);
        let vector = vector.ok_or_else(|| Error::internal("the image tower gave too few numbers"))?;
        Ok(vector.to_vec())
    }
}

impl Tower for ImageTower {
    type Input = Pixels;

    fn embed(&mut self, batch: &[Pixels]) -> Vec<Result<Vec<f32>>> {
        batch.iter().map(|pixels| self.embed_one(pixels)).collect()
    }
}
