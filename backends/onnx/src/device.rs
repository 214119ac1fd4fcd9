//! The devices and number formats: the library, the execution provider and the options that each of them needs.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::Path;

use lucida_core::{Error, Result};
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProvider as _};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::internal;

/// The number format that a model computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats with the range of 32-bit ones, for the large multiplications.
    Bf16,
    /// 8-bit integers for the large multiplications, each weight in steps of its row's scale.
    Int8,
}

/// What a model computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// ONNX Runtime's own kernels on the processor.
    Cpu,
    /// OpenVINO's kernels on the processor.
    OpenVino,
    /// CUDA's on a graphics card.
    Cuda,
}

impl Precision {
    /// Returns the word in a config file.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl Device {
    /// Returns the word in a config file.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        }
    }

    /// Returns the number formats that it computes in.
    ///
    /// OpenVINO was tried with dynamic int8 and took four times as long as in fp32.
    pub(crate) const fn precisions(self) -> &'static [Precision] {
        match self {
            Self::OpenVino => &[Precision::Fp32, Precision::Bf16],
            Self::Cpu => &[Precision::Fp32, Precision::Int8],
            Self::Cuda => &[Precision::Fp32],
        }
    }

    /// Returns the folder below the cache in which `lucida setup` puts each version of its library.
    pub(crate) const fn cache_folder(self) -> Option<&'static str> {
        match self {
            Self::Cpu => Some("onnxruntime"),
            Self::OpenVino => Some("onnxruntime-openvino"),
            Self::Cuda => None,
        }
    }

    /// Returns what to call an ONNX Runtime that can use it.
    pub(crate) const fn build_name(self) -> &'static str {
        match self {
            Self::Cpu => "ONNX Runtime",
            Self::OpenVino => "ONNX Runtime with OpenVINO",
            Self::Cuda => "ONNX Runtime with CUDA",
        }
    }

    /// Returns how to get such a library.
    pub(crate) const fn way_to_get_it(self) -> &'static str {
        match self {
            Self::Cpu => "run `lucida setup`",
            Self::OpenVino => "run `lucida setup --openvino`",
            Self::Cuda => "install a build of it for CUDA",
        }
    }

    /// Returns whether the ONNX Runtime library in `folder` comes with what the device needs. It can be tried only once,
    /// since a process holds one library; but a provider is a file of its own beside it.
    pub(crate) fn is_served_from(self, folder: &Path) -> bool {
        let provider = match self {
            Self::Cpu => return true,
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        };
        let file = format!("{DLL_PREFIX}onnxruntime_providers_{provider}{DLL_SUFFIX}");
        folder.join(file).is_file()
    }

    /// Makes sure that the loaded library was built for the device.
    ///
    /// # Errors
    /// `ConfigInvalid` where it was not.
    pub(crate) fn check(self, library: &Path) -> Result<()> {
        let built_for_it = match self {
            Self::Cpu => Ok(true),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::Cuda => ep::CUDA::is_available(),
        };
        if built_for_it.map_err(|error| internal("listing the execution providers", error))? {
            return Ok(());
        }
        let message = format!(
            "`{}` is not in the ONNX Runtime at {}: {}, and let `library` and ORT_DYLIB_PATH name no other",
            self.as_str(),
            library.display(),
            self.way_to_get_it()
        );
        Err(Error::config("device", message))
    }
}

/// What a session computes on, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compute {
    pub(crate) device: Device,
    pub(crate) precision: Precision,
    pub(crate) threads: usize,
}

impl Compute {
    /// Puts the device's execution provider and its options into `builder`. A provider that can't be loaded is an
    /// error and not a reason to compute elsewhere.
    pub(crate) fn configure(self, builder: SessionBuilder) -> ort::Result<SessionBuilder> {
        // Without an arena: it keeps the largest batch's memory for good and measures no faster here.
        let cpu = ep::CPU::default().with_arena_allocator(false).build();
        let (level, providers) = match self.device {
            Device::Cpu => (GraphOptimizationLevel::All, vec![cpu]),
            // OpenVINO fuses what it knows, and knows the graph as it was written better than ONNX Runtime's fusions.
            Device::OpenVino => (GraphOptimizationLevel::Disable, vec![self.openvino(), cpu]),
            Device::Cuda => {
                let cuda = ep::CUDA::default().build().error_on_failure();
                (GraphOptimizationLevel::All, vec![cuda, cpu])
            }
        };
        let mut builder = builder
            .with_optimization_level(level)?
            .with_intra_threads(self.threads)?
            .with_execution_providers(providers)?;
        if int8_sums_overflow() {
            builder = builder.with_precise_qmm()?;
        }
        Ok(builder)
    }

    fn openvino(self) -> ep::ExecutionProviderDispatch {
        let hint = match self.precision {
            // What int8 leaves to floats.
            Precision::Fp32 | Precision::Int8 => "f32",
            Precision::Bf16 => "bf16",
        };
        let plugin = serde_json::json!({"CPU": {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": self.threads.to_string(),
            // One input as soon as possible: Lucida's queue has the next ready.
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            // Two towers, or two processes, would be pinned to the same cores.
            "ENABLE_CPU_PINNING": "NO",
        }});
        ep::OpenVINO::default()
            .with_device_type("CPU")
            .with_arbitrary_config("load_config", plugin)
            .build()
            .error_on_failure()
    }
}

/// Returns whether the processor adds products of 8-bit integers in 16 bits, which are too few: x86-64 without VNNI. ONNX
/// Runtime then has other kernels, exact and slower, and takes them wherever it is told to: with VNNI a photo takes 19 ms in
/// int8 and 48 by those, for the same bits.
fn int8_sums_overflow() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !std::is_x86_feature_detected!("avx512vnni") && !std::is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
