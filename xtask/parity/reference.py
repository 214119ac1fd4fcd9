"""What the replaced Python service computes: sentence-transformers over Pillow's pixels."""

from pathlib import Path

import numpy
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer

Vectors = numpy.ndarray


class Reference:
    """A model folder as sentence-transformers runs it, in fp32 whatever the folder's weights are stored as."""

    def __init__(self, folder: Path) -> None:
        self.model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
        processor = self.model[0].processor
        self.image_processor = getattr(processor, "image_processor", None)
        self.tokenizer = getattr(processor, "tokenizer", processor)
        if self.image_processor is not None and self.image_processor.backend != "pil":
            raise RuntimeError("torchvision resizes otherwise than Pillow does: uninstall it")

    def embed(self, inputs: list[Image.Image] | list[str]) -> Vectors:
        """Embeds one by one, so that no padding is involved: `(inputs, dimensions)` f32 of unit length."""
        vectors = [self.model.encode([value], normalize_embeddings=True)[0] for value in inputs]
        return numpy.stack(vectors).astype(numpy.float32)

    def token_ids(self, text: str) -> list[int]:
        """The ids that reach the model, special ones among them, cut to the most it takes."""
        return self.model.preprocess([text])["input_ids"][0].tolist()

    def most_tokens(self) -> int:
        """How many tokens a text is cut to."""
        return self.model.max_seq_length

    def pixels(self, image: Image.Image) -> numpy.ndarray:
        """The picture as resized and cropped, before it is scaled to floats: `(height, width, 3)` u8."""
        options = {"do_rescale": False, "do_normalize": False}
        planes = self.image_processor(image, return_tensors="np", **options)["pixel_values"][0]
        return numpy.moveaxis(planes, 0, -1).astype(numpy.uint8)


def centred_cosines(left: Vectors, right: Vectors, mean: Vectors) -> numpy.ndarray:
    """The cosine of each pair of rows after the mean vector is taken off both, as the parity tests compare."""
    left, right = left - mean, right - mean
    norms = numpy.linalg.norm(left, axis=1) * numpy.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / norms
