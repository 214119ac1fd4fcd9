"""jina-clip v1 and v2: the exports that Jina publishes, of tiny models written down from the published code.

No package has that code: `eva_model.py`, `rope_embeddings.py`, `hf_model.py`, `modeling_clip.py` and `transform.py` of
jinaai/jina-clip-implementation, `modeling_bert.py` of jinaai/jina-bert-flash-implementation (v1's texts, `jina_bert` here) and
`modeling_xlm_roberta.py` of jinaai/xlm-roberta-flash-implementation (v2's texts). The low-rank adaptation of v2's text tower
is left out: an export has it merged into the matrices.
"""

import math
from pathlib import Path
from typing import Any

import numpy
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from PIL import Image
from torch import nn
from transformers import AutoTokenizer, BertTokenizer

import configs
import exports
import jina_bert
import tokenizer_files
from layouts import write_json, write_tokenizer_json
from weights import randomise

Json = dict[str, Any]

SEEDS = {"jina-clip-v1": 71, "jina-clip-v2": 72}
# The number of tokens at which `encode_text` cuts a text by default.
TOKENS = 512
# Of four heads of 8 numbers, each of which has a place in a row of patches and one in a column.
WIDTH, HEADS = 32, 4
QUERY = "Represent the query for retrieving evidence documents: "


class _Rotary(nn.Module):
    """`VisionRotaryEmbeddingFast`: pairs of neighbours are turned by the row, then by the column of their patch."""

    def __init__(self, width: int, pretrained: int, sides: int) -> None:
        super().__init__()
        frequencies = 1.0 / (10000 ** (torch.arange(0, width, 2).float() / width))
        places = torch.arange(sides) / sides * pretrained
        angles = (places[:, None] * frequencies).repeat_interleave(2, -1)
        rows = angles[:, None, :].expand(sides, sides, width)
        columns = angles[None, :, :].expand(sides, sides, width)
        angles = torch.cat((rows, columns), -1).reshape(sides * sides, 2 * width)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = x.unflatten(-1, (-1, 2))
        turned = torch.stack((-pairs[..., 1], pairs[..., 0]), -1).flatten(-2)
        return x * self.cosines + turned * self.sines


class _Block(nn.Module):
    """`Block` of EVA-02: a norm inside attention and inside the gated half (`subln`), no bias of the keys."""

    def __init__(self, width: int, heads: int, inner: int, rotary: _Rotary) -> None:
        super().__init__()
        self.heads, self.rotary = heads, rotary
        norm = lambda size: nn.LayerNorm(size, eps=1e-6)  # noqa: E731
        self.norm1, self.norm2 = norm(width), norm(width)
        self.q_proj, self.v_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.inner_norm, self.proj = norm(width), nn.Linear(width, width)
        self.w1, self.w2, self.w3 = nn.Linear(width, inner), nn.Linear(width, inner), nn.Linear(inner, width)
        self.ffn_norm = norm(inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self._attention(self.norm1(x))
        y = self.norm2(x)
        return x + self.w3(self.ffn_norm(nn.functional.silu(self.w1(y)) * self.w2(y)))

    def _attention(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        # The class token has no place.
        query, key = (torch.cat((y[:, :, :1], self.rotary(y[:, :, 1:])), 2) for y in (query, key))
        scores = query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)
        return self.proj(self.inner_norm((scores.softmax(-1) @ value).transpose(1, 2).flatten(-2)))


class EvaTower(nn.Module):
    """`EVAVisionTransformer` as jina-clip configures it: `(batch, 3, side, side)` to `(batch, width)`."""

    def __init__(self, config: Json) -> None:
        super().__init__()
        width, patch = config["width"], config["patch_size"]
        heads, sides = width // config["head_width"], config["image_size"] // patch
        pretrained = config["pt_hw_seq_len"]
        if not config["intp_freq"] and pretrained != sides:
            raise ValueError("without `intp_freq` the places are those of the pretraining")
        rotary = _Rotary(width // heads // 2, pretrained, sides)
        self.patch_embedding = nn.Conv2d(3, width, patch, patch)
        self.class_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embedding = nn.Parameter(torch.zeros(1, sides**2 + 1, width))
        inner = int(width * config["mlp_ratio"])
        self.blocks = nn.ModuleList([_Block(width, heads, inner, rotary) for _ in range(config["layers"])])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        x = torch.cat((self.class_embedding.expand(x.shape[0], -1, -1), x), 1) + self.position_embedding
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]


class _XlmLayer(nn.Module):
    """A layer of `XLMRobertaModel` with rotary positions, its norms behind the halves."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out_proj = nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-5), nn.LayerNorm(width, eps=1e-5)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        query, key = _turned(query, angles), _turned(key, angles)
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1]) + mask
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(-2)
        x = self.norm1(x + self.out_proj(mixed))
        return self.norm2(x + self.fc2(nn.functional.gelu(self.fc1(x))))


def _turned(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotary positions with the halves of a head as pairs, as flash-attention's `RotaryEmbedding`."""
    one, other = x.chunk(2, -1)
    turned = torch.cat((-other, one), -1)
    angles = torch.cat((angles, angles), -1)
    return x * angles.cos() + turned * angles.sin()


class XlmRobertaTower(nn.Module):
    """`XLMRobertaModel` of jina-embeddings-v3, and the mean of the rows that aren't padding."""

    PADDING, BASE = 1, 20000.0

    def __init__(self, vocab: int, width: int, heads: int, inner: int, layers: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab, width)
        self.token_type_embeddings = nn.Embedding(1, width)
        self.emb_norm = nn.LayerNorm(width, eps=1e-5)
        self.layers = nn.ModuleList([_XlmLayer(width, heads, inner) for _ in range(layers)])
        size = width // heads
        frequencies = 1.0 / (self.BASE ** (torch.arange(0, size, 2).float() / size))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        present = ids != self.PADDING
        x = self.emb_norm(self.word_embeddings(ids) + self.token_type_embeddings.weight[0])
        angles = torch.arange(ids.shape[1]).float()[:, None] * self.frequencies
        mask = torch.where(present, 0.0, -1e30)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask, angles)
        return mean(x, present)


class JinaBertTower(nn.Module):
    """jina-bert with ALiBi for a batch, and the mean of the rows that aren't padding."""

    PADDING = 0

    def __init__(self, config: Json) -> None:
        super().__init__()
        self.bert = jina_bert.JinaBert(config)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        present = ids != self.PADDING
        mask = torch.where(present, 0.0, -1e30)[:, None, None, :]
        return mean(self.bert(ids, mask), present)


def mean(rows: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """`MeanPooler`."""
    weights = present[:, :, None].float()
    return (rows * weights).sum(1) / weights.sum(1)


class _Export(nn.Module):
    """Both towers as `model.onnx` of v2 gives them: as they are, and of unit length."""

    def __init__(self, text: nn.Module, vision: nn.Module) -> None:
        super().__init__()
        self.text, self.vision = text, vision

    def forward(self, input_ids: torch.Tensor, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        texts, images = self.text(input_ids), self.vision(pixel_values)
        return texts, images, nn.functional.normalize(texts), nn.functional.normalize(images)


class _Text(nn.Module):
    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.tower(input_ids)


class _Vision(nn.Module):
    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.tower(pixel_values)


def _vision_config(image: int, patch: int, interpolates: bool, pretrained: int) -> Json:
    return {
        "drop_path_rate": 0.0,
        "embed_dim": WIDTH,
        "fused_layer_norm": False,
        "head_width": WIDTH // HEADS,
        "image_size": image,
        "intp_freq": interpolates,
        "layers": 2,
        "ls_init_value": None,
        "mlp_ratio": 2.6667,
        "model_type": "jina_clip_vision",
        "naive_swiglu": True,
        "patch_dropout": 0.1,
        "patch_size": patch,
        "post_norm": False,
        "proj_type": None,
        "pt_hw_seq_len": pretrained,
        "qkv_bias": True,
        "rope_embeddings": True,
        "subln": True,
        "width": WIDTH,
        "x_attention": False,
    }


def _text_config(model: str, options: Json) -> Json:
    return {
        "embed_dim": WIDTH,
        "hf_model_config_kwargs": {**options, "use_flash_attn": False},
        "hf_model_name_or_path": model,
        "model_type": "jina_clip_text",
        "pooler_type": "mean_pooler",
        "proj_bias": False,
        "proj_type": None,
    }


def _config(text: Json, vision: Json, **more: Any) -> Json:
    code = "jinaai/jina-clip-implementation--"
    return {
        "add_projections": False,
        "architectures": ["JinaCLIPModel"],
        "auto_map": {
            "AutoConfig": f"{code}configuration_clip.JinaCLIPConfig",
            "AutoModel": f"{code}modeling_clip.JinaCLIPModel",
        },
        "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592,
        "model_type": "jina_clip",
        "projection_dim": WIDTH,
        "text_config": text,
        "vision_config": vision,
        **more,
    }


def _preprocessor(image: int) -> Json:
    return {
        "auto_map": {
            "AutoImageProcessor": "jinaai/jina-clip-implementation--processing_clip.JinaCLIPImageProcessor",
            "AutoProcessor": "jinaai/jina-clip-implementation--processing_clip.JinaCLIPProcessor",
        },
        "fill_color": 0,
        "image_processor_type": "JinaCLIPImageProcessor",
        "interpolation": "bicubic",
        "mean": configs.MEAN,
        "processor_class": "JinaCLIPProcessor",
        "resize_mode": "shortest",
        "size": image,
        "std": configs.STD,
    }


VISION_1 = _vision_config(224, 16, interpolates=False, pretrained=14)
# As in the published model, the patches don't cover the whole picture.
VISION_2 = _vision_config(176, 14, interpolates=True, pretrained=16)
BERT = {
    "hidden_size": WIDTH,
    "intermediate_size": 40,
    "layer_norm_eps": 1e-12,
    "num_attention_heads": HEADS,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": configs.BERT_TINY_VOCAB,
}


def _text_tower(name: str) -> nn.Module:
    if name == "jina-clip-v1":
        return JinaBertTower(BERT)
    return XlmRobertaTower(configs.XLM_ROBERTA_TINY_VOCAB, WIDTH, HEADS, inner=40, layers=2)


def towers(name: str) -> tuple[nn.Module, nn.Module]:
    """The text and the image tower of a model, with its seeded weights."""
    torch.manual_seed(SEEDS[name])
    text, vision = _text_tower(name), EvaTower(VISION_1 if name == "jina-clip-v1" else VISION_2)
    for place, tower in enumerate((text, vision)):
        randomise(tower, SEEDS[name] + 100 * place)
    return text.eval(), vision.eval()


def write_jina_clip_v1(folder: Path) -> None:
    """`jinaai/jina-clip-v1`: a graph for each tower, in f32 and in 8 bits; a BERT's tokens."""
    config = _config(_text_config("jinaai/jina-bert-flash-implementation", {}), VISION_1, torch_dtype="float32")
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", _preprocessor(VISION_1["image_size"]))
    tokens = tokenizer_files.wordpiece_from_texts(configs.BERT_TINY_VOCAB, lower_case=True)
    tokenizer = BertTokenizer(vocab={token: id for id, token in enumerate(tokens)}, do_lower_case=True)
    write_tokenizer_json(folder, tokenizer)
    write_json(folder / "tokenizer_config.json", configs.bert_tokenizer_config("BertTokenizer", True, 8192))
    text, vision = towers(folder.name)
    graphs = [folder / "onnx" / f"{tower}_model.onnx" for tower in ("text", "vision")]
    exports.export(_Text(text), graphs[0], ["input_ids"], ["text_embeds"])
    exports.export(_Vision(vision), graphs[1], ["pixel_values"], ["image_embeds"])
    # Signed weights for a convolution are not supported.
    for graph, weights in zip(graphs, (QuantType.QInt8, QuantType.QUInt8), strict=True):
        quantize_dynamic(graph, graph.with_stem(f"{graph.stem}_quantized"), weight_type=weights)


def write_jina_clip_v2(folder: Path) -> None:
    """`jinaai/jina-clip-v2`: both towers in one graph, its weights beside it; XLM-R's tokens; a prompt; Matryoshka."""
    adaptation = {
        "load_trained_adapters": False,
        "lora_adaptations": ["retrieval.query"],
        "lora_alpha": 4,
        "lora_dropout_p": 0.0,
        "lora_main_params_trainable": False,
        "lora_rank": 4,
        "task_instructions": {"retrieval.query": QUERY},
    }
    text_config = _text_config("jinaai/jina-embeddings-v3", adaptation)
    text_config |= {"default_instruction_task": None, "default_lora_task": "retrieval.query"}
    more = {"matryoshka_dimensions": [4, 8, WIDTH], "truncate_dim": None, "use_text_flash_attn": None}
    write_json(folder / "config.json", _config(text_config, VISION_2, **more, use_vision_xformers=None))
    write_json(folder / "preprocessor_config.json", _preprocessor(VISION_2["image_size"]))
    modules = configs.modules(("Transformer", ""), ("Normalize", "1_Normalize"))
    modules[0]["type"] = "custom_st.Transformer"
    write_json(folder / "modules.json", modules)
    write_tokenizer_json(folder, tokenizer_files.xlm_roberta_tokenizer(configs.XLM_ROBERTA_TINY_VOCAB, 8194))
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    special |= {"pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    settings = {"model_max_length": 8194, "tokenizer_class": "XLMRobertaTokenizer"}
    write_json(folder / "tokenizer_config.json", special | settings)
    names = ["text_embeddings", "image_embeddings", "l2norm_text_embeddings", "l2norm_image_embeddings"]
    path = folder / "onnx" / "model.onnx"
    side = VISION_2["image_size"]
    exports.export(_Export(*towers(folder.name)), path, ["input_ids", "pixel_values"], names, side, beside=True)


class JinaClipReference:
    """A model as its own code runs it, in fp32, with torchvision's transforms of Pillow's pictures."""

    def __init__(self, folder: Path) -> None:
        self.text, self.vision = towers(folder.name)
        self.side = (VISION_1 if folder.name == "jina-clip-v1" else VISION_2)["image_size"]
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        # There is one, whatever it is called.
        self.image_processor = self.pixels

    def embed(self, inputs: list[Image.Image] | list[str]) -> numpy.ndarray:
        """Embeds one by one: `(inputs, dimensions)` f32 of unit length."""
        with torch.no_grad():
            vectors = [self._one(value) for value in inputs]
        return numpy.stack([(vector / vector.norm()).numpy() for vector in vectors]).astype(numpy.float32)

    def _one(self, value: Image.Image | str) -> torch.Tensor:
        if isinstance(value, str):
            return self.text(torch.tensor([self.token_ids(value)]))[0]
        return self.vision(self.pixels(value)[None])[0]

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """`image_transform`: torchvision's `Resize` of the short side, `CenterCrop`, `ToTensor` and `Normalize`."""
        side, (width, height) = self.side, image.size
        long = int(side * max(width, height) / min(width, height))
        size = (side, long) if width <= height else (long, side)
        image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (round((length - side) / 2) for length in image.size)
        image = image.crop((left, top, left + side, top + side))
        planes = torch.from_numpy(numpy.asarray(image).copy()).permute(2, 0, 1).float() / 255
        average, deviation = (torch.tensor(numbers)[:, None, None] for numbers in (configs.MEAN, configs.STD))
        return (planes - average) / deviation

    def token_ids(self, text: str) -> list[int]:
        """The ids that reach the model, cut as `encode_text` does."""
        return self.tokenizer(text, truncation=True, max_length=TOKENS)["input_ids"]

    def most_tokens(self) -> int:
        """How many tokens a text is cut to."""
        return TOKENS
