//! The engine's errors as Lucida's.

use lucida_core::{Error, ErrorKind};
use qdrant_edge::OperationError;

/// Turns an error of the engine into Lucida's, keeping it as the source.
pub(crate) fn from_engine(error: OperationError) -> Error {
    let kind = match &error {
        OperationError::WrongVectorDimension { .. }
        | OperationError::VectorNameNotExists { .. }
        | OperationError::TypeError { .. }
        | OperationError::TypeInferenceError { .. }
        | OperationError::ValidationError { .. }
        | OperationError::WrongSparse
        | OperationError::WrongMulti
        | OperationError::MissingRangeIndexForOrderBy { .. }
        | OperationError::MissingMapIndexForFacet { .. }
        | OperationError::VariableTypeError { .. }
        | OperationError::NonFiniteNumber { .. } => ErrorKind::InvalidInput,
        OperationError::PointIdError { .. } => ErrorKind::NotFound,
        OperationError::OutOfMemory { .. } | OperationError::Cancelled { .. } => ErrorKind::Unavailable,
        OperationError::Timeout { .. } => ErrorKind::Timeout,
        OperationError::ServiceError { .. } | OperationError::InconsistentStorage { .. } => {
            ErrorKind::Internal
        }
    };
    let text = error.to_string();
    // The engine hands on I/O errors as text only.
    if text.contains("No space left on device") {
        return Error::unavailable("the disk of the index is full: make room on it")
            .with_code("storage_full")
            .with_source(error);
    }
    Error::new(kind, text).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_in_the_engines_words_is_unavailable() {
        let full = std::io::Error::from_raw_os_error(28);
        let error = from_engine(OperationError::service_error(format!("failed to write: {full}")));
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Unavailable, "storage_full")
        );
    }

    #[test]
    fn wrong_dimensions_are_the_callers_fault() {
        let error = from_engine(OperationError::WrongVectorDimension {
            expected_dim: 3,
            received_dim: 2,
        });
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains('3'), "{error}");
    }
}
