"""LangChain's class for text-embeddings-inference."""

import asyncio

from huggingface_hub import AsyncInferenceClient, InferenceClient
from langchain_huggingface import HuggingFaceEndpointEmbeddings

from lucida import check, embed_texts, same, server

texts = ["a cat", "a red car on the beach"]
expected = embed_texts(texts)
address = f"{server()}/tei"

# As `model` it takes only names of Hugging Face's hub, so its clients are set.
embeddings = HuggingFaceEndpointEmbeddings(model_kwargs={"truncate": True})
embeddings.client = InferenceClient(model=address, token="none")
embeddings.async_client = AsyncInferenceClient(model=address, token="none")

# It replaces the end of a line by a blank.
for place, vector in enumerate(embeddings.embed_documents([texts[0], "a red car\non the beach"])):
    same(f"document {place}", vector, expected[place])
same("query", embeddings.embed_query(texts[1]), expected[1])
same("awaited query", asyncio.run(embeddings.aembed_query(texts[1])), expected[1])

many = embeddings.embed_documents([f"photo {number}" for number in range(300)])
check("many documents", (len(many), len(many[0])) == (300, len(expected[0])), len(many))
