"""Writes what transformers' CLIPImageProcessor makes of the pictures of core/tests/crops.rs.

Run in this folder with transformers 4.57, Pillow 13.0 and NumPy 2.4; needs no torch.
"""

import numpy as np
from PIL import Image
from transformers import CLIPImageProcessor

BICUBIC, BILINEAR, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS


def picture(width: int, height: int) -> np.ndarray:
    """Waves, edges and noise, from whole numbers alone: the test makes the same in Rust."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.int64)
    noise = (x * 7919 + y * 104_729 + c * 1_299_709) * 2_654_435_761 % 4_294_967_296 // 16_777_216
    ramp = (x * 3 + y * 5 + c * 80) % 256
    edge = np.where((x // 9 + y // 7 + c) % 3 == 0, 255, 0)
    return ((noise + ramp + 2 * edge) // 4).astype(np.uint8)


def main() -> None:
    clip = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "resample": BICUBIC}
    squash = {"size": {"height": 24, "width": 40}, "resample": BICUBIC, "do_center_crop": False}
    small = {"size": {"shortest_edge": 20}, "crop_size": {"height": 33, "width": 32}, "resample": BICUBIC}
    cases = [
        *[("clip", clip, *size) for size in SIZES],
        ("bilinear", clip | {"resample": BILINEAR}, 211, 160),
        ("lanczos", clip | {"resample": LANCZOS}, 211, 160),
        ("squash", squash, 211, 160),
        ("padded", small, 211, 160),
        ("padded", small, 40, 77),
        ("uncropped", clip | {"do_center_crop": False}, 211, 160),
    ]
    for name, settings, width, height in cases:
        options = {"return_tensors": "np", "input_data_format": "channels_last"}
        processor = CLIPImageProcessor(do_rescale=False, do_normalize=False, **settings)
        pixels = processor(Image.fromarray(picture(width, height)), **options)["pixel_values"][0]
        seen = Image.fromarray(pixels.transpose(1, 2, 0).astype(np.uint8))
        seen.save(f"{name}_{width}x{height}.png", optimize=True)


SIZES = [(211, 160), (160, 211), (57, 43), (400, 20), (21, 401), (1, 1), (3, 2), (25, 20), (32, 32), (33, 32), (64, 97)]

main()
