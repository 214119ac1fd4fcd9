//! What a model computes on: the processor, or a graphics card by candle's kernels for it.

use std::fmt;

use candle_core::Device;
use candle_core::utils::{cuda_is_available, metal_is_available};
use lucida_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a model computes on, as a config file spells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub enum ComputeDevice {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA card, by its number.
    Cuda(usize),
    /// The graphics of an Apple processor.
    Metal,
}

impl ComputeDevice {
    /// Checks that this build has the kernels for the device.
    ///
    /// # Errors
    /// `ConfigInvalid`, with the Cargo feature that is missing.
    pub(crate) fn check_build(self) -> Result<()> {
        let (feature, is_built) = match self {
            Self::Cpu => return Ok(()),
            Self::Cuda(_) => ("cuda", cuda_is_available()),
            Self::Metal => ("metal", metal_is_available()),
        };
        if is_built {
            return Ok(());
        }
        let built = [("cuda", cuda_is_available()), ("metal", metal_is_available())];
        let others = built
            .iter()
            .filter(|(_, is_built)| *is_built)
            .map(|(name, _)| *name);
        let has: Vec<_> = std::iter::once("cpu").chain(others).collect();
        let message = format!(
            "device `{self}` needs the feature `{feature}`; this build has: {}",
            has.join(", ")
        );
        Err(Error::config("device", message))
    }

    /// Opens the graphics card; `None` for the processor.
    ///
    /// # Errors
    /// Those of [`check_build`](Self::check_build); `ConfigInvalid` where the machine has no such card, or no driver for it.
    pub(crate) fn open(self) -> Result<Option<Device>> {
        self.check_build()?;
        let opened = match self {
            Self::Cpu => return Ok(None),
            Self::Cuda(number) => Device::new_cuda(number),
            Self::Metal => Device::new_metal(0),
        };
        opened.map(Some).map_err(|error| {
            let message = format!(
                "device `{self}` can't be opened: check that the machine has it and that its driver is installed, or set \
                 `device` to \"cpu\""
            );
            Error::config("device", message).with_source(error)
        })
    }
}

impl TryFrom<String> for ComputeDevice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let device = match text.as_str() {
            "cpu" => Some(Self::Cpu),
            "cuda" => Some(Self::Cuda(0)),
            "metal" => Some(Self::Metal),
            other => other
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda),
        };
        device.ok_or_else(|| {
            format!(
                "`{text}` is not a device; expected `cpu`, `cuda`, `cuda:1` for the second card, or `metal`"
            )
        })
    }
}

impl From<ComputeDevice> for String {
    fn from(device: ComputeDevice) -> Self {
        device.to_string()
    }
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_is_written() {
        for (text, device) in [
            ("cpu", ComputeDevice::Cpu),
            ("cuda", ComputeDevice::Cuda(0)),
            ("cuda:1", ComputeDevice::Cuda(1)),
            ("metal", ComputeDevice::Metal),
        ] {
            assert_eq!(ComputeDevice::try_from(text.to_owned()), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!(
            ComputeDevice::try_from("cuda:0".to_owned()),
            Ok(ComputeDevice::Cuda(0))
        );
        for text in ["gpu", "cuda:", "cuda:-1", "CPU", ""] {
            let problem = ComputeDevice::try_from(text.to_owned()).unwrap_err();
            assert!(problem.contains(&format!("`{text}`")) && problem.contains("`cuda:1`"));
        }
    }

    #[test]
    fn a_device_that_this_build_has_no_kernels_for_is_refused_with_the_feature() {
        for (device, feature, is_built) in [
            (ComputeDevice::Cuda(1), "cuda", cuda_is_available()),
            (ComputeDevice::Metal, "metal", metal_is_available()),
        ] {
            if is_built {
                continue;
            }
            let error = device.open().unwrap_err();
            assert_eq!(error.field(), Some("device"));
            let says = format!("device `{device}` needs the feature `{feature}`; this build has: cpu");
            assert!(error.message().starts_with(&says), "{error}");
        }
        assert!(ComputeDevice::Cpu.open().unwrap().is_none());
    }
}
