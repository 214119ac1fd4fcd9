//! A server of one's own: Lucida with one more plugin and one more blob store, a call each, and all the rest kept.

mod colours;
mod mirror;

use std::process::ExitCode;

use lucida::Registry;

fn main() -> ExitCode {
    let registry = Registry::default()
        .with_plugin(colours::factory())
        .with_storage(mirror::factory());
    lucida::run(&registry)
}
