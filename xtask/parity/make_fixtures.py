"""Makes the parity tests' data: pictures, tiny models, and the vectors that sentence-transformers gives for them.

Prints how far apart the inputs are, and how far faults that people make in the preprocessing move the vectors.
"""

import argparse
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy
from PIL import Image
from transformers.utils import logging

import exports
import faults
import text_families
from check_exports import largest_difference
from chinese_clip import ChineseClipReference
from jina_bert import JinaReference
from jina_clip import JinaClipReference
from make_models import TINY, write_model
from nomic_vision import NomicVisionReference
from pictures import Fixture, make_pictures, upright_rgb
from reference import Reference, Vectors, centred_cosines
from siglip import SiglipReference
from text_models import export_modern_bert
from texts import TEXTS

# The pictures whose pixels after resizing and cropping are kept, as `clip` takes them.
PIXELS_OF = ("rgb.png", "rgb-large.png", "panorama.png", "zone-plate.png")

# One of each kind; the other CLIPs hold the weights of `clip`.
FAULTS_OF = ("clip", "clip-laion")


def main() -> None:
    """Writes the whole folder anew, its README aside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="core/testkit/testdata/parity")
    parser.add_argument("--only", choices=sorted(TINY), action="append", help="make this model anew and keep the rest")
    arguments = parser.parse_args()
    output: Path = arguments.output
    logging.disable_progress_bar()
    if arguments.only:
        _add_models(output, arguments.only)
        return

    fixtures = _write_pictures(output / "pictures")
    images = [upright_rgb(output / "pictures" / fixture.name) for fixture in fixtures]
    shutil.rmtree(output / "models", ignore_errors=True)
    models = {}
    for name in sorted(TINY):
        write_model(TINY[name], output / "models" / name)
    for name in sorted(TINY.keys() - exports.SOURCES.keys()):
        reference = _reference(output / "models" / name, models)
        models[name] = expected_of(name, reference, fixtures, images)
        _finish(name, output / "models" / name)
        if name == "clip":
            _write_pixels(output / "pixels", reference, fixtures, images)
    for name, source in exports.SOURCES.items():
        reference = Reference(output / "models" / source)
        difference = largest_difference(output / "models" / name, reference, images, list(TEXTS.values()))
        print(f"{name}: differs from {source} by {difference:.2g} at most")
        models[name] = {"same_as": source}
    pictures = {fixture.name: {"lossless": fixture.lossless} for fixture in fixtures}
    write_expected(output, {"pictures": pictures, "texts": TEXTS, "models": models})


def _add_models(output: Path, names: list[str]) -> None:
    """Makes some models anew; everything else stays as it is, byte for byte."""
    fixtures = make_pictures()
    images = [upright_rgb(output / "pictures" / fixture.name) for fixture in fixtures]
    expected = json.loads((output / "expected.json").read_text(encoding="utf-8"))
    for name in names:
        write_model(TINY[name], output / "models" / name)
        expected["models"][name] = expected_of(
            name, _reference(output / "models" / name, expected["models"]), fixtures, images
        )
        _finish(name, output / "models" / name)
    write_expected(output, expected)


def _finish(name: str, folder: Path) -> None:
    """Exports what is kept as an export alone and restores published configurations, now that the vectors are known."""
    if name == "modernbert-onnx":
        export_modern_bert(folder)
    elif finish := text_families.FINISH.get(name):
        finish(folder)


def _reference(folder: Path, made: dict[str, Any]) -> Any:
    """The reference of a folder; `made` are the expected vectors so far, for a model that shares another's texts."""
    if folder.name.startswith("siglip"):
        return SiglipReference(folder)
    if folder.name == "chinese-clip":
        return ChineseClipReference(folder)
    if folder.name.startswith("jina-clip"):
        return JinaClipReference(folder)
    if folder.name == "nomic-vision":
        return NomicVisionReference(folder, made["nomic-bert"])
    if folder.name == "jina-bert":
        return JinaReference(folder, text_families.read_config(folder), text_families.TOKENS)
    reference = Reference(folder)
    if prepare := text_families.PREPARE.get(folder.name):
        prepare(reference.model[0].auto_model)
    return reference


def write_expected(output: Path, expected: dict[str, Any]) -> None:
    """Writes `expected.json`, the models by name."""
    expected["models"] = dict(sorted(expected["models"].items()))
    (output / "expected.json").write_text(_to_json(expected) + "\n", encoding="utf-8")


def _write_pictures(folder: Path) -> list[Fixture]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fixtures = make_pictures()
    for fixture in fixtures:
        (folder / fixture.name).write_bytes(fixture.data)
    return fixtures


def _write_pixels(folder: Path, reference: Any, fixtures: list[Fixture], images: list[Image.Image]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for fixture, image in zip(fixtures, images, strict=True):
        if fixture.name in PIXELS_OF:
            Image.fromarray(reference.pixels(image)).save(folder / fixture.name, optimize=True)


def expected_of(name: str, reference: Any, fixtures: list[Fixture], images: list[Image.Image]) -> dict[str, Any]:
    expected: dict[str, Any] = {}
    if reference.image_processor is not None:
        vectors = reference.embed(images)
        _print_spread(f"{name}, pictures", vectors)
        if name in FAULTS_OF:
            _print_faults(reference, fixtures, images, vectors)
        expected["pictures"] = pictures_of(vectors, fixtures)
    vectors = reference.embed(list(TEXTS.values()))
    _print_spread(f"{name}, texts", vectors)
    expected["max_tokens"] = reference.most_tokens()
    expected["token_ids"] = {label: reference.token_ids(text) for label, text in TEXTS.items()}
    expected["texts"] = {label: _rounded(vector) for label, vector in zip(TEXTS, vectors, strict=True)}
    return expected


def pictures_of(vectors: Vectors, fixtures: list[Fixture]) -> dict[str, list[float]]:
    """The vectors by the pictures' names, as `expected.json` has them."""
    return {fixture.name: _rounded(vector) for fixture, vector in zip(fixtures, vectors, strict=True)}


def _rounded(vector: Vectors) -> list[float]:
    """Eight digits, so that the float read back is the float computed, or its neighbour."""
    return [float(f"{value:.8g}") for value in vector]


def _print_spread(what: str, vectors: Vectors) -> None:
    mean = vectors.mean(axis=0)
    pairs = list(itertools.combinations(vectors, 2))
    cosines = centred_cosines(numpy.stack([a for a, _ in pairs]), numpy.stack([b for _, b in pairs]), mean)
    print(f"{what}: centred cosine between two of them {cosines.mean():.3f} ± {cosines.std():.3f}")


def _print_faults(reference: Any, fixtures: list[Fixture], images: list[Image.Image], right: Vectors) -> None:
    """Prints the centred cosines of lossless photos that a fault can touch at all: those with some pixels."""
    mean = right.mean(axis=0)
    rows = [row for row, fixture in enumerate(fixtures) if fixture.lossless and min(images[row].size) > 1]
    side = reference.image_processor.crop_size["height"]
    for fault, break_it in faults.FAULTS.items():
        wrong = reference.embed([break_it(images[row], side) for row in rows])
        cosines = centred_cosines(wrong, right[rows], mean)
        print(f"  {fault}: {cosines.min():.6f} to {cosines.max():.6f}, median {numpy.median(cosines):.6f}")


def _to_json(value: Any, indent: str = "") -> str:
    """JSON with a vector to a line."""
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    deeper = indent + " "
    fields = (f"{deeper}{json.dumps(key)}: {_to_json(field, deeper)}" for key, field in value.items())
    return "{\n" + ",\n".join(fields) + f"\n{indent}}}"


if __name__ == "__main__":
    main()
