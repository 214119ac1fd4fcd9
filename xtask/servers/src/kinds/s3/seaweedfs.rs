//! SeaweedFS: master, volume server, filer and S3 gateway in one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::service::Service;
use crate::{Kind, Programs, ports, variable};

/// Its four parts, each of which has a port and one more for gRPC.
const PARTS: [&str; 4] = ["master", "volume", "filer", "s3"];

/// Its ports: each part's own, then each part's for gRPC.
#[derive(Debug)]
pub(crate) struct Seaweedfs {
    ports: [u16; 8],
}

impl Seaweedfs {
    pub(crate) fn new() -> Result<Self> {
        let mut ports = [0; 8];
        for port in &mut ports {
            *port = ports::choose()?;
        }
        Ok(Self { ports })
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, u16, u16)> {
        let (own, grpc) = self.ports.split_at(PARTS.len());
        PARTS
            .into_iter()
            .zip(own.iter().zip(grpc))
            .map(|(part, (own, grpc))| (part, *own, *grpc))
    }

    fn s3(&self) -> u16 {
        self.ports[PARTS.len() - 1]
    }
}

impl Service for Seaweedfs {
    fn ports(&self) -> &[u16] {
        &self.ports
    }

    fn command(&self, programs: &Programs, dir: &Path) -> Result<Command> {
        let (data, identities) = (dir.join("data"), dir.join("identities.json"));
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let admin = format!(
            r#"{{"identities": [{{"name": "lucida", "actions": ["Admin"], "credentials": [{{"accessKey": "{}", "secretKey": "{}"}}]}}]}}"#,
            super::ACCESS_KEY_ID,
            super::SECRET_ACCESS_KEY
        );
        fs::write(&identities, admin).with_context(|| format!("cannot write {}", identities.display()))?;

        let mut command = Command::new(programs.program(Kind::Seaweedfs)?);
        command
            .args(["-logtostderr=true", "server", "-filer", "-s3"])
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"])
            // The only master waits this long for others before it leads again.
            .arg("-master.electionTimeout=1s")
            // Small enough to fit into a temporary folder, however full its disk is: by default a disk that is 99 %
            // full takes no volume.
            .args(["-volume.max=64", "-master.volumeSizeLimitMB=64"])
            .arg("-volume.minFreeSpace=16MiB")
            // It would else say goodbye to the master for ten seconds.
            .arg("-volume.preStopSeconds=0")
            // Two more services, on fixed ports.
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .arg(format!("-dir={}", data.display()))
            .arg(format!("-s3.config={}", identities.display()))
            // Relative to the working directory, as the path of a socket must be short.
            .args(["-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"])
            .current_dir(dir)
            .env("HOME", dir);
        for (part, own, grpc) in self.parts() {
            command.arg(format!("-{part}.port={own}"));
            command.arg(format!("-{part}.port.grpc={grpc}"));
        }
        Ok(command)
    }

    fn ask(&self) -> Result<()> {
        super::ask(self.s3())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3())
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![(variable::SEAWEEDFS_ENDPOINT, self.url())]
    }

    /// Sockets whose place can't be chosen.
    fn litter(&self) -> Vec<PathBuf> {
        self.parts()
            .map(|(part, _, grpc)| format!("/tmp/seaweedfs-{part}-grpc-{grpc}.sock").into())
            .collect()
    }
}
