"""What Immich's exports give for pictures that are prepared as Immich's machine learning prepares them.

It does what open_clip does but for one pixel: where a crop can't be centred, Immich rounds its offset down, and open_clip half
to even (`crop_pil` of Immich's `machine-learning/immich_ml/models/transforms.py`, and `CenterCrop` of torchvision).
"""

import json
from pathlib import Path

import numpy
import onnxruntime
from PIL import Image


def embed(folder: Path, images: list[Image.Image]) -> numpy.ndarray:
    """Embeds upright RGB pictures one by one: `(pictures, dimensions)` f32 of unit length."""
    settings = json.loads((folder / "visual/preprocess_cfg.json").read_text(encoding="utf-8"))
    if (settings["resize_mode"], settings["interpolation"]) != ("shortest", "bicubic"):
        raise ValueError(f"{folder} resizes in another way")
    session = onnxruntime.InferenceSession(str(folder / "visual/model.onnx"), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    vectors = numpy.stack([session.run(None, {name: _planes(image, settings)})[0][0] for image in images])
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def _planes(image: Image.Image, settings: dict) -> numpy.ndarray:
    """Resizes the short side, crops the middle and normalises: `(1, 3, size, size)` f32."""
    size = settings["size"][0]
    short = min(image.size)
    resized = image.resize(tuple(side * size // short for side in image.size), Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in resized.size)
    cropped = resized.crop((left, top, left + size, top + size))
    mean, std = (numpy.array(settings[key], numpy.float32) for key in ("mean", "std"))
    pixels = (numpy.asarray(cropped, numpy.float32) / 255 - mean) / std
    return numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
