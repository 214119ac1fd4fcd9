"""Writes model folders with seeded random weights in the layouts that people publish.

`--size tiny` makes those of the parity tests, a few hundred KB each; `--size full` those of the benchmarks, as big as
clip-ViT-B-32 and clip-ViT-B-32-multilingual-v1 are.
"""

import argparse
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import chinese_clip
import exports
import families
import jina_clip
import nomic_vision
import siglip
import text_families
import text_models

TINY: dict[str, Callable[[Path], None]] = {
    "bert": families.write_bert,
    "bert-poolings": text_models.write_bert_poolings,
    "chinese-clip": chinese_clip.write_chinese_clip,
    "clip": families.write_clip,
    "clip-laion": families.write_clip_laion,
    "clip-onnx-optimum": exports.write_clip_optimum,
    "clip-onnx-qdrant-text": exports.write_clip_qdrant_text,
    "clip-onnx-qdrant-vision": exports.write_clip_qdrant_vision,
    "clip-onnx-xenova": exports.write_clip_xenova,
    "clip-st": families.write_clip_st,
    "clip-st-new": families.write_clip_st_new,
    "dense-tanh": families.write_dense_tanh,
    "embedding-gemma": text_families.write_gemma,
    "gte": text_families.write_gte,
    "jina-bert": text_families.write_jina,
    "jina-clip-v1": jina_clip.write_jina_clip_v1,
    "jina-clip-v2": jina_clip.write_jina_clip_v2,
    "modernbert": text_families.write_modern_bert,
    "modernbert-onnx": text_models.write_modern_bert,
    "mpnet": text_families.write_mpnet,
    "multilingual": families.write_multilingual,
    "multilingual-onnx": exports.write_multilingual_onnx,
    "nomic-bert": text_families.write_nomic_bert,
    "nomic-vision": nomic_vision.write_nomic_vision,
    "qwen3-embedding": text_families.write_qwen3,
    "siglip": siglip.write_siglip,
    "siglip2": siglip.write_siglip2,
    "xlm-roberta": families.write_xlm_roberta,
}
FULL: dict[str, Callable[[Path], None]] = {
    "clip": partial(families.write_clip, full=True),
    "clip-onnx-qdrant-vision": partial(exports.write_clip_qdrant_vision, full=True),
    "clip-st": partial(families.write_clip_st, full=True),
    "multilingual": partial(families.write_multilingual, full=True),
}


def write_model(write: Callable[[Path], None], folder: Path) -> None:
    """Writes one model's folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(folder)


def main() -> None:
    """Writes the folders that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the folder to write the models' folders into")
    parser.add_argument("--size", choices=["tiny", "full"], default="tiny")
    parser.add_argument("--only", choices=sorted(TINY), action="append", help="a model's name; may be given again")
    arguments = parser.parse_args()
    known = FULL if arguments.size == "full" else TINY
    for name in arguments.only or sorted(known):
        if name not in known:
            parser.error(f"`{name}` is made in tiny size only")
        folder = arguments.output / name
        write_model(known[name], folder)
        print(f"{name}: {sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()):,} bytes")


if __name__ == "__main__":
    main()
