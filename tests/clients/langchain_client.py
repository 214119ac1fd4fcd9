"""LangChain's class for OpenAI."""

import openai
from langchain_openai import OpenAIEmbeddings

from lucida import check, embed_texts, same, server

texts = ["a cat", "a red car on the beach"]
expected = embed_texts(texts)


def embeddings(**settings) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(base_url=f"{server()}/v1", api_key="none", model="starter", max_retries=0, **settings)


of_texts = embeddings(check_embedding_ctx_length=False)
for place, vector in enumerate(of_texts.embed_documents(texts)):
    same(f"document {place}", vector, expected[place])
same("query", of_texts.embed_query(texts[1]), expected[1])

# Its default sends ids of OpenAI's vocabulary, which it downloads; what it then sends, without the download.
try:
    embeddings().client.create(model="starter", input=[[64, 8415], [64, 2579, 1841]])
except openai.UnprocessableEntityError as error:
    check("token ids", "check_embedding_ctx_length=False" in error.message, error.message)
else:
    raise SystemExit("ids of another vocabulary were answered")
