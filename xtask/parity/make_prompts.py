"""Makes `prompts.json`: what sentence-transformers gives for prompts, a pooling without them, and shorter vectors.

Each case is one of the tiny models with other settings in its folder; the weights are those of `models/`.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from transformers.utils import logging

from layouts import write_json
from texts import TEXTS

PROMPTS = {"query": "query: ", "passage": "passage: ", "task": "Search for the photo that this sentence describes: "}

# One text is longer than the models take.
LABELS = ("english", "english-short", "german", "chinese-simplified", "whitespace", "mixed-case")
TEXTS_OF_CASES = {label: TEXTS[label] for label in LABELS} | {"long": "a red car and a dog by the sea, " * 40}

# Names of models, poolings, whether these take the prompt, and the default prompt.
CASES: dict[str, tuple[str, list[str], bool, str | None]] = {
    "first": ("bert", ["cls"], True, None),
    "first-without-prompt": ("bert", ["cls"], False, "query"),
    "last-without-prompt": ("bert", ["lasttoken"], False, None),
    "means-without-prompt": ("bert", ["mean", "mean_sqrt_len_tokens", "weightedmean"], False, None),
    "unigrams": ("xlm-roberta", ["mean"], True, "passage"),
    "unigrams-without-prompt": ("xlm-roberta", ["weightedmean"], False, None),
}

LENGTHS = (8, 20)


def main() -> None:
    """Writes the file anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="core/testkit/testdata/parity")
    output: Path = parser.parse_args().output
    logging.disable_progress_bar()
    cases = {}
    for name, (model, modes, include_prompt, default_prompt) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            cases[name] = _case(output / "models" / model, Path(folder) / model, modes, include_prompt, default_prompt)
    expected = {"texts": TEXTS_OF_CASES, "cases": cases}
    text = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
    (output / "prompts.json").write_text(text + "\n", encoding="utf-8")


def _case(model: Path, folder: Path, modes: list[str], include_prompt: bool, default: str | None) -> dict[str, Any]:
    shutil.copytree(model, folder)
    hidden = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    files = {
        "1_Pooling/config.json": {"embedding_dimension": hidden, "pooling_mode": modes, "include_prompt": include_prompt},
        "config_sentence_transformers.json": {"prompts": PROMPTS, "default_prompt_name": default},
    }
    for name, content in files.items():
        write_json(folder / name, content)
    reference = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    texts = list(TEXTS_OF_CASES.values())

    def vectors(**how: Any) -> dict[str, list[float]]:
        """Embeds one by one, so that no padding is involved."""
        rows = [reference.encode([text], normalize_embeddings=True, **how)[0] for text in texts]
        return {label: [float(f"{value:.8g}") for value in row] for label, row in zip(TEXTS_OF_CASES, rows, strict=True)}

    return {
        "model": model.name,
        "files": files,
        "default": vectors(),
        "without": vectors(prompt=""),
        "query": {
            label: [float(f"{value:.8g}") for value in reference.encode_query([text], normalize_embeddings=True)[0]]
            for label, text in TEXTS_OF_CASES.items()
        },
        "named": {name: vectors(prompt_name=name) for name in PROMPTS},
        "shorter": {str(length): vectors(prompt_name="query", truncate_dim=length) for length in LENGTHS},
    }


if __name__ == "__main__":
    main()
