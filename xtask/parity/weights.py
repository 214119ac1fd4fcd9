"""Seeded random weights, scaled so that a tiny model's vectors tell its inputs apart."""

import numpy
import torch
from torch import nn

# Queries and keys as CLIP, DistilBERT and BERT name them.
ATTENTION_WEIGHTS = ("q_proj", "k_proj", "q_lin", "k_lin", "query", "key")


def randomise(model: nn.Module, seed: int) -> None:
    """Fills every parameter, the biases and norms too, so that none of them can be left out unnoticed."""
    random = numpy.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = _values(name, tuple(parameter.shape), random)
            parameter.copy_(torch.from_numpy(values.astype(numpy.float32)))


def _values(name: str, shape: tuple[int, ...], random: numpy.random.Generator) -> numpy.ndarray:
    if name == "logit_scale":
        return numpy.array(numpy.log(100.0))
    if "norm" in name.lower() or "layrnorm" in name or "ln_" in name:
        return random.uniform(0.6, 1.4, shape) if name.endswith("weight") else random.normal(0, 0.2, shape)
    if name.endswith("bias"):
        return random.normal(0, 0.2, shape)
    if "patch_embedding" in name or "conv1" in name:
        return random.normal(0, 2 / numpy.sqrt(numpy.prod(shape[1:])), shape)
    if name.endswith("gamma"):
        return random.uniform(0.3, 0.8, shape)
    if len(shape) == 4:
        values = random.normal(0, 2 / numpy.sqrt(numpy.prod(shape[1:])), shape)
        # A filter that blurs, as most of those that are learnt: others would follow every rounding error of a pixel.
        return numpy.abs(values) if shape[-1] > 1 else values
    if "position_embedding" in name or "positional_embedding" in name:
        return random.normal(0, 0.7, shape)
    if "embedding" in name:
        return random.normal(0, 1, shape)
    # Attention that prefers some tokens, yet moves no vector much for a rounding error in one pixel.
    gain = 1.25 if any(part in name for part in ATTENTION_WEIGHTS) else 1.6
    return random.normal(0, gain / numpy.sqrt(shape[-1]), shape)
