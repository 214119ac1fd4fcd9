"""The official Python client of OpenAI."""

import openai

from lucida import check, embed_texts, png_data_uri, same, server

client = openai.OpenAI(base_url=f"{server()}/v1", api_key="none", max_retries=0)
texts = ["a cat", "a red car on the beach"]
expected = embed_texts(texts)

# By default it asks for base64 and decodes it.
answer = client.embeddings.create(model="starter", input=texts)
for vector, own in zip(answer.data, expected, strict=True):
    same(f"input {vector.index}", vector.embedding, own)
check("model", answer.model == "starter", answer.model)
check("tokens", answer.usage.total_tokens > len(texts), answer.usage.total_tokens)

answer = client.embeddings.create(model="starter", input=texts[0], encoding_format="float")
same("as numbers", answer.data[0].embedding, expected[0])
answer = client.embeddings.create(model="starter", input=texts[0], dimensions=len(expected[0]), user="someone")
same("of a given length", answer.data[0].embedding, expected[0])

red, blue = png_data_uri(220, 30, 30), png_data_uri(30, 50, 220)
pictures = client.embeddings.create(model="starter", input=[red, blue], extra_body={"modality": "image"})
check("pictures", [len(vector.embedding) for vector in pictures.data] == [len(expected[0])] * 2, len(pictures.data))
parts = client.embeddings.create(
    model="starter",
    input=[{"type": "image_url", "image_url": {"url": blue}}, {"type": "text", "text": texts[0]}],
)
same("a picture as a content part", parts.data[0].embedding, pictures.data[1].embedding)
same("a text as a content part", parts.data[1].embedding, expected[0])

check("models", "starter" in [model.id for model in client.models.list()], client.models.list().data[0].id)
one = client.models.retrieve("starter")
check("model by name", (one.object, one.created, one.owned_by) == ("model", 0, "lucida"), one.id)

try:
    client.embeddings.create(model="text-embedding-3-small", input=texts)
except openai.NotFoundError as error:
    check("unknown model", (error.code, error.param) == ("model_not_found", "model"), error.message)
else:
    raise SystemExit("an unknown model was answered")
try:
    client.embeddings.create(model="starter", input=["a cat", ""])
except openai.UnprocessableEntityError as error:
    check("empty text", (error.code, error.param) == ("empty_text", "input[1]"), error.message)
else:
    raise SystemExit("an empty text was answered")
