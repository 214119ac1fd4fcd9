"""What every client's script needs: the server's own answers, and a check that says what was wrong."""

import base64
import json
import struct
import sys
import urllib.request
import zlib

# Clients carry vectors as float64 or float32, through decimal text.
TOLERANCE = 1e-6


def server() -> str:
    """Returns the server's URL, the script's only argument."""
    return sys.argv[1]


def embed_texts(texts: list[str]) -> list[list[float]]:
    """Asks the server's own call."""
    request = urllib.request.Request(
        f"{server()}/embed/text",
        data=json.dumps({"texts": texts}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["embeddings"]


def png_data_uri(red: int, green: int, blue: int) -> str:
    """Returns a picture of one colour as a `data:` URI."""
    side = 32

    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes([red, green, blue]) * side) * side
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def same(name: str, got, expected) -> None:
    """Checks that a vector is the expected one."""
    got = [float(number) for number in got]
    if len(got) != len(expected):
        sys.exit(f"{name}: {len(got)} numbers instead of {len(expected)}")
    furthest = max(abs(a - b) for a, b in zip(got, expected))
    if furthest > TOLERANCE:
        sys.exit(f"{name}: numbers differ by up to {furthest}")
    print(f"{name}: {len(got)} numbers, as the server's own")


def check(name: str, is_right: bool, got) -> None:
    """Checks anything else."""
    if not is_right:
        sys.exit(f"{name}: {got!r}")
    print(f"{name}: {got!r}")
