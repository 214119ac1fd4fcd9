//! A server's process and everything that it starts, ended together.
//!
//! The process leads a group of its own, so that it does not get the Ctrl-C of the terminal and can be killed with its
//! children. A watchdog in the same group holds the reading end of a pipe whose writing end only we hold: when we end in
//! any way, even by SIGKILL, it reads the end of the pipe and kills the group.

use std::fs::File;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Starts the watchdog, then becomes the server. `$$` in the watchdog is still the server: the leader of the group.
const UNDER_WATCH: &str = r#"
exec 3<&0 </dev/null
{ read -r _ <&3; kill -s KILL -- "-$$"; } &
exec 3<&-
exec "$@"
"#;

/// How long a process may take to end by itself when it is asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    leader: Child,
    /// Tells the watchdog that we live, until it is closed.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is held, not used"))]
    alive: Option<ChildStdin>,
    /// From here on its number may be somebody else's.
    over: bool,
}

impl Process {
    /// Starts `command`, its output going to the end of the file `log`.
    pub(crate) fn start(command: &Command, log: &Path) -> Result<Self> {
        let unwritable = || format!("cannot write {}", log.display());
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(unwritable)?;
        let errors = output.try_clone().with_context(unwritable)?;
        let mut watched = Command::new("/bin/sh");
        watched.args(["-c", UNDER_WATCH, "sh"]);
        watched.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => watched.env(name, value),
                None => watched.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            watched.current_dir(folder);
        }
        watched.stdin(Stdio::piped()).stdout(output).stderr(errors);
        group::lead(&mut watched)?;
        let mut leader = watched
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self {
            alive: leader.stdin.take(),
            leader,
            over: false,
        })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.leader.try_wait().context("cannot ask how a server is")
    }

    /// Ends the whole group as a power cut would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.kill_group()
    }

    /// Asks the server to end, and kills what has not ended some time later.
    pub(crate) fn stop(mut self) -> Result<()> {
        group::ask_leader(&self.leader)?;
        let asked = Instant::now();
        while self.ended()?.is_none() && asked.elapsed() < STOP_PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill_group()
    }

    /// The group outlives its leader by the watchdog, so that its number is not another's until this has killed it.
    fn kill_group(&mut self) -> Result<()> {
        if !self.over {
            group::kill(&self.leader)?;
            self.leader.wait().context("cannot wait for a server to end")?;
            self.over = true;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is nobody to tell, and the watchdog tries once more.
        let _ = self.kill_group();
    }
}

#[cfg(unix)]
mod group {
    //! Process groups, which only Unix has.

    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    use anyhow::{Context as _, Result};
    use rustix::io::Errno;
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};

    pub(super) fn lead(command: &mut Command) -> Result<()> {
        command.process_group(0);
        Ok(())
    }

    pub(super) fn ask_leader(leader: &Child) -> Result<()> {
        gone_is_fine(kill_process(Pid::from_child(leader), Signal::TERM))
    }

    pub(super) fn kill(leader: &Child) -> Result<()> {
        gone_is_fine(kill_process_group(Pid::from_child(leader), Signal::KILL))
    }

    fn gone_is_fine(result: rustix::io::Result<()>) -> Result<()> {
        match result {
            Err(Errno::SRCH) => Ok(()),
            other => other.context("cannot end a server"),
        }
    }
}

#[cfg(not(unix))]
mod group {
    //! No process groups: no servers.

    use std::process::{Child, Command};

    use anyhow::{Result, bail};

    pub(super) fn lead(_command: &mut Command) -> Result<()> {
        bail!("servers for tests need process groups, which only Unix has")
    }

    pub(super) fn ask_leader(_leader: &Child) -> Result<()> {
        Ok(())
    }

    pub(super) fn kill(_leader: &Child) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Starts a shell whose child appends to a file without end; returns the file once it has begun.
    fn parent_of_a_busy_child(dir: &Path) -> (Process, PathBuf) {
        let beats = dir.join("beats");
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do echo >> \"$0\"; sleep 0.01; done & wait"]);
        let process = Process::start(command.arg(&beats), &dir.join("log")).unwrap();
        let started = Instant::now();
        while !beats.exists() {
            assert!(started.elapsed() < PATIENCE, "the child did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        (process, beats)
    }

    /// Whether the child stops appending.
    fn falls_silent(beats: &Path) -> bool {
        let length = || std::fs::metadata(beats).unwrap().len();
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let before = length();
            std::thread::sleep(Duration::from_millis(500));
            if length() == before {
                return true;
            }
        }
        false
    }

    #[test]
    fn a_kill_ends_the_children_too() {
        let dir = tempfile::tempdir().unwrap();
        let (process, beats) = parent_of_a_busy_child(dir.path());
        process.kill().unwrap();
        assert!(falls_silent(&beats));
    }

    #[test]
    fn a_drop_ends_the_children_too() {
        let dir = tempfile::tempdir().unwrap();
        let (process, beats) = parent_of_a_busy_child(dir.path());
        drop(process);
        assert!(falls_silent(&beats));
    }

    #[test]
    fn the_watchdog_ends_everything_once_we_no_longer_live() {
        let dir = tempfile::tempdir().unwrap();
        let (mut process, beats) = parent_of_a_busy_child(dir.path());
        // What the kernel does with our end of the pipe when this process is killed.
        drop(process.alive.take());
        assert!(falls_silent(&beats));
        assert!(process.ended().unwrap().is_some());
    }

    #[test]
    fn a_server_that_is_asked_to_stop_may_finish() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done",
        ]);
        let process = Process::start(&command, &log).unwrap();
        while !std::fs::read_to_string(&log).unwrap().contains("up") {
            std::thread::sleep(Duration::from_millis(10));
        }
        process.stop().unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "up\nbye\n");
    }
}
