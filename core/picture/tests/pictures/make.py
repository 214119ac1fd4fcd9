"""Writes the pictures of core/tests/pixel_modes.rs and heic.rs, and beside each what Pillow's convert("RGB") makes of it.

Run in this folder with Pillow 13.0, pillow-heif 1.8, NumPy 2.4 and imagecodecs 2026.3 (for what Pillow can't write:
YCCK and 16-bit colour). 16-bit values are scaled here, round(value / 257), where Pillow would clip grey at 255 and cut off colour.
"""

import struct

import imagecodecs
import numpy as np
import pillow_heif
from PIL import Image, ImageCms

pillow_heif.register_heif_opener()

WIDTH, HEIGHT = 24, 16


def base() -> np.ndarray:
    """A smooth picture with every hue, so that a JPEG keeps it well and a wrong colour shows."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = 255 * x / (WIDTH - 1)
    green = 255 * y / (HEIGHT - 1)
    blue = 127 + 127 * np.cos((x + 2 * y) / 6)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def keep(name: str, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).save(f"{name.rsplit('.')[0]}.expected.png", optimize=True)


def by_pillow(image: Image.Image, name: str, **options) -> None:
    image.save(name, **options)
    keep(name, np.array(Image.open(name).convert("RGB")))


def by_codec(name: str, data: bytes) -> None:
    with open(name, "wb") as file:
        file.write(data)


def swapped_profile() -> bytes:
    """A profile in which red is green and green is red: whoever ignores it shows wrong colours."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    swapped = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}
    for at in range(132, 132 + 12 * count, 12):
        name = bytes(profile[at : at + 4])
        profile[at : at + 4] = swapped.get(name, name)
    return bytes(profile)


def main() -> None:
    rgb = base()
    image = Image.fromarray(rgb)
    grey = image.convert("L")
    ramp = np.linspace(0, 255, HEIGHT * WIDTH).astype(np.uint8).reshape(HEIGHT, WIDTH)
    alpha = Image.fromarray(ramp)
    palette = image.quantize(16)
    coverage = bytes(range(0, 256, 16))

    by_pillow(grey, "grey.png")
    by_pillow(Image.merge("LA", (grey, alpha)), "grey_alpha.png")
    by_pillow(Image.merge("RGBA", (*image.split(), alpha)), "rgba.png")
    by_pillow(Image.merge("RGBA", (*image.split(), alpha)), "rgba_lossless.webp", lossless=True, exact=True)
    by_pillow(palette, "palette.png")
    by_pillow(palette, "palette_one_transparent.png", transparency=5)
    by_pillow(palette, "palette_alpha.png", transparency=coverage)
    by_pillow(palette, "palette_transparent.gif", transparency=5)
    by_pillow(image.convert("1"), "one_bit.png")
    by_pillow(image.convert("1"), "one_bit_fax.tif", compression="group4")

    # What Pillow's own conversion gives has no black; a third of the grey does.
    black = np.array(grey) // 3
    inks = np.minimum(255 - rgb, 255 - black[..., None])
    cmyk = np.dstack([inks, black]).astype(np.uint8)
    by_pillow(Image.fromarray(cmyk, "CMYK"), "cmyk.jpg", quality=95)
    # Without Adobe's segment the inks are not inverted.
    with open("cmyk.jpg", "rb") as file:
        data = file.read()
    at = data.index(b"\xff\xee")
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    by_codec("cmyk_plain.jpg", data[:at] + data[at + 2 + length :])
    keep("cmyk_plain.jpg", np.array(Image.open("cmyk_plain.jpg").convert("RGB")))
    ycck = imagecodecs.jpeg8_encode(cmyk, 95, colorspace="CMYK", outcolorspace="YCCK")
    by_codec("ycck.jpg", ycck)
    keep("ycck.jpg", np.array(Image.open("ycck.jpg").convert("RGB")))
    by_pillow(grey, "grey_lossy.jpg", quality=95)
    by_pillow(image, "rgb_untransformed.jpg", quality=95, keep_rgb=True)
    by_pillow(image, "half_colour.jpg", quality=95, subsampling=2)
    by_pillow(image, "progressive.jpg", quality=95, subsampling=0, progressive=True)

    # With colours at full resolution nothing is interpolated.
    by_pillow(image, "heic.heic", quality=90, chroma=444)
    by_pillow(image, "heic_half_colour.heic", quality=90)
    by_pillow(grey, "heic_grey.heic", quality=90)
    by_pillow(Image.merge("RGBA", (*image.split(), alpha)), "heic_alpha.heic", quality=90, chroma=444)
    by_pillow(image.resize((17, 3)), "heic_tiny.heic", quality=90, chroma=444)
    red = Image.new("RGB", (64, 64), (220, 10, 10))
    red.save("heic_wide.heic", quality=90, chroma=444, icc_profile=swapped_profile())
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        by_pillow(image, f"heic_turned_{orientation}.heic", quality=90, chroma=444, exif=exif.tobytes())

    wide = rgb.astype(np.uint16) * 256 + ramp[..., None]
    deep = np.dstack([wide, ramp.astype(np.uint16) * 257])
    scaled = np.round(wide / 257).astype(np.uint8)
    by_codec("rgb16.png", imagecodecs.png_encode(wide))
    keep("rgb16.png", scaled)
    by_codec("rgba16.png", imagecodecs.png_encode(deep))
    keep("rgba16.png", scaled)
    by_codec("grey16.png", imagecodecs.png_encode(np.ascontiguousarray(wide[..., 0])))
    keep("grey16.png", np.repeat(scaled[..., :1], 3, axis=2))
    by_codec("grey_alpha16.png", imagecodecs.png_encode(np.ascontiguousarray(deep[..., [0, 3]])))
    keep("grey_alpha16.png", np.repeat(scaled[..., :1], 3, axis=2))


main()
