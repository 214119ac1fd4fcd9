"""The official Python client of Weaviate, on a Weaviate whose module multi2vec-clip asks the server for its vectors.

Its second and third argument are the ports of that Weaviate's HTTP and gRPC.
"""

import json
import sys
import urllib.request

import weaviate
from weaviate.classes.config import Configure, DataType, Property
from weaviate.classes.query import MetadataQuery

from lucida import check, embed_texts, png_data_uri, same, server

port, grpc_port = (int(argument) for argument in sys.argv[2:])


def embed_pictures(pictures: list[str]) -> list[list[float]]:
    """Asks the server's own call for pictures as `data:` URIs."""
    request = urllib.request.Request(
        f"{server()}/v1/embeddings",
        data=json.dumps({"input": pictures, "modality": "image", "model": "starter"}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return [item["embedding"] for item in json.load(answer)["data"]]


def nearest(query: list[float], vectors: list[list[float]]) -> list[int]:
    """Orders places by the similarity of their vectors, all of unit length."""
    similarities = [sum(a * b for a, b in zip(query, vector)) for vector in vectors]
    return sorted(range(len(vectors)), key=lambda place: -similarities[place])


names = ["red", "green", "blue", "yellow"]
colours = [(220, 30, 30), (30, 170, 60), (30, 50, 220), (240, 220, 40)]
pictures = [png_data_uri(*colour) for colour in colours]
captions = ["a cat on a sofa", "a red car on the beach", "two dogs in the snow", "a cup of coffee"]
images = embed_pictures(pictures)
texts = embed_texts(captions)


def in_base64(picture: str) -> str:
    """Weaviate takes pictures in base64 alone."""
    return picture.split(",")[1]


with weaviate.connect_to_local(port=port, grpc_port=grpc_port) as client:
    module = client.get_meta()["modules"]["multi2vec-clip"]
    check("the module's model", module["model"] == "starter", module)

    photos = client.collections.create(
        "Photo",
        properties=[Property(name="name", data_type=DataType.TEXT), Property(name="image", data_type=DataType.BLOB)],
        vector_config=Configure.Vectors.multi2vec_clip(image_fields=["image"]),
    )
    ids = [
        photos.data.insert({"name": name, "image": in_base64(picture)})
        for name, picture in zip(names, pictures)
    ]
    for name, id, expected in zip(names, ids, images):
        same(f"picture {name}", photos.query.fetch_object_by_id(id, include_vector=True).vector["default"], expected)
    for text in ["a red surface", "the blue sky"]:
        found = photos.query.near_text(text, limit=4, return_metadata=MetadataQuery(distance=True)).objects
        order = [names[place] for place in nearest(embed_texts([text])[0], images)]
        check(f"pictures near `{text}`", [hit.properties["name"] for hit in found] == order, order)
    like_blue = png_data_uri(40, 60, 200)
    found = photos.query.near_image(in_base64(like_blue), limit=4).objects
    order = [names[place] for place in nearest(embed_pictures([like_blue])[0], images)]
    check("pictures near a picture", [hit.properties["name"] for hit in found] == order, order)
    check("the nearest is blue", order[0] == "blue", order)

    notes = client.collections.create(
        "Note",
        properties=[Property(name="caption", data_type=DataType.TEXT)],
        vector_config=Configure.Vectors.multi2vec_clip(text_fields=["caption"]),
    )
    with notes.batch.fixed_size(batch_size=4) as batch:
        for caption in captions:
            batch.add_object({"caption": caption})
    check("failed objects", not notes.batch.failed_objects, notes.batch.failed_objects)
    stored = {item.properties["caption"]: item.vector["default"] for item in notes.iterator(include_vector=True)}
    for caption, expected in zip(captions, texts):
        same(f"text `{caption}`", stored[caption], expected)
    found = notes.query.near_text("kitten", limit=1).objects[0].properties["caption"]
    check("the text near a word", found == captions[nearest(embed_texts(["kitten"])[0], texts)[0]], found)

    both = client.collections.create(
        "Both",
        properties=[Property(name="caption", data_type=DataType.TEXT), Property(name="image", data_type=DataType.BLOB)],
        vector_config=Configure.Vectors.multi2vec_clip(image_fields=["image"], text_fields=["caption"]),
    )
    id = both.data.insert({"caption": captions[1], "image": in_base64(pictures[0])})
    length = len(both.query.fetch_object_by_id(id, include_vector=True).vector["default"])
    check("one vector of a picture and a text", length == len(images[0]), length)

    try:
        photos.data.insert({"name": "broken", "image": "d29yZHM="})
    except weaviate.exceptions.UnexpectedStatusCodeError as error:
        check("a picture that can't be read", "images[0]" in str(error), str(error))
    else:
        raise SystemExit("a picture that can't be read was taken")
