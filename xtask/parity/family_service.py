"""A Python service of another family's model, as one writes it: FastAPI over transformers or over OpenCLIP, in one process.

`cargo xtask bench families` measures it beside Lucida. It answers in the shape of Lucida's `/embed/image`.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
import uvicorn
from fastapi import FastAPI, HTTPException, UploadFile
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel
from transformers import AutoImageProcessor, AutoModel


class Embedding(BaseModel):
    """The answer."""

    embedding: list[float]
    model: str
    dimensions: int


Embed = Callable[[Image.Image], torch.Tensor]


def _transformers(folder: Path) -> Embed:
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoImageProcessor.from_pretrained(folder)

    def embed(image: Image.Image) -> torch.Tensor:
        return model.get_image_features(**processor(image, return_tensors="pt")).pooler_output[0]

    return embed


def _open_clip(folder: Path) -> Embed:
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model.eval()
    return lambda image: model.encode_image(transform(image)[None])[0]


LIBRARIES: dict[str, Callable[[Path], Embed]] = {"transformers": _transformers, "open_clip": _open_clip}


def make_app(embed: Embed, name: str) -> FastAPI:
    """Routes to a model; FastAPI runs each call on a thread of its pool."""
    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/embed/image")
    def embed_image(file: UploadFile) -> Embedding:
        try:
            image = Image.open(io.BytesIO(file.file.read())).convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise HTTPException(status_code=400, detail="not an image") from error
        with torch.inference_mode():
            vector = torch.nn.functional.normalize(embed(image), dim=0).tolist()
        return Embedding(embedding=vector, model=name, dimensions=len(vector))

    return app


def main() -> None:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=sorted(LIBRARIES), required=True)
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    parser.add_argument("--port", type=int, default=8090)
    arguments = parser.parse_args()
    app = make_app(LIBRARIES[arguments.library](arguments.model), arguments.model.name)
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
