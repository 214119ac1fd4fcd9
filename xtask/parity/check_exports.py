"""Runs an ONNX export in ONNX Runtime, to show that its vectors are those of the model it was made from."""

from pathlib import Path

import numpy
import onnxruntime
import torch
from PIL import Image

from reference import Reference, Vectors


def largest_difference(folder: Path, reference: Reference, images: list[Image.Image], texts: list[str]) -> float:
    """The largest difference in any number of any vector, each of unit length; all inputs of a kind in one batch."""
    feeds = _feeds(reference, images, texts)
    largest = 0.0
    for path in sorted(folder.rglob("*.onnx")):
        # The int8 copies' vectors are their own.
        if path.stem.endswith("_quantized"):
            continue
        session = onnxruntime.InferenceSession(path)
        names = [output.name for output in session.get_outputs()]
        taken = {input.name: feeds[input.name] for input in session.get_inputs()}
        outputs = dict(zip(names, session.run(None, taken), strict=True))
        if "image_embeds" in outputs:
            largest = max(largest, _difference(outputs["image_embeds"], reference.embed(images)))
        if "text_embeds" in outputs:
            largest = max(largest, _difference(outputs["text_embeds"], reference.embed(texts)))
        elif "last_hidden_state" in outputs and "image_embeds" not in outputs:
            vectors = _after_transformer(reference, outputs["last_hidden_state"], taken["attention_mask"])
            largest = max(largest, _difference(vectors, reference.embed(texts)))
    return largest


def _feeds(reference: Reference, images: list[Image.Image], texts: list[str]) -> dict[str, numpy.ndarray]:
    ids = [reference.token_ids(text) for text in texts]
    longest = max(map(len, ids))
    padding = reference.tokenizer.pad_token_id
    feeds = {
        "input_ids": numpy.array([row + [padding] * (longest - len(row)) for row in ids], numpy.int64),
        "attention_mask": numpy.array([[1] * len(row) + [0] * (longest - len(row)) for row in ids], numpy.int64),
    }
    if reference.image_processor is not None:
        pixels = [reference.image_processor(image, return_tensors="np")["pixel_values"] for image in images]
        feeds["pixel_values"] = numpy.concatenate(pixels).astype(numpy.float32)
    return feeds


def _after_transformer(reference: Reference, tokens: numpy.ndarray, mask: numpy.ndarray) -> Vectors:
    """Has the modules behind the transformer, pooling and `Dense`, finish what the graph began."""
    features = {"token_embeddings": torch.from_numpy(tokens), "attention_mask": torch.from_numpy(mask)}
    with torch.no_grad():
        for module in list(reference.model)[1:]:
            features = module(features)
    return features["sentence_embedding"].numpy()


def _difference(vectors: Vectors, expected: Vectors) -> float:
    vectors = vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return float(numpy.abs(vectors - expected).max())
