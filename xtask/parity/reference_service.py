"""The Python service that Lucida replaces, as one writes it: FastAPI over sentence-transformers, in one process.

`cargo xtask bench compare` measures it beside Lucida. It answers in the shape of Lucida's `/embed/image` and
`/embed/text`, and leaves photos as they are stored, as such services do.
"""

import argparse
import io
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, UploadFile
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class Text(BaseModel):
    """The body of `/embed/text`."""

    text: str


class Embedding(BaseModel):
    """The answer to either call."""

    embedding: list[float]
    model: str
    dimensions: int


def make_app(image_model: Path, text_model: Path) -> FastAPI:
    """Loads the two models and routes to them; FastAPI runs each call on a thread of its pool."""
    app = FastAPI()
    images = SentenceTransformer(str(image_model), device="cpu")
    texts = SentenceTransformer(str(text_model), device="cpu")

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/embed/image")
    def embed_image(file: UploadFile) -> Embedding:
        try:
            image = Image.open(io.BytesIO(file.file.read())).convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise HTTPException(status_code=400, detail="not an image") from error
        return _embed(images, image_model.name, image)

    @app.post("/embed/text")
    def embed_text(body: Text) -> Embedding:
        return _embed(texts, text_model.name, body.text)

    return app


def _embed(model: SentenceTransformer, name: str, value: Image.Image | str) -> Embedding:
    vector = model.encode([value], normalize_embeddings=True, show_progress_bar=False)[0].tolist()
    return Embedding(embedding=vector, model=name, dimensions=len(vector))


def main() -> None:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-model", type=Path, required=True, help="a folder, as `clip` or `clip-st`")
    parser.add_argument("--text-model", type=Path, required=True, help="a folder, as `multilingual`")
    parser.add_argument("--port", type=int, default=8090)
    arguments = parser.parse_args()
    app = make_app(arguments.image_model, arguments.text_model)
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
