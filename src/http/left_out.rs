//! Calls of the API plugins that a server may be configured without.

/// The calls that clients of other products send first, with the plugin that answers each.
const CALLS_OF_PLUGINS: [(&str, &str); 6] = [
    ("/v1/embeddings", "api-openai"),
    ("/predict", "api-immich"),
    ("/api/embed", "api-ollama"),
    ("/api/embeddings", "api-ollama"),
    ("/vectorize", "api-weaviate"),
    ("/mcp", "mcp"),
];

/// Returns the plugin that would answer a call, for the refusal of a server without it.
pub(super) fn plugin_of(path: &str) -> Option<&'static str> {
    let call = CALLS_OF_PLUGINS.iter().find(|(known, _)| *known == path);
    call.map(|(_, plugin)| *plugin)
}
