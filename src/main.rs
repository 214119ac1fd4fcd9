//! The `lucida` binary: the command line with everything that this build's features bring.

use std::process::ExitCode;

fn main() -> ExitCode {
    lucida::run(&lucida::Registry::default())
}
