"""Faults in the preprocessing that the parity tests must notice, as people make them.

Each gives the model a picture of `side` × `side` pixels, which the right preprocessing then leaves alone.
"""

from collections.abc import Callable

import numpy
import torch
from PIL import Image

Fault = Callable[[Image.Image, int], Image.Image]


def _target(image: Image.Image, side: int) -> tuple[int, int]:
    short, long = sorted(image.size)
    long = int(side * long / short)
    return (side, long) if image.width <= image.height else (long, side)


def _cropped(image: Image.Image, side: int) -> Image.Image:
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _filtered(resampling: Image.Resampling) -> Fault:
    return lambda image, side: _cropped(image.resize(_target(image, side), resampling), side)


def _not_antialiased(image: Image.Image, side: int) -> Image.Image:
    width, height = _target(image, side)
    planes = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)[None].float()
    planes = torch.nn.functional.interpolate(planes, (height, width), mode="bicubic", antialias=False)
    pixels = planes.round().clamp(0, 255).byte()[0].permute(1, 2, 0).numpy()
    return _cropped(Image.fromarray(pixels), side)


def _squashed(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BICUBIC)


def _one_pixel_off(image: Image.Image, side: int) -> Image.Image:
    right = _filtered(Image.Resampling.BICUBIC)(image, side)
    return Image.fromarray(numpy.roll(numpy.asarray(right), 1, axis=1))


def _rounding(image: Image.Image, side: int) -> Image.Image:
    """No fault, but what must pass: one pixel in fifty is off by one."""
    right = numpy.asarray(_filtered(Image.Resampling.BICUBIC)(image, side)).astype(numpy.int16)
    random = numpy.random.default_rng(0)
    error = random.choice([-1, 1], right.shape) * (random.random(right.shape) < 0.02)
    return Image.fromarray((right + error).clip(0, 255).astype(numpy.uint8))


FAULTS: dict[str, Fault] = {
    "bilinear": _filtered(Image.Resampling.BILINEAR),
    "no antialias": _not_antialiased,
    "lanczos": _filtered(Image.Resampling.LANCZOS),
    "squashed": _squashed,
    "one pixel off": _one_pixel_off,
    "rounding (no fault)": _rounding,
}
