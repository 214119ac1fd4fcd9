"""The official Python client of Ollama."""

import ollama

from lucida import check, embed_texts, same, server

client = ollama.Client(host=server())
texts = ["a cat", "a red car on the beach"]
expected = embed_texts(texts)
answer = client.embed(
    model="starter", input=texts, truncate=True, keep_alive="5m", dimensions=len(expected[0]), options={"num_ctx": 128}
)
for place, vector in enumerate(answer.embeddings):
    same(f"text {place}", vector, expected[place])
check("duration", answer.total_duration > 0, answer.total_duration)
check("tokens", answer.prompt_eval_count > len(texts), answer.prompt_eval_count)
same("one text", client.embed(model="starter:latest", input=texts[0]).embeddings[0], expected[0])
same("older call", client.embeddings(model="starter", prompt=texts[0]).embedding, expected[0])

listed = client.list().models
check("models", [model.model for model in listed] == ["starter:latest"], listed)
shown = client.show("starter")
check("model", shown.modelinfo["lucida.embedding_length"] == len(expected[0]), shown.modelinfo)
try:
    client.embed(model="llama3", input="a cat")
except ollama.ResponseError as error:
    check("unknown model", error.status_code == 404, error.error)
else:
    raise SystemExit("an unknown model was answered")
