//! The stand-in as a program: `qdrant-stand-in --listen 127.0.0.1:6334 --data DIR [--api-key KEY]`.
//!
//! It prints `listening on ADDRESS` when it is ready, and runs until it is killed.

#[path = "mod.rs"]
mod stand_in;

use std::error::Error;
use std::io::Write;

use stand_in::{Options, StandIn, VERSION};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let stand_in = StandIn::start(options()?)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", stand_in.address())?;
    out.flush()?;
    loop {
        std::thread::park();
    }
}

fn options() -> Result<Options, Box<dyn Error + Send + Sync>> {
    let (mut listen, mut data, mut api_key) = (None, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} has no value"))?;
        match name.as_str() {
            "--listen" => listen = Some(value.parse()?),
            "--data" => data = Some(value.into()),
            "--api-key" => api_key = Some(value),
            _ => return Err(format!("{name} is unknown: use --listen, --data and --api-key").into()),
        }
    }
    Ok(Options {
        listen: listen.ok_or("--listen is missing: say where to listen, such as 127.0.0.1:6334")?,
        data: data.ok_or("--data is missing: name a folder")?,
        api_key,
        version: VERSION,
        tls: None,
    })
}
