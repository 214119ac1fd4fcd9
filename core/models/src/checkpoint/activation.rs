//! The activations by the names that configuration files give them.

use std::path::Path;

use lucida_core::Result;

use super::tower::Activation;
use super::unsupported;

/// Reads transformers' name of an activation.
///
/// # Errors
/// `Unsupported`, naming the file and the activation.
pub(super) fn activation(path: &Path, name: &str) -> Result<Activation> {
    match name {
        "quick_gelu" => Ok(Activation::QuickGelu),
        "gelu" | "gelu_python" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "silu" | "swish" => Ok(Activation::Silu),
        "relu" => Ok(Activation::Relu),
        "tanh" => Ok(Activation::Tanh),
        other => {
            let known = "quick_gelu, gelu, gelu_new, silu, relu, tanh";
            Err(unsupported(
                path,
                &format!("has the activation `{other}`; these are read: {known}"),
            ))
        }
    }
}

/// Reads the name of a PyTorch module, as sentence-transformers' `Dense` stores its activation.
///
/// # Errors
/// `Unsupported`, naming the file and the activation.
pub(super) fn module_activation(path: &Path, name: &str) -> Result<Activation> {
    match name.rsplit('.').next() {
        Some("Identity") => Ok(Activation::Identity),
        Some("Tanh") => Ok(Activation::Tanh),
        Some("ReLU") => Ok(Activation::Relu),
        Some("GELU") => Ok(Activation::Gelu),
        Some("SiLU") => Ok(Activation::Silu),
        Some(_) | None => {
            let known = "Identity, Tanh, ReLU, GELU, SiLU";
            Err(unsupported(
                path,
                &format!("has the activation `{name}`; these are read: {known}"),
            ))
        }
    }
}
