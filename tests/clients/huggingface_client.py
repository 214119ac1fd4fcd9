"""The client of Hugging Face, which text-embeddings-inference is called with."""

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from lucida import check, embed_texts, same, server

texts = ["a cat", "a red car on the beach"]
expected = embed_texts(texts)
for address in ["/tei", "/tei/embed"]:
    client = InferenceClient(model=f"{server()}{address}", token="none")
    one = client.feature_extraction(texts[0])
    check(f"shape at {address}", one.shape == (1, len(expected[0])), one.shape)
    same(f"one text at {address}", one[0], expected[0])

several = client.feature_extraction(
    texts, normalize=True, truncate=True, truncation_direction="right", dimensions=len(expected[0])
)
for place, vector in enumerate(several):
    same(f"text {place}", vector, expected[place])
try:
    client.feature_extraction(texts, normalize=False)
except HfHubHTTPError as error:
    answer = error.response.json()
    check("refusal", answer["error_type"] == "Validation", answer)
else:
    raise SystemExit("vectors of another length were promised")
