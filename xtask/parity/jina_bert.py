"""jina-bert, written down from `modeling_bert.py` of jinaai/jina-bert-implementation, which no package has.

BERT without positions: each head takes off a multiple of the distance from its scores (ALiBi), and the second half of a
layer is gated (GEGLU). Tensors are named as there.
"""

import math
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer


def slopes(heads: int) -> list[float]:
    """`_get_alibi_head_slopes`."""
    if math.log2(heads).is_integer():
        start = 2 ** (-(2 ** -(math.log2(heads) - 3)))
        return [start * start**head for head in range(heads)]
    closest = 2 ** math.floor(math.log2(heads))
    return slopes(closest) + slopes(2 * closest)[0::2][: heads - closest]


class _Block(nn.Module):
    """Modules under their names, `self` among them."""

    def __init__(self, self_attention: nn.Module | None = None, /, **modules: nn.Module) -> None:
        super().__init__()
        if self_attention is not None:
            self.add_module("self", self_attention)
        for name, module in modules.items():
            self.add_module(name, module)


class _Layer(nn.Module):
    def __init__(self, hidden: int, inner: int, epsilon: float) -> None:
        super().__init__()
        names = ("query", "key", "value")
        asking = _Block(**{name: nn.Linear(hidden, hidden) for name in names})
        output = _Block(dense=nn.Linear(hidden, hidden), LayerNorm=nn.LayerNorm(hidden, epsilon))
        self.attention = _Block(asking, output=output)
        self.mlp = _Block(
            gated_layers=nn.Linear(hidden, 2 * inner, bias=False),
            wo=nn.Linear(inner, hidden),
            layernorm=nn.LayerNorm(hidden, epsilon),
        )

    def forward(self, x: torch.Tensor, heads: int, bias: torch.Tensor) -> torch.Tensor:
        asking = self.attention.get_submodule("self")
        query, key, value = (
            asking.get_submodule(name)(x).unflatten(-1, (heads, -1)).transpose(-2, -3)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias
        mixed = (scores.softmax(-1) @ value).transpose(-2, -3).flatten(-2)
        x = self.attention.output.LayerNorm(self.attention.output.dense(mixed) + x)
        gated = self.mlp.gated_layers(x)
        inner = gated.shape[-1] // 2
        inner = nn.functional.gelu(gated[..., :inner]) * gated[..., inner:]
        return self.mlp.layernorm(x + self.mlp.wo(inner))


class JinaBert(nn.Module):
    """Token ids `(…, s)` to rows `(…, s, h)`."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        hidden, epsilon = config["hidden_size"], config["layer_norm_eps"]
        self.heads = config["num_attention_heads"]
        self.embeddings = _Block(
            word_embeddings=nn.Embedding(config["vocab_size"], hidden),
            token_type_embeddings=nn.Embedding(config["type_vocab_size"], hidden),
            LayerNorm=nn.LayerNorm(hidden, epsilon),
        )
        layers = [_Layer(hidden, config["intermediate_size"], epsilon) for _ in range(config["num_hidden_layers"])]
        self.encoder = _Block(layer=nn.ModuleList(layers))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        embeddings = self.embeddings
        x = embeddings.word_embeddings(ids) + embeddings.token_type_embeddings(torch.zeros_like(ids))
        x = embeddings.LayerNorm(x)
        places = torch.arange(ids.shape[-1])
        distances = (places[None, :] - places[:, None]).abs()
        bias = -torch.tensor(slopes(self.heads))[:, None, None] * distances
        bias = bias if mask is None else bias + mask
        for layer in self.encoder.layer:
            x = layer(x, self.heads, bias)
        return x


class JinaReference:
    """A folder as the model's own code runs it, in fp32: the mean of the rows."""

    image_processor = None

    def __init__(self, folder: Path, config: dict[str, Any], most_tokens: int) -> None:
        self.model = JinaBert(config).eval()
        weights = load_file(folder / "model.safetensors")
        self.model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.tokens = most_tokens

    def embed(self, inputs: list[str]) -> numpy.ndarray:
        """Embeds one by one: `(inputs, dimensions)` f32 of unit length."""
        with torch.no_grad():
            vectors = [self.model(torch.tensor(self.token_ids(text))).mean(0) for text in inputs]
        return numpy.stack([(vector / vector.norm()).numpy() for vector in vectors]).astype(numpy.float32)

    def token_ids(self, text: str) -> list[int]:
        """The ids that reach the model, cut to the most it takes."""
        return self.tokenizer(text, truncation=True, max_length=self.tokens)["input_ids"]

    def most_tokens(self) -> int:
        """How many tokens a text is cut to."""
        return self.tokens
