//! A custom server: Lucida with one more plugin, one more blob store and one more layer of configuration, a call each.

mod colours;
mod mirror;
mod mounted;

use std::process::ExitCode;

use lucida::Registry;

fn main() -> ExitCode {
    let registry = Registry::default()
        .with_plugin(colours::factory())
        .with_storage(mirror::factory())
        .with_config_layer(mounted::Mounted::new("/etc/lucida.d"));
    lucida::run(&registry)
}
