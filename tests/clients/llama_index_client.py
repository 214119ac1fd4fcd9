"""LlamaIndex's class for OpenAI, with its defaults."""

from llama_index.embeddings.openai import OpenAIEmbedding

from lucida import embed_texts, same, server

texts = ["a cat", "a red car on the beach"]
expected = embed_texts(texts)
embedding = OpenAIEmbedding(api_base=f"{server()}/v1", api_key="none", model_name="starter", max_retries=0)
for place, vector in enumerate(embedding.get_text_embedding_batch(texts)):
    same(f"text {place}", vector, expected[place])
same("one text", embedding.get_text_embedding(texts[0]), expected[0])
same("query", embedding.get_query_embedding(texts[1]), expected[1])
