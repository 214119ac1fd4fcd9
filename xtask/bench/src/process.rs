//! What the system reports about a running process: its memory and its processor time (Linux only).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All pages that are in memory, those of mapped files and libraries as well.
    pub(crate) resident_bytes: u64,
    /// Those of them that no file stands behind: what the process really costs.
    pub(crate) anonymous_bytes: u64,
}

impl Memory {
    /// Takes the larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            resident_bytes: self.resident_bytes.max(other.resident_bytes),
            anonymous_bytes: self.anonymous_bytes.max(other.anonymous_bytes),
        }
    }
}

/// Reads the memory of a process.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let field =
        |name: &str| field_bytes(&status, name).with_context(|| format!("no {name} of process {pid}"));
    Ok(Memory {
        resident_bytes: field("VmRSS")?,
        anonymous_bytes: field("RssAnon")?,
    })
}

/// Reads `VmRSS:    1234 kB`.
fn field_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Waits until a process has used less than a twentieth of one core for eight seconds, for `limit` at most; returns
/// whether it did. Less would miss what a server leaves for some seconds after its start.
pub(crate) async fn wait_until_quiet(pid: u32, limit: Duration) -> Result<bool> {
    const STRETCH: Duration = Duration::from_secs(1);
    const STRETCHES: u32 = 8;
    let started = Instant::now();
    let mut before = processor_time(pid)?;
    let mut quiet = 0;
    while quiet < STRETCHES && started.elapsed() < limit {
        tokio::time::sleep(STRETCH).await;
        let now = processor_time(pid)?;
        quiet = if now - before < STRETCH / 20 { quiet + 1 } else { 0 };
        before = now;
    }
    Ok(quiet == STRETCHES)
}

/// Returns how long a process has computed so far, on all cores together.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    Ok(Duration::from_millis(processor_ticks(pid)? * 10))
}

/// Returns the same in ticks: a tick is a hundredth of a second on every Linux that there is.
fn processor_ticks(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let stat = read(&path)?;
    ticks_of(&stat).with_context(|| format!("{path} has another form"))
}

/// Adds up user and system time: fields 14 and 15, counted from the process's state, which is field 3 and follows
/// the name in parentheses.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Describes this machine in a few words.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| {
        let line = info.lines().find_map(|line| line.strip_prefix("model name"))?;
        Some(line.trim_start_matches([':', ' ', '\t']).to_owned())
    });
    let processor = processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|info| field_bytes(&info, "MemTotal"));
    let memory = memory
        .map(|bytes| format!(", {} GB", bytes / 1_000_000_000))
        .unwrap_or_default();
    format!("{cores} cores of {processor}{memory}, {}", std::env::consts::OS)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(Path::new(path)).with_context(|| format!("cannot read {path}: is this Linux?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_status_is_in_bytes() {
        let status = "Name:\tlucida\nVmRSS:\t    2048 kB\nRssAnon:\t 1024 kB\n";
        assert_eq!(field_bytes(status, "VmRSS"), Some(2048 * 1024));
        assert_eq!(field_bytes(status, "RssAnon"), Some(1024 * 1024));
        assert_eq!(field_bytes(status, "VmSwap"), None);
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "17 (a b) c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 0 0";
        assert_eq!(ticks_of(stat), Some(300));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_time() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident_bytes >= memory.anonymous_bytes && memory.anonymous_bytes > 0);
        processor_ticks(std::process::id()).unwrap();
    }
}
