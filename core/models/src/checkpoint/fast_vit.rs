//! FastViT, the image tower of MobileCLIP: its tensors by the names of timm's `fastvit.py` (timm 1.0), of which
//! `fastvit_mci0` to `fastvit_mci2` have the same parts.

use std::path::Path;

use lucida_core::Result;

use super::broken;
use super::tensor::Tensor;
use super::weights::Weights;

/// The models of timm that are read.
pub(super) const NAMES: [&str; 3] = ["fastvit_mci0", "fastvit_mci1", "fastvit_mci2"];

/// A FastViT, tensor by tensor, as an engine with a module of it takes it: `(3, image_size, image_size)` f32, normalised, to
/// `(d,)`.
#[derive(Debug, Clone)]
pub struct FastVitTower {
    /// The tensors by their names in timm's model.
    pub tensors: Vec<(String, Tensor)>,
    /// The channels of the first of the four stages; each later one has twice as many.
    pub width: usize,
    /// The blocks of each stage.
    pub blocks: [usize; 4],
    /// How many times wider the inner half of a block is.
    pub expansion: usize,
    /// The length of a vector.
    pub dimensions: usize,
}

/// What collects the tensors of a tower.
struct Collector<'a> {
    weights: &'a Weights,
    prefix: &'a str,
    tensors: Vec<(String, Tensor)>,
}

/// The stages whose way down weighs its channels.
const WEIGHED: [usize; 2] = [2, 3];

impl FastVitTower {
    /// Locates the tensors below `prefix`; what a configuration doesn't say is in their shapes.
    ///
    /// # Errors
    /// `Internal`, naming the tensor that is missing or of another shape.
    pub(super) fn locate(weights: &Weights, prefix: &str, dimensions: usize, path: &Path) -> Result<Self> {
        let side = |name: &str| -> Result<usize> {
            let shape = weights.shape(&format!("{prefix}{name}"))?;
            shape
                .first()
                .copied()
                .filter(|&side| side > 0)
                .ok_or_else(|| broken(path, &format!("has an empty tensor `{name}`")))
        };
        let width = side("stem.0.conv_kxk.0.conv.weight")?;
        let inner = side("stages.0.blocks.0.mlp.fc1.weight")?;
        if !inner.is_multiple_of(width) {
            return Err(broken(
                path,
                &format!("has a FastViT of {width} channels, {inner} inside"),
            ));
        }
        let blocks = std::array::from_fn(|stage| {
            let name = |block: usize| format!("{prefix}stages.{stage}.blocks.{block}.mlp.fc1.weight");
            (0..).take_while(|&block| weights.contains(&name(block))).count()
        });
        let expansion = inner / width;
        let mut collector = Collector {
            weights,
            prefix,
            tensors: Vec::new(),
        };
        collector.mobile_one("stem.0", [width, 3], 3, false)?;
        collector.mobile_one("stem.1", [width, 1], 3, false)?;
        collector.mobile_one("stem.2", [width, width], 1, true)?;
        for (stage, &count) in blocks.iter().enumerate() {
            collector.stage(stage, count, width << stage, expansion)?;
        }
        let last = 16 * width;
        collector.mobile_one("final_conv", [last, 1], 3, false)?;
        collector.channel_weights("final_conv.se", last, last / 16)?;
        collector.linear("head.fc", &[dimensions, last])?;
        Ok(Self {
            tensors: collector.tensors,
            width,
            blocks,
            expansion,
            dimensions,
        })
    }

    /// Lists every tensor.
    #[must_use]
    pub fn tensors(&self) -> Vec<&Tensor> {
        self.tensors.iter().map(|(_, tensor)| tensor).collect()
    }
}

impl Collector<'_> {
    fn add(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        let tensor = self.weights.get(&format!("{}{name}", self.prefix), shape)?;
        self.tensors.push((name.to_owned(), tensor));
        Ok(())
    }

    fn linear(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        self.add(&format!("{name}.weight"), shape)?;
        self.add(&format!("{name}.bias"), &shape[..1])
    }

    fn batch_norm(&mut self, name: &str, channels: usize) -> Result<()> {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            self.add(&format!("{name}.{part}"), &[channels])?;
        }
        Ok(())
    }

    /// A convolution of each channel by itself, and its norm.
    fn depthwise(&mut self, name: &str, channels: usize, kernel: usize) -> Result<()> {
        self.add(&format!("{name}.conv.weight"), &[channels, 1, kernel, kernel])?;
        self.batch_norm(&format!("{name}.bn"), channels)
    }

    /// A `MobileOneBlock`: a convolution, one of a pixel beside it where it is larger, and perhaps the input itself.
    fn mobile_one(
        &mut self,
        name: &str,
        [outputs, inputs]: [usize; 2],
        kernel: usize,
        identity: bool,
    ) -> Result<()> {
        let shape = [outputs, inputs, kernel, kernel];
        self.add(&format!("{name}.conv_kxk.0.conv.weight"), &shape)?;
        self.batch_norm(&format!("{name}.conv_kxk.0.bn"), outputs)?;
        if kernel > 1 {
            self.add(
                &format!("{name}.conv_scale.conv.weight"),
                &[outputs, inputs, 1, 1],
            )?;
            self.batch_norm(&format!("{name}.conv_scale.bn"), outputs)?;
        }
        if identity {
            self.batch_norm(&format!("{name}.identity"), outputs)?;
        }
        Ok(())
    }

    /// A squeeze and excitation.
    fn channel_weights(&mut self, name: &str, channels: usize, inner: usize) -> Result<()> {
        self.linear(&format!("{name}.fc1"), &[inner, channels, 1, 1])?;
        self.linear(&format!("{name}.fc2"), &[channels, inner, 1, 1])
    }

    fn stage(&mut self, stage: usize, blocks: usize, channels: usize, expansion: usize) -> Result<()> {
        let place = format!("stages.{stage}");
        if stage > 0 {
            let down = format!("{place}.downsample.proj");
            self.depthwise(&format!("{down}.0.large_conv"), channels, 7)?;
            self.depthwise(&format!("{down}.0.small_conv"), channels, 3)?;
            if WEIGHED.contains(&stage) {
                self.channel_weights(&format!("{down}.0.se"), channels, channels / 4)?;
            }
            self.mobile_one(&format!("{down}.1"), [channels, channels], 1, true)?;
        }
        let attends = stage == 3;
        if attends {
            self.linear(&format!("{place}.pos_emb.pos_enc"), &[channels, 1, 7, 7])?;
        }
        for block in 0..blocks {
            let place = format!("{place}.blocks.{block}");
            let scale = [channels, 1, 1];
            if attends {
                self.batch_norm(&format!("{place}.norm"), channels)?;
                let attention = format!("{place}.token_mixer");
                self.add(&format!("{attention}.qkv.weight"), &[3 * channels, channels])?;
                self.linear(&format!("{attention}.proj"), &[channels, channels])?;
                self.add(&format!("{place}.layer_scale_1.gamma"), &scale)?;
                self.add(&format!("{place}.layer_scale_2.gamma"), &scale)?;
            } else {
                let mixer = format!("{place}.token_mixer");
                self.batch_norm(&format!("{mixer}.norm.identity"), channels)?;
                self.mobile_one(&format!("{mixer}.mixer"), [channels, 1], 3, true)?;
                self.add(&format!("{mixer}.layer_scale.gamma"), &scale)?;
                self.add(&format!("{place}.layer_scale.gamma"), &scale)?;
            }
            let inner = expansion * channels;
            self.depthwise(&format!("{place}.mlp.conv"), channels, 7)?;
            self.linear(&format!("{place}.mlp.fc1"), &[inner, channels, 1, 1])?;
            self.linear(&format!("{place}.mlp.fc2"), &[channels, inner, 1, 1])?;
        }
        Ok(())
    }
}
