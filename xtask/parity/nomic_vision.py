"""nomic-embed-vision: the export that Nomic publishes, of a tiny model written down from the published code.

No package has that code: `NomicVisionModel` in `modeling_hf_nomic_bert.py` of nomic-ai/nomic-bert-2048. Texts are those of
nomic-embed-text v1.5 as the models' pages compute them: the mean, a layer normalisation without weights, unit length.
"""

from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from torch import nn
from transformers import CLIPImageProcessorPil

import configs
import exports
from layouts import write_json
from texts import TEXTS
from weights import randomise

SEED = 81
WIDTH, HEADS, INNER, LAYERS = 32, 4, 48, 2
IMAGE, PATCH = 224, 32


class _Rotary(nn.Module):
    """`NomicVisionRotaryEmbeddingCat` with `in_pixels` off: pairs are turned by the row, then by the column of a patch."""

    def __init__(self, width: int, sides: int, pretrained: int) -> None:
        super().__init__()
        count = width // 4
        bands = 1.0 / (10000 ** (torch.arange(count).float() / count))
        places = torch.arange(sides).float() / sides * pretrained
        grid = torch.stack(torch.meshgrid(places, places, indexing="ij"), -1)
        angles = (grid[..., None] * bands).reshape(sides * sides, -1).repeat_interleave(2, -1)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = x.unflatten(-1, (-1, 2))
        turned = torch.stack((-pairs[..., 1], pairs[..., 0]), -1).flatten(-2)
        return x * self.cosines + turned * self.sines


class _GatedMlp(nn.Module):
    """`NomciBertGatedMLP`, with a norm of the product where `norm_mlp` says so."""

    def __init__(self, normalises: bool) -> None:
        super().__init__()
        self.fc11, self.fc12, self.fc2 = nn.Linear(WIDTH, INNER), nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.norm = nn.LayerNorm(INNER, eps=1e-6) if normalises else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.norm(self.fc11(x) * nn.functional.silu(self.fc12(x))))


def _heads(x: torch.Tensor) -> torch.Tensor:
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def _mixed(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(-2)


class _Layer(nn.Module):
    """`NomicBertBlock` with its norms in front."""

    def __init__(self, rotary: _Rotary) -> None:
        super().__init__()
        self.rotary = rotary
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        # One matrix in the published model.
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out_proj = nn.Linear(WIDTH, WIDTH)
        self.mlp = _GatedMlp(normalises=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        query, key, value = (_heads(layer(y)) for layer in (self.query, self.key, self.value))
        # The class token has no place.
        query, key = (torch.cat((y[:, :, :1], self.rotary(y[:, :, 1:])), 2) for y in (query, key))
        x = x + self.out_proj(_mixed(query, key, value))
        return x + self.mlp(self.norm2(x))


class NomicVision(nn.Module):
    """`(batch, 3, side, side)` to rows `(batch, patches + 1, width)`, of which the first is the picture's vector."""

    def __init__(self) -> None:
        super().__init__()
        sides = IMAGE // PATCH
        self.patch_embedding = nn.Linear(3 * PATCH**2, WIDTH)
        self.class_embedding = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position_embedding = nn.Parameter(torch.zeros(1, sides**2 + 1, WIDTH))
        rotary = _Rotary(WIDTH // HEADS, sides, sides)
        self.layers = nn.ModuleList([_Layer(rotary) for _ in range(LAYERS)])
        # `NomicMultiHeadAttentionPooling`.
        self.latent_embedding = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.pool_proj = nn.Linear(WIDTH, WIDTH)
        self.pool_norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.pool_mlp = _GatedMlp(normalises=False)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        x = pixel_values.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
        # (batch, rows, columns, channels · height · width)
        x = x.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        x = self.patch_embedding(x)
        x = torch.cat((self.class_embedding.expand(x.shape[0], -1, -1), x), 1) + self.position_embedding
        for layer in self.layers:
            x = layer(x)
        query = _heads(self.query(self.latent_embedding.expand(x.shape[0], -1, -1)))
        key, value = _heads(self.key(x)), _heads(self.value(x))
        pooled = self.pool_norm(self.pool_proj(_mixed(query, key, value)))
        return x + self.pool_mlp(pooled)


def _model() -> NomicVision:
    torch.manual_seed(SEED)
    model = NomicVision().eval()
    randomise(model, SEED)
    with torch.no_grad():
        # What it asks is compared with rows that no norm has bounded: it must not see one patch alone.
        model.latent_embedding.mul_(0.1)
    return model


def write_nomic_vision(folder: Path) -> None:
    """`nomic-ai/nomic-embed-vision-v1.5`: `onnx/model.onnx`, whose output has a row for each patch."""
    config: dict[str, Any] = {
        "activation_function": "swiglu",
        "architectures": ["NomicVisionModel"],
        "auto_map": {
            "AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
            "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicVisionModel",
        },
        "causal": False,
        "global_pool": None,
        "img_size": IMAGE,
        "layer_norm_epsilon": 1e-06,
        "learned_pos_embedding": False,
        "mlp_fc1_bias": True,
        "mlp_fc2_bias": True,
        "model_type": "nomic_bert",
        "n_embd": WIDTH,
        "n_head": HEADS,
        "n_inner": float(INNER),
        "n_layer": LAYERS,
        "n_positions": 0,
        "no_cls_token": False,
        "no_embed_class": False,
        "no_last_ln": True,
        "norm_mlp": True,
        "num_channels": 3,
        "patch_embed_bias": True,
        "patch_size": PATCH,
        "prenorm": True,
        "qkv_proj_bias": True,
        "ref_feat_shape": [IMAGE // PATCH, IMAGE // PATCH],
        "rotary_emb_base": 10000,
        "rotary_emb_fraction": 0,
        "use_rms_norm": False,
        "use_rotary_pos_emb": True,
        "vocab_size": 0,
    }
    write_json(folder / "config.json", config)
    preprocessor = {
        "crop_size": {"height": IMAGE, "width": IMAGE},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": configs.MEAN,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": configs.STD,
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": IMAGE},
    }
    write_json(folder / "preprocessor_config.json", preprocessor)
    exports.export(_model(), folder / "onnx" / "model.onnx", ["pixel_values"], ["last_hidden_state"], IMAGE)


class NomicVisionReference:
    """Pictures by this model, texts by the nomic-bert beside it, whose vectors are centred.

    Those are taken from what `expected.json` has for it: unit length changes nothing about what follows.
    """

    def __init__(self, folder: Path, nomic_bert: dict[str, Any]) -> None:
        self.model, self.nomic_bert = _model(), nomic_bert
        self.labels = {text: label for label, text in TEXTS.items()}
        self.image_processor = CLIPImageProcessorPil.from_pretrained(folder)

    def embed(self, inputs: list[Image.Image] | list[str]) -> numpy.ndarray:
        """Embeds one by one: `(inputs, dimensions)` f32 of unit length."""
        with torch.no_grad():
            vectors = [self._one(value) for value in inputs]
        return numpy.stack([nn.functional.normalize(vector, dim=0).numpy() for vector in vectors]).astype(numpy.float32)

    def _one(self, value: Image.Image | str) -> torch.Tensor:
        if isinstance(value, str):
            vector = torch.tensor(self.nomic_bert["texts"][self.labels[value]])
            return nn.functional.layer_norm(vector, vector.shape)
        pixels = self.image_processor(value, return_tensors="pt")["pixel_values"]
        return self.model(pixels)[0, 0]

    def token_ids(self, text: str) -> list[int]:
        """Those of the text model."""
        return self.nomic_bert["token_ids"][self.labels[text]]

    def most_tokens(self) -> int:
        """How many tokens a text is cut to."""
        return self.nomic_bert["max_tokens"]
