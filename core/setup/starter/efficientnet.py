"""Writes EfficientNet-Lite2 as an ONNX graph from its PyTorch weights.

Topology and constants: ml-illustrated/EfficientNet-Lite-PyTorch 0.1.0, `utils.py`
(`efficientnet_lite`, coefficients 1.1, 1.2, 260 px) and `model.py`. Lite means relu6 instead of
swish, no squeeze-and-excitation, and a stem and a head that keep their width. Batch normalisation
is folded into the convolution before it.
"""

import math
from dataclasses import dataclass

import numpy
from onnx import TensorProto, helper, numpy_helper

IMAGE_SIZE = 260
CLASSES = 1000
WIDTH, DEPTH, DIVISOR = 1.1, 1.2, 8
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
BATCH_NORM_EPSILON = 1e-3
OPSET = 17


@dataclass
class Stage:
    """A run of equal blocks; only the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    inputs: int
    outputs: int


STAGES = [
    Stage(1, 3, 1, 1, 32, 16),
    Stage(2, 3, 2, 6, 16, 24),
    Stage(2, 5, 2, 6, 24, 40),
    Stage(3, 3, 2, 6, 40, 80),
    Stage(3, 5, 1, 6, 80, 112),
    Stage(4, 5, 2, 6, 112, 192),
    Stage(1, 3, 1, 6, 192, 320),
]


def _channels(count):
    scaled = count * WIDTH
    rounded = max(DIVISOR, int(scaled + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * scaled else rounded


def _blocks():
    """Every block as (kernel, stride, expand, inputs, outputs)."""
    for number, stage in enumerate(STAGES):
        first, last = number == 0, number == len(STAGES) - 1
        inputs = STEM_CHANNELS if first else _channels(stage.inputs)
        outputs = _channels(stage.outputs)
        repeats = stage.repeats if first or last else math.ceil(stage.repeats * DEPTH)
        for repeat in range(repeats):
            yield (stage.kernel, 1 if repeat else stage.stride, stage.expand, outputs if repeat else inputs, outputs)


class _Graph:
    def __init__(self, weights):
        self.weights = dict(weights)
        self.nodes = []
        self.initializers = []

    def take(self, name, shape):
        """Removes a tensor from the weights; a missing one or another shape is an error."""
        if name not in self.weights:
            raise ValueError(f"the checkpoint lacks `{name}`")
        tensor = self.weights.pop(name)
        if tensor.shape != tuple(shape):
            raise ValueError(f"`{name}` has shape {tensor.shape}, not {tuple(shape)}")
        return tensor

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind, inputs, name, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def convolution(self, source, name, norm, shape, size, stride=1, groups=1, relu6=True):
        """Convolution with its normalisation folded in, TensorFlow's SAME padding, relu6."""
        outputs, _, kernel, _ = shape
        weight = self.take(f"{name}.weight", shape).astype(numpy.float64)
        gamma, beta, mean, variance = (
            self.take(f"{norm}.{part}", [outputs]).astype(numpy.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        self.weights.pop(f"{norm}.num_batches_tracked", None)
        scale = gamma / numpy.sqrt(variance + BATCH_NORM_EPSILON)
        folded = (weight * scale[:, None, None, None]).astype(numpy.float32)
        bias = (beta - mean * scale).astype(numpy.float32)
        padding = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        before, after = padding // 2, padding - padding // 2
        result = self.add(
            "Conv",
            [source, self.constant(f"{name}.weight", folded), self.constant(f"{name}.bias", bias)],
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=groups,
        )
        return self.add("Clip", [result, "zero", "six"], f"{name}.relu6") if relu6 else result


def build(weights):
    """The model: `pixels` (batch, 3, 260, 260) f32, RGB, `(x - 127) / 128` → `logits` (batch, 1000) f32."""
    graph = _Graph(weights)
    graph.constant("zero", numpy.array(0, numpy.float32))
    graph.constant("six", numpy.array(6, numpy.float32))
    size = IMAGE_SIZE
    x = graph.convolution("pixels", "_conv_stem", "_bn0", [STEM_CHANNELS, 3, 3, 3], size, stride=2)
    size = math.ceil(size / 2)
    for number, (kernel, stride, expand, inputs, outputs) in enumerate(_blocks()):
        prefix = f"_blocks.{number}"
        wide = inputs * expand
        start = x
        if expand != 1:
            x = graph.convolution(x, f"{prefix}._expand_conv", f"{prefix}._bn0", [wide, inputs, 1, 1], size)
        x = graph.convolution(
            x, f"{prefix}._depthwise_conv", f"{prefix}._bn1", [wide, 1, kernel, kernel], size, stride, groups=wide
        )
        size = math.ceil(size / stride)
        x = graph.convolution(
            x, f"{prefix}._project_conv", f"{prefix}._bn2", [outputs, wide, 1, 1], size, relu6=False
        )
        if stride == 1 and inputs == outputs:
            x = graph.add("Add", [x, start], f"{prefix}.skip")
    x = graph.convolution(x, "_conv_head", "_bn1", [HEAD_CHANNELS, outputs, 1, 1], size)
    x = graph.add("GlobalAveragePool", [x], "pool")
    x = graph.add("Flatten", [x], "features")
    weight = graph.constant("_fc.weight", graph.take("_fc.weight", [CLASSES, HEAD_CHANNELS]))
    bias = graph.constant("_fc.bias", graph.take("_fc.bias", [CLASSES]))
    graph.add("Gemm", [x, weight, bias], "logits", transB=1)
    if graph.weights:
        raise ValueError(f"tensors without a place in EfficientNet-Lite2: {sorted(graph.weights)}")
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "efficientnet-lite2",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, IMAGE_SIZE, IMAGE_SIZE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="lucida",
    )
