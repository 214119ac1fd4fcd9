//! RabbitMQ, with an Erlang port mapper of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::service::Service;
use crate::{Kind, Programs, http, ports, variable};

/// The user of the test servers.
pub(crate) const USER: &str = "lucida-test";
/// The password of the test servers.
pub(crate) const PASSWORD: &str = "lucida-test-secret";

/// The broker would start the port mapper as a daemon that outlives it. The mapper is there before the broker looks for
/// it, else the broker starts one too, which finds the port taken and ends.
const WITH_ITS_MAPPER: &str = r#"
epmd &
exec "$0" -noinput
"#;

/// Its ports: AMQP, the distribution of Erlang and the port mapper.
#[derive(Debug)]
pub(crate) struct Rabbitmq {
    ports: [u16; 3],
}

impl Rabbitmq {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            ports: [ports::choose()?, ports::choose()?, ports::choose()?],
        })
    }
}

impl Service for Rabbitmq {
    fn ports(&self) -> &[u16] {
        &self.ports
    }

    fn command(&self, programs: &Programs, dir: &Path) -> Result<Command> {
        let server = programs.program(Kind::Rabbitmq)?;
        let settings = dir.join("rabbitmq.conf");
        let text = format!("default_user = {USER}\ndefault_pass = {PASSWORD}\n");
        fs::write(&settings, text).with_context(|| format!("cannot write {}", settings.display()))?;

        let system = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        let own = programs.folder_of(Kind::Rabbitmq).join("bin");
        let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&system)))
            .context("PATH can't be extended")?;
        let [amqp, distribution, mapper] = self.ports.map(|port| port.to_string());
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", WITH_ITS_MAPPER])
            .arg(server)
            .current_dir(dir)
            .env("PATH", path)
            .env("HOME", dir)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", mapper)
            .env("RABBITMQ_NODENAME", "lucida-test@localhost")
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", amqp)
            .env("RABBITMQ_DIST_PORT", distribution)
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env("RABBITMQ_CONFIG_FILE", settings)
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", dir.join("data"))
            .env("RABBITMQ_LOG_BASE", dir.join("data"))
            .env("RABBITMQ_LOGS", "-")
            // The script then becomes the virtual machine, which can be asked to stop, instead of waiting for it.
            .env("RABBITMQ_ALLOW_INPUT", "1");
        Ok(command)
    }

    fn ask(&self) -> Result<()> {
        ask(self.ports[0])
    }

    fn url(&self) -> String {
        url(self.ports[0])
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![(variable::RABBITMQ_URI, self.url())]
    }
}

/// Asks the server at a port something that only one which is ready answers.
///
/// # Errors
/// With what it lacks.
pub(crate) fn ask(port: u16) -> Result<()> {
    let mut stream = http::connect(port)?;
    stream.write_all(b"AMQP\0\0\x09\x01")?;
    // A frame on channel 0 with the method `connection.start`. The broker listens last of all that it does.
    let mut head = [0; 11];
    stream.read_exact(&mut head)?;
    let (frame, method) = (&head[..3], &head[7..]);
    if frame != [1, 0, 0] || method != [0, 10, 0, 10] {
        bail!("it answers with {head:?}");
    }
    Ok(())
}

/// Where clients find the server at a port.
pub(crate) fn url(port: u16) -> String {
    format!("amqp://{USER}:{PASSWORD}@127.0.0.1:{port}/%2f")
}
