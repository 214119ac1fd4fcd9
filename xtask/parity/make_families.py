"""Writes models of full size of several families, with seeded random weights, and ONNX exports of them in fp32 and int8.

`cargo xtask bench families` and `several` measure them. It needs what `requirements-open-clip.txt` lists.
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image
from transformers import XLMRobertaConfig, XLMRobertaModel

import configs
import exports
import families
import make_open_clip
import siglip
from layouts import weights_of, write_json, write_safetensors
from pictures import make_pictures

# `intfloat/multilingual-e5-small`.
E5_SMALL, E5_VOCAB, E5_POSITIONS, E5_SEED = configs.Tower(384, 1536, 12, 12), 250_037, 514, 41

# Apple's MobileCLIP-S0 by the sizes of its image tower, which are those of timm's `fastvit_mci0`; its text tower is
# OpenCLIP's for MobileCLIP-S1, since OpenCLIP has no layer of S0's.
MOBILECLIP = make_open_clip.Model(
    seed=42,
    config={
        **make_open_clip.MODELS["mobileclip"].config,
        "embed_dim": 512,
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49_408,
            "width": 512,
            "heads": 8,
            "layers": 12,
            "no_causal_mask": True,
        },
    },
    preprocessing=make_open_clip.MODELS["mobileclip"].preprocessing,
    write_tokenizer=make_open_clip.MODELS["mobileclip"].write_tokenizer,
    weights_file="open_clip_model.safetensors",
    full=True,
)

# How many pictures the range of each number is taken from.
CALIBRATION = 8


def write_e5(folder: Path) -> None:
    """A text model of e5's size; its tokenizer is the small one of the parity models."""
    families.write_xlm_roberta(folder)
    for shard in folder.glob("model-*.safetensors"):
        shard.unlink()
    (folder / "model.safetensors.index.json").unlink()
    config = configs.xlm_roberta(E5_SMALL, E5_VOCAB, E5_POSITIONS) | {"torch_dtype": "float32"}
    write_json(folder / "config.json", config)
    torch.manual_seed(E5_SEED)
    model = XLMRobertaModel(XLMRobertaConfig(**config)).eval()
    weights = {name: tensor for name, tensor in weights_of(model).items() if tensor.is_floating_point()}
    write_safetensors(folder, weights)


class _Pictures(CalibrationDataReader):
    """The parity tests' first pictures, as the exported tower takes them: `(1, 3, side, side)` f32 from 0 to 1."""

    def __init__(self, side: int) -> None:
        self.batches = self._read(side)

    def _read(self, side: int) -> Iterator[dict[str, numpy.ndarray]]:
        for fixture in make_pictures()[:CALIBRATION]:
            picture = Image.open(io.BytesIO(fixture.data)).convert("RGB").resize((side, side))
            planes = numpy.asarray(picture, dtype=numpy.float32).transpose(2, 0, 1)[None] / 255
            yield {"image": planes}

    def get_next(self) -> dict[str, numpy.ndarray] | None:
        """Returns the next picture, and `None` after the last."""
        return next(self.batches, None)


def write_mobileclip(folder: Path, export: Path) -> None:
    """An OpenCLIP folder, and Immich's export of it with int8 copies: convolutions by ranges that pictures gave."""
    built = make_open_clip.write_model("mobileclip-s0", MOBILECLIP, folder)
    make_open_clip.write_immich(MOBILECLIP, built, folder, export, torch.int32, True)
    visual, textual = export / "visual" / "model.onnx", export / "textual" / "model.onnx"
    prepared = visual.with_stem("prepared")
    quant_pre_process(visual, prepared)
    side = MOBILECLIP.config["vision_cfg"]["image_size"]
    int8 = visual.with_stem("model_int8")
    quantize_static(prepared, int8, _Pictures(side), quant_format=QuantFormat.QDQ, per_channel=True)
    prepared.unlink()
    quantize_dynamic(textual, textual.with_stem("model_int8"))


def main() -> None:
    """Writes all folders below `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the folder to write the models' folders into")
    output: Path = parser.parse_args().output
    names = ("clip", "e5", "immich-mobileclip", "mobileclip", "siglip", "siglip-onnx")
    clip, e5, immich, mobileclip, siglip_folder, siglip_export = (output / name for name in names)
    for folder in (clip, e5, siglip_folder, siglip_export):
        folder.mkdir(parents=True, exist_ok=True)
    families.write_clip(clip, full=True)
    write_e5(e5)
    exports.export_vision(siglip.write_siglip_full(siglip_folder), siglip_export / "model.onnx")
    write_mobileclip(mobileclip, immich)


if __name__ == "__main__":
    main()
