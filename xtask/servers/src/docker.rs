//! Servers from Docker images, where a Docker engine answers: what users run, without building or unpacking anything.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::image::Image;
use crate::process::{Process, lead};
use crate::{Kind, variable};

/// How long a container may take until its server answers, once its image is pulled.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Waits until its input ends, then removes the container with its volumes.
const REMOVE_AT_THE_END: &str = r#"read -r _; exec "$0" rm --force --volumes "$1""#;

/// The command line of a Docker engine that answers.
#[derive(Debug, Clone)]
pub struct Docker {
    program: PathBuf,
}

impl Docker {
    /// Finds `docker` on the PATH; `None` where no engine answers it, or the variable `LUCIDA_TEST_DOCKER` is `0`.
    #[must_use]
    pub fn find() -> Option<Self> {
        let is_refused = std::env::var_os(variable::DOCKER).is_some_and(|value| value == "0");
        if is_refused {
            None
        } else {
            Self::at("docker".into())
        }
    }

    /// Takes a program that is called as `docker` is; `None` where no engine answers it.
    #[must_use]
    pub fn at(program: PathBuf) -> Option<Self> {
        let docker = Self { program };
        let version = ["version", "--format", "{{.Server.Version}}"];
        docker.answer(&version).is_ok().then_some(docker)
    }

    /// Starts a server without data, on a port of the loopback address that the engine chooses, and waits until it is ready.
    ///
    /// # Errors
    /// For a kind without an image, where the image can't be pulled, and with the end of its log when it doesn't get ready.
    pub fn start(&self, kind: Kind) -> Result<Container> {
        let image = Image::of(kind).with_context(|| format!("no Docker image of {kind} is known"))?;
        if self.answer(&["image", "inspect", image.reference]).is_err() {
            eprintln!("pulling {}", image.reference);
            self.answer(&["pull", "--quiet", image.reference])?;
        }
        let dir = tempfile::Builder::new()
            .prefix(&format!("lucida-test-{}-", kind.name()))
            .tempdir()
            .context("cannot make a temporary folder")?;
        // As unlike any other as the folder's name is.
        let name = dir
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let inner_port = format!("{}/tcp", image.port);
        let mut run = Command::new(&self.program);
        run.args(["run", "--rm", "--name", &name])
            .args(["--publish", &format!("127.0.0.1::{}", image.port)]);
        for (variable, value) in image.environment {
            run.args(["--env", &format!("{variable}={value}")]);
        }
        run.arg(image.reference).args(image.arguments);

        // First: a container must never be without what removes it.
        let remover = Remover::start(self, &name)?;
        let mut client = Process::start(&run, &dir.path().join("log"))?;
        let port = loop {
            let outcome = self
                .answer(&["port", &name, &inner_port])
                .and_then(|answer| published_port(&answer))
                .and_then(|port| (image.ask)(port).map(|()| port));
            match outcome {
                Ok(port) => break port,
                Err(lacks) => {
                    if let Err(error) = client.check_starting(START_PATIENCE) {
                        bail!("{kind} did not start in a container: {lacks:#}; {error}");
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        };
        Ok(Container {
            image,
            port,
            _remover: remover,
            _client: client,
            _dir: dir,
        })
    }

    /// Runs a command that ends by itself, and returns what it prints.
    fn answer(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("docker {}: {}", arguments.join(" "), errors.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A server in a container. It and its data are removed when this is dropped, and when the process that started it ends in
/// any way.
#[derive(Debug)]
pub struct Container {
    image: &'static Image,
    port: u16,
    // In this order: the removed container ends its client, which writes to the folder.
    _remover: Remover,
    _client: Process,
    _dir: TempDir,
}

impl Container {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.image.kind
    }

    /// Where clients find it, with user and password where it has them.
    #[must_use]
    pub fn url(&self) -> String {
        (self.image.url)(self.port)
    }

    /// The environment variables by which tests find it.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        (self.image.variables)(self.url())
    }
}

/// Removes a container when it is dropped, and when this process ends in any way: then its input ends, too.
#[derive(Debug)]
struct Remover {
    shell: Child,
}

impl Remover {
    fn start(docker: &Docker, name: &str) -> Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", REMOVE_AT_THE_END])
            .arg(&docker.program)
            .arg(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Out of reach of the terminal's Ctrl-C.
        lead(&mut shell)?;
        let shell = shell.spawn().context("cannot run /bin/sh")?;
        Ok(Self { shell })
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // There is nobody to report a failure to.
        let _ = self.shell.wait();
    }
}

/// Reads what `docker port` prints, such as `127.0.0.1:49153`.
fn published_port(answer: &str) -> Result<u16> {
    let line = answer.lines().next().unwrap_or_default();
    let port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok());
    port.with_context(|| format!("`docker port` prints `{line}`"))
}
