//! The name, element type and shape of an input or output, as a graph states them.

use std::fmt;

use crate::proto::{DataType, ValueInfoProto, dimension, type_proto};

/// An input or an output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorInfo {
    pub(super) name: String,
    /// A `TensorProto.DataType`.
    elem_type: i32,
    /// The length of each dimension, `None` for one that may be of any length.
    pub(super) shape: Vec<Option<usize>>,
}

impl TensorInfo {
    /// Reads what a graph states of a value; a value that is not a tensor has no element type and no dimensions.
    pub(super) fn of(info: &ValueInfoProto) -> Self {
        let value = info.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        let tensor = match value {
            Some(type_proto::Value::Tensor(tensor)) => Some(tensor),
            Some(
                type_proto::Value::Sequence(_)
                | type_proto::Value::Map(_)
                | type_proto::Value::SparseTensor(_)
                | type_proto::Value::Optional(_),
            )
            | None => None,
        };
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        let length = |value: &Option<dimension::Value>| match value {
            // Some exporters write -1 for any length.
            Some(dimension::Value::DimValue(length)) => usize::try_from(*length).ok(),
            Some(dimension::Value::DimParam(_)) | None => None,
        };
        Self {
            name: info.name.clone(),
            elem_type: tensor.map_or(0, |tensor| tensor.elem_type),
            shape: shape.map_or_else(Vec::new, |shape| {
                shape.dim.iter().map(|dim| length(&dim.value)).collect()
            }),
        }
    }

    /// Returns the element type, if it is one that is used here.
    pub(super) fn data_type(&self) -> DataType {
        DataType::try_from(self.elem_type).unwrap_or(DataType::Undefined)
    }

    /// Returns whether a tensor of this shape fits.
    pub(super) fn takes(&self, shape: &[usize]) -> bool {
        self.shape.len() == shape.len()
            && self
                .shape
                .iter()
                .zip(shape)
                .all(|(dim, length)| dim.is_none_or(|dim| dim == *length))
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.data_type();
        let elements = if known == DataType::Undefined {
            format!("type {}", self.elem_type)
        } else {
            format!("{known:?}").to_lowercase()
        };
        let dim = |dim: &Option<usize>| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string());
        let shape: Vec<_> = self.shape.iter().map(dim).collect();
        write!(f, "`{}` {elements} ({})", self.name, shape.join(", "))
    }
}
