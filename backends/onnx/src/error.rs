//! ONNX Runtime's errors as Lucida's.

use lucida_core::Error;

/// Turns a failure of ONNX Runtime into an internal error that says what was being done.
pub(crate) fn internal<R>(doing: &str, error: ort::Error<R>) -> Error {
    // The error itself may hold a session builder, which should not be kept.
    Error::internal(format!("{doing} failed: {error}"))
}
