//! A process and everything that it starts, ended together: the harness of tests and of the benchmark.
//!
//! The process leads a group of its own, so that it does not get the Ctrl-C of the terminal and can be killed with its
//! children. A watchdog in the same group holds the reading end of a pipe whose writing end only we hold: when we end in
//! any way, even by SIGKILL, it reads the end of the pipe and kills the group.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Starts the watchdog, then becomes the program. `$$` in the watchdog is still the program: the leader of the group.
const UNDER_WATCH: &str = r#"
exec 3<&0 </dev/null
{ read -r _ <&3; kill -s KILL -- "-$$"; } &
exec 3<&-
exec "$@"
"#;

/// How long a process may take to end by itself when it is asked to, on a machine that is busy with other tests.
const STOP_PATIENCE: Duration = Duration::from_secs(120);

/// How much of its log is shown of a process that doesn't start, in lines.
const LINES_SHOWN: usize = 30;

/// A running process; killed when dropped, and when the process that started it ends in any way.
#[derive(Debug)]
pub struct Process {
    leader: Child,
    log: PathBuf,
    started: Instant,
    /// Shows the watchdog that we run, until it is closed.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is held, not used"))]
    alive: Option<ChildStdin>,
    /// From here on its number may be somebody else's.
    over: bool,
}

impl Process {
    /// Starts `command`, its output going to the end of the file `log`.
    ///
    /// # Errors
    /// When the program can't be run, the log can't be written, or the system has no process groups.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
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
            log: log.to_owned(),
            started: Instant::now(),
            over: false,
        })
    }

    /// Returns the id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.leader.id()
    }

    /// Returns how it ended, if it has.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.leader
            .try_wait()
            .context("cannot ask whether a process has ended")
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.leader.wait().context("cannot wait for a process to end")
    }

    /// Checks that a process which is not ready yet may still become so: it runs, and was started less than `patience` ago.
    ///
    /// # Errors
    /// With the end of its log where it may not.
    pub fn check_starting(&mut self, patience: Duration) -> Result<()> {
        let ended = self.ended()?;
        if ended.is_none() && self.started.elapsed() < patience {
            return Ok(());
        }
        let how = ended.map_or_else(|| "is not ready".to_owned(), |status| format!("ended ({status})"));
        let seconds = self.started.elapsed().as_secs();
        bail!(
            "it {how} after {seconds} s; the end of its log:\n{}",
            self.log_end()
        );
    }

    /// Returns the last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
    }

    /// Sends SIGINT, as Ctrl-C does.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn interrupt(&self) -> Result<()> {
        group::interrupt_leader(&self.leader)
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn terminate(&self) -> Result<()> {
        group::terminate_leader(&self.leader)
    }

    /// Kills the process and its children, as a power cut would.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.kill_group()
    }

    /// Asks the process to end, waits for that, and kills what is left of it some minutes later.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.terminate()?;
        let asked = Instant::now();
        while self.ended()?.is_none() && asked.elapsed() < STOP_PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill_group()?;
        self.wait()
    }

    /// The group outlives its leader by the watchdog, so that its number is not another's until this has killed it.
    fn kill_group(&mut self) -> Result<()> {
        if !self.over {
            group::kill(&self.leader)?;
            self.wait()?;
            self.over = true;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is nobody to report to, and the watchdog tries once more.
        let _ = self.kill_group();
    }
}

pub(crate) use group::lead;

#[cfg(unix)]
mod group {
    //! Process groups, which only Unix has.

    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    use anyhow::{Context as _, Result};
    use rustix::io::Errno;
    use rustix::process::{Pid, Signal, kill_process, kill_process_group};

    pub(crate) fn lead(command: &mut Command) -> Result<()> {
        command.process_group(0);
        Ok(())
    }

    pub(super) fn interrupt_leader(leader: &Child) -> Result<()> {
        gone_is_fine(kill_process(Pid::from_child(leader), Signal::INT))
    }

    pub(super) fn terminate_leader(leader: &Child) -> Result<()> {
        gone_is_fine(kill_process(Pid::from_child(leader), Signal::TERM))
    }

    pub(super) fn kill(leader: &Child) -> Result<()> {
        gone_is_fine(kill_process_group(Pid::from_child(leader), Signal::KILL))
    }

    fn gone_is_fine(result: rustix::io::Result<()>) -> Result<()> {
        match result {
            Err(Errno::SRCH) => Ok(()),
            other => other.context("cannot signal a process"),
        }
    }
}

#[cfg(not(unix))]
mod group {
    //! No process groups: no processes.

    use std::process::{Child, Command};

    use anyhow::{Result, bail};

    pub(crate) fn lead(_command: &mut Command) -> Result<()> {
        bail!("processes of tests need process groups, which only Unix has")
    }

    pub(super) fn interrupt_leader(_leader: &Child) -> Result<()> {
        Ok(())
    }

    pub(super) fn terminate_leader(_leader: &Child) -> Result<()> {
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
        let (mut process, beats) = parent_of_a_busy_child(dir.path());
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
    fn a_process_that_is_asked_to_stop_may_finish() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done",
        ]);
        let mut process = Process::start(&command, &log).unwrap();
        while !std::fs::read_to_string(&log).unwrap().contains("up") {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(process.stop().unwrap().success());
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "up\nbye\n");
    }

    #[test]
    fn a_process_that_ends_instead_of_getting_ready_shows_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such bucket >&2; exit 3"]);
        let mut process = Process::start(&command, &dir.path().join("log")).unwrap();
        process.wait().unwrap();
        let error = process.check_starting(PATIENCE).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.ends_with("no such bucket"),
            "{error}"
        );
    }
}
