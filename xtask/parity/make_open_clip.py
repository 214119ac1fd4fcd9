"""Makes the parity tests' OpenCLIP folders and Immich's exports of them, and the vectors that open_clip_torch gives for them.

A script of its own, since open_clip_torch needs torchvision, which makes transformers resize otherwise than Pillow does:
see `requirements-open-clip.txt`. It adds to what `make_fixtures.py` wrote, and leaves everything else as it is.

Texts are split by the folder's tokenizer as they are: OpenCLIP would repair them by ftfy and unescape HTML first.
"""

import argparse
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import onnx
import open_clip
import timm
import torch
from open_clip.factory import _MODEL_CONFIGS
from open_clip.tokenizer import canonicalize_text
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessorPil, PreTrainedTokenizerFast

import configs
import exports
import immich_pictures
import tokenizer_files
from layouts import weights_of, write_bpe_files, write_json, write_tokenizer_json
from make_fixtures import expected_of, pictures_of, write_expected
from pictures import make_pictures, upright_rgb
from weights import randomise

Json = dict[str, Any]

MEAN_OF_HALF = [0.5, 0.5, 0.5]


@dataclass(frozen=True)
class Model:
    """One folder."""

    seed: int
    config: Json
    preprocessing: Json
    write_tokenizer: Callable[[Path], None]
    weights_file: str
    # What `text_cfg.hf_model_name` means here: a folder with the sizes of a published family in small.
    hugging_face: Json | None = None
    canonical: bool = False
    # The sizes of timm's image tower, which its name alone would set.
    trunk: Json | None = None
    dtype: torch.dtype = torch.float32
    # One of full size keeps the library's own initial weights, drawn from the seed.
    full: bool = False


def _clip_tokenizer(folder: Path) -> None:
    merges = tokenizer_files.clip_merges_from_texts(configs.CLIP_TINY.vocab)
    tokenizer = tokenizer_files.clip_tokenizer(merges)
    write_bpe_files(folder, tokenizer, merges)
    write_tokenizer_json(folder, tokenizer)
    # OpenCLIP's own tokenizer fills up with 0, whatever the published files say.
    write_json(folder / "tokenizer_config.json", configs.clip_tokenizer_config())


def _xlm_roberta_tokenizer(folder: Path) -> None:
    write_tokenizer_json(folder, tokenizer_files.xlm_roberta_tokenizer(configs.XLM_ROBERTA_TINY_VOCAB, 512))
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    special |= {"pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    settings = {"model_max_length": 512, "tokenizer_class": "XLMRobertaTokenizer"}
    write_json(folder / "tokenizer_config.json", special | settings)


def _vision(**changes: Any) -> Json:
    return {"image_size": 224, "layers": 2, "width": 16, "head_width": 8, "patch_size": 32, **changes}


def _text(**changes: Any) -> Json:
    return {"context_length": 77, "vocab_size": configs.CLIP_TINY.vocab, "width": 32, "heads": 2, "layers": 2, **changes}


XLM_ROBERTA = configs.xlm_roberta(configs.Tower(128, 64, 1, 2), configs.XLM_ROBERTA_TINY_VOCAB, 98) | {
    "torch_dtype": "float32"
}

MODELS: dict[str, Model] = {
    "openclip-quickgelu": Model(
        seed=31,
        config={"embed_dim": 24, "quick_gelu": True, "vision_cfg": _vision(), "text_cfg": _text()},
        preprocessing={"mean": configs.MEAN, "std": configs.STD, "interpolation": "bicubic", "resize_mode": "shortest"},
        write_tokenizer=_clip_tokenizer,
        weights_file="open_clip_model.safetensors",
    ),
    "openclip-xlm-roberta": Model(
        seed=32,
        config={
            "embed_dim": 24,
            "vision_cfg": _vision(pool_type="avg", final_ln_after_pool=True, no_ln_pre=True),
            "text_cfg": {
                "hf_model_name": "xlm-roberta-base",
                "hf_tokenizer_name": "xlm-roberta-base",
                "hf_pooler_type": "mean_pooler",
            },
        },
        preprocessing={"mean": configs.MEAN, "std": configs.STD, "interpolation": "bicubic", "resize_mode": "shortest"},
        write_tokenizer=_xlm_roberta_tokenizer,
        weights_file="open_clip_pytorch_model.bin",
        hugging_face=XLM_ROBERTA,
        dtype=torch.float16,
    ),
    "openclip-padded": Model(
        seed=33,
        config={
            "embed_dim": 24,
            "custom_text": True,
            "init_logit_bias": -10,
            "vision_cfg": _vision(pool_type="avg", act_kwargs={"approximate": "tanh"}, norm_kwargs={"eps": 1e-6}),
            "text_cfg": _text(
                act_kwargs={"approximate": "tanh"},
                context_length=40,
                hf_tokenizer_name="timm/ViT-B-16-SigLIP",
                no_causal_mask=True,
                norm_kwargs={"eps": 1e-6},
                pool_type="last",
                proj_bias=True,
                tokenizer_kwargs={"clean": "canonicalize"},
                vocab_size=configs.XLM_ROBERTA_TINY_VOCAB,
            ),
        },
        preprocessing={
            "mean": MEAN_OF_HALF,
            "std": MEAN_OF_HALF,
            "interpolation": "bilinear",
            "resize_mode": "squash",
        },
        write_tokenizer=_xlm_roberta_tokenizer,
        weights_file="open_clip_model.safetensors",
        canonical=True,
    ),
    "mobileclip": Model(
        seed=34,
        config={
            "embed_dim": 20,
            "custom_text": True,
            "vision_cfg": {
                "timm_model_name": "fastvit_mci0",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": None,
                "timm_drop": 0.0,
                "timm_drop_path": 0.0,
                "image_size": 256,
            },
            "text_cfg": _text(no_causal_mask=True),
        },
        preprocessing={
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
            "interpolation": "bilinear",
            "resize_mode": "shortest",
        },
        write_tokenizer=_clip_tokenizer,
        weights_file="open_clip_model.safetensors",
        trunk={"embed_dims": (8, 16, 32, 64), "layers": (1, 2, 1, 2)},
        dtype=torch.float16,
    ),
}


def _build(name: str, model: Model, folder: Path) -> torch.nn.Module:
    """Builds the model from the configuration that the folder has, with random weights."""
    config = json.loads(json.dumps(model.config))
    if model.hugging_face is not None:
        source = folder.with_name(f"{folder.name}.source")
        source.mkdir()
        try:
            write_json(source / "config.json", model.hugging_face)
            config["text_cfg"] |= {"hf_model_name": str(source)}
            return _seeded(name, config, model)
        finally:
            shutil.rmtree(source)
    return _seeded(name, config, model)


def _seeded(name: str, config: Json, model: Model) -> torch.nn.Module:
    _MODEL_CONFIGS[name] = config
    torch.manual_seed(model.seed)
    built = open_clip.create_model(name, pretrained=None, pretrained_hf=False, load_weights=False).eval()
    if model.trunk is not None:
        vision = config["vision_cfg"]
        sizes = {"num_classes": config["embed_dim"], "global_pool": vision["timm_pool"], **model.trunk}
        built.visual.trunk = timm.create_model(vision["timm_model_name"], **sizes).eval()
    if not model.full:
        randomise(built, model.seed)
    if "timm_model_name" in config["vision_cfg"]:
        _calibrate(built.visual, config["vision_cfg"]["image_size"])
    # What is stored is what is run.
    return built.to(model.dtype).to(torch.float32)


def _calibrate(model: torch.nn.Module, side: int) -> None:
    """Lets batch norms see the pictures, as training does: with other statistics the vectors follow every rounding error."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    pictures = [Image.open(io.BytesIO(fixture.data)).convert("RGB").resize((side, side)) for fixture in make_pictures()]
    pixels = torch.from_numpy(numpy.stack([numpy.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2)
    with torch.no_grad():
        model.train()(pixels / 255)
    model.eval()


def write_model(name: str, model: Model, folder: Path) -> torch.nn.Module:
    """Writes one folder as `push_to_hf_hub` does; returns the model."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "open_clip_config.json", {"model_cfg": model.config, "preprocess_cfg": model.preprocessing})
    model.write_tokenizer(folder)
    built = _build(name, model, folder)
    weights = {name: tensor for name, tensor in weights_of(built, model.dtype).items() if tensor.is_floating_point()}
    if model.weights_file.endswith(".bin"):
        torch.save(weights, folder / model.weights_file)
    else:
        from safetensors.torch import save_file

        save_file(weights, folder / model.weights_file, metadata={"format": "pt"})
    return built


class _Image(torch.nn.Module):
    def __init__(self, model: torch.nn.Module, normalize: bool) -> None:
        super().__init__()
        self.model, self.normalize = model, normalize

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(image, normalize=self.normalize)


class _Text(torch.nn.Module):
    def __init__(self, model: torch.nn.Module, normalize: bool) -> None:
        super().__init__()
        self.model, self.normalize = model, normalize

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        return self.model.encode_text(text.long(), normalize=self.normalize)


class _MaskedText(torch.nn.Module):
    """A text tower of Hugging Face whose mask is an input, as Immich exports NLLB's."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.text = model.text

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        output = self.text.transformer(input_ids=input_ids.long(), attention_mask=attention_mask.long())
        return self.text.proj(self.text.pooler(output, attention_mask.long()))


# The export of each model: its folder, the type of its tokens, and whether its vectors are normalised.
IMMICH = {
    "openclip-quickgelu": ("immich-clip", torch.int32, True),
    "openclip-padded": ("immich-padded", torch.int64, False),
    "openclip-xlm-roberta": ("immich-xlm-roberta", torch.int32, False),
}


def write_immich(
    description: Model, built: torch.nn.Module, source: Path, folder: Path, dtype: torch.dtype, normalize: bool
) -> None:
    """Writes an export in the layout of Immich, whose graphs take one input at a time."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "visual").mkdir(parents=True)
    (folder / "textual").mkdir()
    write_json(folder / "config.json", description.config)
    size = description.config["vision_cfg"]["image_size"]
    preprocessing = {"size": [size, size], "mode": "RGB", **description.preprocessing, "fill_color": 0}
    write_json(folder / "visual" / "preprocess_cfg.json", preprocessing)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / file, folder / "textual" / file)
    length = description.config["text_cfg"].get("context_length", 77)
    tokens = torch.ones((1, length), dtype=dtype)
    _export(_Image(built, normalize), (torch.zeros(1, 3, size, size),), ["image"], folder / "visual")
    if description.hugging_face is None:
        _export(_Text(built, normalize), (tokens,), ["text"], folder / "textual")
    else:
        inputs = ["input_ids", "attention_mask"]
        _export(_MaskedText(built), (tokens, torch.ones_like(tokens)), inputs, folder / "textual")


def _export(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str], folder: Path) -> None:
    program = torch.onnx.export(
        model.eval(), inputs, input_names=names, output_names=["vector"], opset_version=18, dynamo=True, verbose=False
    )
    proto = program.model_proto
    # Immich's name of the output, which the exporter also gives what a table of embeddings makes.
    names = {"embedding": "embedding.rows", "vector": "embedding"}
    for node in proto.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
    for output in proto.graph.output:
        output.name = names.get(output.name, output.name)
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.initializer):
        part.ClearField("metadata_props")
    proto.graph.ClearField("value_info")
    onnx.save(proto, folder / "model.onnx")


class _TransformersText(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model.encode_text(input_ids)


class _TransformersVision(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(pixel_values)


# The export of a MobileCLIP for Transformers.js.
TRANSFORMERS_JS = "mobileclip-onnx-xenova"


def write_transformers_js(built: torch.nn.Module, source: Path, folder: Path) -> None:
    """`Xenova/mobileclip_s0`: a graph for each tower, and a configuration that says no more than `clip`.

    The length of the vectors is 512 in every model that is published so, which is what transformers takes for granted; this
    one has to say its own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = MODELS["mobileclip"].config
    side = config["vision_cfg"]["image_size"]
    write_json(folder / "config.json", {"model_type": "clip", "projection_dim": config["embed_dim"]})
    preprocessor = {
        "crop_size": {"height": side, "width": side},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": False,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_processor_type": "CLIPFeatureExtractor",
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": side},
    }
    write_json(folder / "preprocessor_config.json", preprocessor)
    shutil.copy(source / "tokenizer.json", folder / "tokenizer.json")
    # With the token 0, as OpenCLIP fills up texts.
    write_json(folder / "tokenizer_config.json", configs.clip_tokenizer_config() | {"pad_token": "!"})
    graphs = folder / "onnx"
    exports.export(_TransformersText(built), graphs / "text_model.onnx", ["input_ids"], ["text_embeds"])
    exports.export(_TransformersVision(built), graphs / "vision_model.onnx", ["pixel_values"], ["image_embeds"], side)


class TransformersJsReference:
    """A model as Transformers.js runs its export: transformers' pictures, and texts filled up to 77 tokens."""

    def __init__(self, built: torch.nn.Module, folder: Path) -> None:
        self.model = built
        self.image_processor = CLIPImageProcessorPil.from_pretrained(folder)
        # Without the settings: transformers would take every `!` of a text for padding.
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))

    def embed(self, inputs: list[Image.Image] | list[str]) -> numpy.ndarray:
        """Embeds one by one: `(inputs, dimensions)` f32 of unit length."""
        with torch.no_grad():
            return numpy.stack([self._one(value)[0].numpy() for value in inputs]).astype(numpy.float32)

    def _one(self, value: Image.Image | str) -> torch.Tensor:
        if isinstance(value, str):
            return self.model.encode_text(torch.tensor([self.token_ids(value)]), normalize=True)
        pixels = self.image_processor(value, return_tensors="pt")["pixel_values"]
        return self.model.encode_image(pixels, normalize=True)

    def token_ids(self, text: str) -> list[int]:
        """The ids that reach the model, padding among them."""
        ids = self.tokenizer(text, max_length=77, truncation=True)["input_ids"]
        return ids + [0] * (77 - len(ids))

    def most_tokens(self) -> int:
        """How many tokens a text is cut to."""
        return 77


class OpenClipReference:
    """A model as open_clip_torch runs it, with torchvision's transforms of Pillow's pictures."""

    def __init__(self, name: str, built: torch.nn.Module, folder: Path) -> None:
        description = MODELS[name]
        self.model, self.canonical = built, description.canonical
        size = description.config["vision_cfg"]["image_size"]
        preprocessing = open_clip.transform.PreprocessCfg(size=size, **description.preprocessing)
        self.transform = open_clip.transform.image_transform_v2(preprocessing, is_train=False)
        self.image_processor = self.transform
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        text = description.config["text_cfg"]
        self.length = text.get("context_length", 77)
        self.sees_padding = text.get("no_causal_mask", False)

    def embed(self, inputs: list[Image.Image] | list[str]) -> numpy.ndarray:
        """Embeds one by one: `(inputs, dimensions)` f32 of unit length."""
        with torch.no_grad():
            return numpy.stack([self._one(value)[0].numpy() for value in inputs]).astype(numpy.float32)

    def _one(self, value: Image.Image | str) -> torch.Tensor:
        if isinstance(value, str):
            return self.model.encode_text(torch.tensor([self._padded(value)]), normalize=True)
        return self.model.encode_image(self.transform(value)[None], normalize=True)

    def _padded(self, text: str) -> list[int]:
        ids = self._ids(text)
        has_own = self.tokenizer.pad_token == "<|endoftext|>"
        return ids + [0 if has_own else self.tokenizer.pad_token_id] * (self.length - len(ids))

    def _ids(self, text: str) -> list[int]:
        text = canonicalize_text(text) if self.canonical else text
        return self.tokenizer(text, max_length=self.length, truncation=True)["input_ids"]

    def token_ids(self, text: str) -> list[int]:
        """The ids that reach the model, padding among them where it sees that."""
        return self._padded(text) if self.sees_padding else self._ids(text)

    def most_tokens(self) -> int:
        """How many tokens a text is cut to."""
        return self.length


def main() -> None:
    """Makes the OpenCLIP models anew; everything else stays as it is, byte for byte."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="core/testkit/testdata/parity")
    parser.add_argument("--only", choices=sorted(MODELS), action="append", help="make this model anew and keep the rest")
    arguments = parser.parse_args()
    output: Path = arguments.output
    fixtures = make_pictures()
    images = [upright_rgb(output / "pictures" / fixture.name) for fixture in fixtures]
    expected = json.loads((output / "expected.json").read_text(encoding="utf-8"))
    for name in sorted(arguments.only or MODELS):
        folder = output / "models" / name
        built = write_model(name, MODELS[name], folder)
        reference = OpenClipReference(name, built, folder)
        expected["models"][name] = expected_of(name, reference, fixtures, images)
        if name in IMMICH:
            export, dtype, normalize = IMMICH[name]
            write_immich(MODELS[name], built, folder, output / "models" / export, dtype, normalize)
            expected["models"][export] = {"same_as": name}
            if MODELS[name].preprocessing.get("resize_mode", "shortest") == "shortest":
                vectors = immich_pictures.embed(output / "models" / export, images)
                expected["models"][export]["pictures"] = pictures_of(vectors, fixtures)
        if name == "mobileclip":
            export_folder = output / "models" / TRANSFORMERS_JS
            write_transformers_js(built, folder, export_folder)
            reference = TransformersJsReference(built, export_folder)
            expected["models"][TRANSFORMERS_JS] = expected_of(TRANSFORMERS_JS, reference, fixtures, images)
    write_expected(output, expected)


if __name__ == "__main__":
    main()
