"""The ONNX exports that people publish of the models in `families`, under their exporters' names.

Inputs, outputs and files are named as there; the graphs are this torch's, not those of an older exporter.
"""

import json
import logging
import warnings
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn
from torch.export import Dim
from transformers import CLIPModel, DistilBertModel

import families
from layouts import write_json

# The folder of each export, and the model whose vectors it gives.
SOURCES = {
    "clip-onnx-optimum": "clip",
    "clip-onnx-qdrant-text": "clip",
    "clip-onnx-qdrant-vision": "clip",
    "clip-onnx-xenova": "clip",
    "multilingual-onnx": "multilingual",
}

# Sizes that no dimension is fixed to: the exporter takes a dimension of 1 for a constant.
SAMPLE_TEXTS, SAMPLE_TOKENS, SAMPLE_PICTURES = 2, 9, 3
OPSET = 18


class _TextTower(nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask)
        return output.pooler_output, output.last_hidden_state


class _VisionTower(nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.model.get_image_features(pixel_values=pixel_values)
        return output.pooler_output, output.last_hidden_state


class _BothTowers(nn.Module):
    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, pixel_values: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        output = self.model(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return output.logits_per_image, output.logits_per_text, output.text_embeds, output.image_embeds


class _Tokens(nn.Module):
    def __init__(self, model: DistilBertModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def write_clip_optimum(folder: Path) -> None:
    """`optimum-cli export onnx`: both towers in one graph, whose vectors are normalised."""
    model = _clip_without_weights(folder)
    inputs = ["input_ids", "pixel_values", "attention_mask"]
    outputs = ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"]
    export(_BothTowers(model), folder / "onnx" / "model.onnx", inputs, outputs)


def write_clip_xenova(folder: Path) -> None:
    """`Xenova/clip-vit-base-patch32`: a graph for each tower, and int8 copies; the text's takes no mask."""
    model = _clip_without_weights(folder)
    text, vision = folder / "onnx" / "text_model.onnx", folder / "onnx" / "vision_model.onnx"
    export(_TextTower(model), text, ["input_ids"], ["text_embeds"])
    export(_VisionTower(model), vision, ["pixel_values"], ["image_embeds"])
    # Signed weights for a convolution are not supported.
    for graph, weights in ((text, QuantType.QInt8), (vision, QuantType.QUInt8)):
        quantize_dynamic(graph, graph.with_stem(f"{graph.stem}_quantized"), weight_type=weights)


def export_vision(model: nn.Module, path: Path) -> None:
    """Exports the image tower of a model that transformers runs like a CLIP, in fp32 and, as Xenova does, in int8."""
    export(_VisionTower(model), path, ["pixel_values"], ["image_embeds"])
    quantize_dynamic(path, path.with_stem(f"{path.stem}_int8"), weight_type=QuantType.QUInt8)


def write_clip_qdrant_vision(folder: Path, full: bool = False) -> None:
    """`Qdrant/clip-ViT-B-32-vision`: one tower and what it needs, at the root."""
    model = _clip_without_weights(folder, full)
    for file in ("merges.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json"):
        (folder / file).unlink()
    _keep_one_tower(folder, "vision_config", "CLIPVisionModelWithProjection")
    export(_VisionTower(model), folder / "model.onnx", ["pixel_values"], ["image_embeds", "last_hidden_state"])


def write_clip_qdrant_text(folder: Path) -> None:
    """`Qdrant/clip-ViT-B-32-text`: the other one."""
    model = _clip_without_weights(folder)
    (folder / "preprocessor_config.json").unlink()
    _keep_one_tower(folder, "text_config", "CLIPTextModelWithProjection")
    inputs = ["input_ids", "attention_mask"]
    export(_TextTower(model), folder / "model.onnx", inputs, ["text_embeds", "last_hidden_state"])


def write_multilingual_onnx(folder: Path) -> None:
    """A sentence-transformers repo whose transformer is there as ONNX only; pooling and `Dense` stay outside it."""
    families.write_multilingual(folder)
    model = DistilBertModel.from_pretrained(folder).eval()
    (folder / "model.safetensors").unlink()
    export(_Tokens(model), folder / "onnx" / "model.onnx", ["input_ids", "attention_mask"], ["last_hidden_state"])


def _clip_without_weights(folder: Path, full: bool = False) -> CLIPModel:
    families.write_clip(folder, full)
    model = CLIPModel.from_pretrained(folder).eval()
    (folder / "model.safetensors").unlink()
    return model


def _keep_one_tower(folder: Path, key: str, architecture: str) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", {"architectures": [architecture], **config[key]})


def export(
    model: nn.Module, path: Path, inputs: list[str], outputs: list[str], side: int = 224, beside: bool = False
) -> None:
    """Exports with every batch and the number of tokens open, into one file, or with the weights `beside` it."""
    text = {0: Dim("text_batch_size"), 1: Dim("sequence_length", max=77)}
    shape = (SAMPLE_TEXTS, SAMPLE_TOKENS)
    known = {
        "input_ids": (torch.zeros(shape, dtype=torch.int64), text),
        "attention_mask": (torch.ones(shape, dtype=torch.int64), text),
        "pixel_values": (torch.zeros(SAMPLE_PICTURES, 3, side, side), {0: Dim("image_batch_size")}),
    }
    path.parent.mkdir(exist_ok=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter's own deprecations.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            kwargs={name: known[name][0] for name in inputs},
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes={name: known[name][1] for name in inputs},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    proto = program.model_proto
    # Where in torch's and transformers' sources each node comes from: as much again as the weights.
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.initializer):
        part.ClearField("metadata_props")
    proto.graph.ClearField("value_info")
    # A tower gives more than some exporters ask of it.
    del proto.graph.output[len(outputs) :]
    external = {"save_as_external_data": True, "location": f"{path.name}_data"} if beside else {}
    onnx.save(proto, path, **external)
