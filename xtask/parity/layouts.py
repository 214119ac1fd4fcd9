"""Writes model folders as they are published: which files, under which names, with the weights stored how."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedTokenizerBase

Weights = dict[str, torch.Tensor]


def write_json(path: Path, value: Any) -> None:
    """Writes JSON indented by two, as the libraries do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def weights_of(model: nn.Module, dtype: torch.dtype = torch.float32) -> Weights:
    """Takes a model's weights, with the position ids that older libraries stored among them."""
    weights = {name: tensor.detach().to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    buffers = {name: tensor for name, tensor in model.named_buffers() if name.endswith("position_ids")}
    return weights | buffers


def write_safetensors(folder: Path, weights: Weights) -> None:
    """Writes `model.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def write_pytorch_bin(folder: Path, weights: Weights) -> None:
    """Writes `pytorch_model.bin`: a pickle in a zip."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / "pytorch_model.bin")


def write_shards(folder: Path, weights: Weights, count: int) -> None:
    """Writes `model-0000N-of-0000M.safetensors` and the index that says where each tensor is."""
    names = sorted(weights)
    places: dict[str, str] = {}
    for shard in range(count):
        file = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        part = {name: weights[name] for name in names[shard::count]}
        save_file(part, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    write_json(folder / "model.safetensors.index.json", index)


def write_tokenizer_json(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Writes `tokenizer.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def write_bpe_files(folder: Path, tokenizer: PreTrainedTokenizerBase, merges: list[tuple[str, str]]) -> None:
    """Writes `vocab.json` and `merges.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    vocab = dict(sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]))
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_wordpiece_file(folder: Path, tokens: list[str]) -> None:
    """Writes `vocab.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
