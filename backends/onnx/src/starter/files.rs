//! The names of the files that more than one module of the starter model knows.

/// The file by which this layout is recognised.
pub(crate) const MANIFEST_FILE: &str = "starter.json";

/// The graph of the model for other languages.
pub(super) const LANGUAGES_GRAPH_FILE: &str = "languages.onnx";

/// The weights of the model for other languages.
pub(super) const LANGUAGES_WEIGHTS_FILE: &str = "languages.weights";

/// The vocabulary of the model for other languages.
pub(super) const VOCABULARY_FILE: &str = "languages.vocabulary.safetensors";

/// The detector and the bridge.
pub(super) const FITTED_FILE: &str = "languages.safetensors";

/// All files for other languages, which are stored together or not at all.
pub(super) const LANGUAGES_FILES: [&str; 4] = [
    LANGUAGES_GRAPH_FILE,
    LANGUAGES_WEIGHTS_FILE,
    VOCABULARY_FILE,
    FITTED_FILE,
];
