//! Embeddings by ONNX Runtime, loaded at run time.
