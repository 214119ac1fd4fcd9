"""The test pictures: every colour mode, format and orientation, from four photos in the public domain."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy
import skimage.data
from PIL import Image, ImageOps

Pixels = numpy.ndarray

ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Fixture:
    """A picture's file, and how closely two decoders agree about its pixels."""

    name: str
    data: bytes
    lossless: bool


def upright_rgb(path: Path) -> Image.Image:
    """Opens a picture as the reference does: Pillow's own conversion to RGB, upright.

    Pillow clips 16-bit grey to 255 and cuts 16-bit colour; the expected pixels of both are the scaled ones.
    """
    if path.name in ("grey-16.png", "rgb-16.png"):
        samples = _read_png_16(path.read_bytes())
        scaled = numpy.rint(samples / 257.0).astype(numpy.uint8)
        return Image.fromarray(scaled.squeeze()).convert("RGB")
    with Image.open(path) as image, warnings.catch_warnings():
        # Pillow would rather see a palette's alpha kept.
        warnings.simplefilter("ignore", UserWarning)
        return ImageOps.exif_transpose(image).convert("RGB")


def make_pictures() -> list[Fixture]:
    """Makes every test picture, in the order of their names."""
    fixtures = [Fixture(name, make(), lossless=True) for name, make in _LOSSLESS.items()]
    fixtures += [Fixture(name, make(), lossless=False) for name, make in _LOSSY.items()]
    return sorted(fixtures, key=lambda fixture: fixture.name)


def _photo(name: str, width: int, height: int) -> Image.Image:
    """A photo of scikit-image's, cut to the shape asked for around its centre and reduced to it."""
    return ImageOps.fit(Image.fromarray(getattr(skimage.data, name)()), (width, height), Image.Resampling.LANCZOS)


def _posterised(name: str, width: int, height: int, bits: int = 3) -> Image.Image:
    """A photo with few levels per channel: large and full of edges, yet a small file."""
    return ImageOps.posterize(_photo(name, width, height), bits)


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _png(image: Image.Image, **options: object) -> bytes:
    return _saved(image, "PNG", optimize=True, **options)


def _oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return exif


def _with_alpha(image: Image.Image) -> Image.Image:
    """Adds an alpha channel from clear on the left to solid on the right; the colours below it stay."""
    alpha = numpy.tile(numpy.linspace(0, 255, image.width).astype(numpy.uint8), (image.height, 1))
    image.putalpha(Image.fromarray(alpha))
    return image


def _palette_transparent() -> bytes:
    image = _photo("chelsea", 360, 260).quantize(24)
    return _png(image, transparency=bytes([0, 128, 255] * 8))


def _zone_plate() -> bytes:
    """Rings that get finer outwards, past what a reduced picture can show: no antialiasing, and they turn to moiré."""
    y, x = numpy.mgrid[-240:240, -320:320]
    return _png(Image.fromarray((x * x + y * y) // 400 % 2 == 0))


def _png_16(samples: Pixels) -> bytes:
    """Writes `(height, width, 1 or 3)` u16 as PNG, which Pillow can't for colour."""
    height, width, channels = samples.shape
    colour_type = {1: 0, 3: 2}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _read_png_16(data: bytes) -> Pixels:
    """Reads what `_png_16` writes."""
    width, height, _, colour_type = struct.unpack(">IIBB", data[16:26])
    length = struct.unpack(">I", data[33:37])[0]
    channels = {0: 1, 2: 3}[colour_type]
    rows = numpy.frombuffer(zlib.decompress(data[41 : 41 + length]), numpy.uint8)
    rows = rows.reshape(height, 1 + width * channels * 2)[:, 1:]
    return numpy.ascontiguousarray(rows).view(">u2").reshape(height, width, channels)


def _sixteen_bits(image: Image.Image) -> Pixels:
    """Spreads bytes over 16 bits, with low bytes that differ from the high ones."""
    samples = numpy.atleast_3d(numpy.asarray(image)).astype(numpy.uint16) * 257
    low = (numpy.arange(samples.shape[1], dtype=numpy.uint16) * 5 % 100)[None, :, None]
    return numpy.where(samples < 65000, samples + low, samples)


def _ycck_jpeg() -> bytes:
    """A CMYK JPEG whose first three inks are stored as YCbCr, as Photoshop does.

    Pillow writes CMYK inverted and marks it with Adobe's transform 0. So it is given what it must store, and the
    mark becomes 2.
    """
    inks = numpy.asarray(_photo("coffee", 270, 180).convert("RGB"))
    black = 60 + inks[..., :1] // 4
    as_ycc = numpy.asarray(Image.fromarray(255 - inks).convert("YCbCr"))
    stored = numpy.concatenate([as_ycc, 255 - black], axis=2)
    data = bytearray(_saved(Image.fromarray(255 - stored, "CMYK"), "JPEG", quality=75))
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    return bytes(data)


def _cmyk_jpeg() -> bytes:
    inks = 255 - numpy.asarray(_photo("astronaut", 220, 240))
    black = inks.min(axis=2, keepdims=True) // 2
    return _saved(Image.fromarray(numpy.concatenate([inks - black, black], axis=2), "CMYK"), "JPEG", quality=70)


_LOSSLESS: dict[str, Callable[[], bytes]] = {
    "rgb.png": lambda: _png(_photo("chelsea", 140, 100)),
    "rgb-large.png": lambda: _png(_posterised("coffee", 540, 360, 2)),
    "rgb-exact.png": lambda: _png(_posterised("rocket", 224, 224)),
    "rgb-odd.png": lambda: _png(_posterised("astronaut", 331, 227)),
    "grey.png": lambda: _png(_posterised("rocket", 480, 320).convert("L")),
    "grey-alpha.png": lambda: _png(_with_alpha(_posterised("coffee", 360, 400, 2).convert("L"))),
    "rgba.png": lambda: _png(_with_alpha(_posterised("astronaut", 300, 340, 2))),
    "palette.png": lambda: _png(_photo("coffee", 420, 300).quantize(16)),
    "palette-4-colours.png": lambda: _png(_photo("rocket", 600, 400).quantize(4), bits=2),
    "palette-transparent.png": _palette_transparent,
    "one-bit.png": lambda: _png(_photo("astronaut", 400, 500).convert("1")),
    "zone-plate.png": _zone_plate,
    "grey-16.png": lambda: _png_16(_sixteen_bits(_posterised("chelsea", 250, 230).convert("L"))),
    "rgb-16.png": lambda: _png_16(_sixteen_bits(_posterised("astronaut", 240, 200, 2))),
    "orientation-6.png": lambda: _png(_posterised("coffee", 320, 240, 2), exif=_oriented(6)),
    "orientation-6.tiff": lambda: _saved(
        _posterised("chelsea", 280, 210, 2), "TIFF", compression="tiff_lzw", tiffinfo={ORIENTATION_TAG: 6}
    ),
    "lossless.webp": lambda: _saved(_posterised("rocket", 420, 300), "WEBP", lossless=True),
    "orientation-8.webp": lambda: _saved(_posterised("astronaut", 340, 240), "WEBP", lossless=True, exif=_oriented(8)),
    "photo.gif": lambda: _saved(_photo("chelsea", 360, 250).quantize(16), "GIF"),
    "photo.bmp": lambda: _saved(_photo("astronaut", 110, 90), "BMP"),
    "palette.bmp": lambda: _saved(_photo("coffee", 200, 150).quantize(64), "BMP"),
    "photo.tiff": lambda: _saved(_posterised("rocket", 380, 260), "TIFF", compression="tiff_adobe_deflate"),
    "panorama.png": lambda: _png(_posterised("coffee", 1600, 120, 2)),
    "tall.png": lambda: _png(_posterised("rocket", 120, 1600)),
    "one-pixel.png": lambda: _png(Image.new("RGB", (1, 1), (200, 60, 20))),
    "three-pixels.png": lambda: _png(Image.fromarray(numpy.array([[[250, 0, 0], [0, 200, 90], [9, 9, 240]]], "u1"))),
}

_LOSSY: dict[str, Callable[[], bytes]] = {
    "photo.jpg": lambda: _saved(_photo("chelsea", 400, 270), "JPEG", quality=80),
    "full-chroma.jpg": lambda: _saved(_photo("coffee", 320, 260), "JPEG", quality=75, subsampling="4:4:4"),
    "half-chroma.jpg": lambda: _saved(_photo("astronaut", 301, 259), "JPEG", quality=75, subsampling="4:2:2"),
    "progressive.jpg": lambda: _saved(_photo("rocket", 420, 330), "JPEG", quality=80, progressive=True),
    "grey.jpg": lambda: _saved(_photo("chelsea", 280, 300).convert("L"), "JPEG", quality=80),
    "restarts.jpg": lambda: _saved(_photo("astronaut", 330, 250), "JPEG", quality=80, restart_marker_blocks=5),
    "cmyk.jpg": _cmyk_jpeg,
    "ycck.jpg": _ycck_jpeg,
    "large.jpg": lambda: _saved(_photo("rocket", 2000, 1500), "JPEG", quality=10),
    "panorama.jpg": lambda: _saved(_photo("coffee", 1900, 480), "JPEG", quality=10),
    "lossy.webp": lambda: _saved(_photo("coffee", 380, 300), "WEBP", quality=75),
    **{
        f"orientation-{orientation}.jpg": lambda orientation=orientation: _saved(
            _photo("chelsea", 250, 160), "JPEG", quality=60, exif=_oriented(orientation)
        )
        for orientation in range(1, 9)
    },
}
