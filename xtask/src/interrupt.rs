//! Ctrl-C and SIGTERM: with servers running this program doesn't just end, but ends them and removes their data first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Whether this program was asked to end.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From here on Ctrl-C no longer ends this program, only what it runs: the terminal tells both.
    pub(crate) fn by_keyboard() -> Result<Self> {
        let interrupt = Self(Arc::default());
        #[cfg(unix)]
        interrupt.catch(signal_hook::consts::SIGINT)?;
        Ok(interrupt)
    }

    /// From here on neither Ctrl-C nor SIGTERM ends this program, which must look.
    pub(crate) fn by_any_signal() -> Result<Self> {
        let interrupt = Self::by_keyboard()?;
        #[cfg(unix)]
        interrupt.catch(signal_hook::consts::SIGTERM)?;
        Ok(interrupt)
    }

    #[cfg(unix)]
    fn catch(&self, signal: i32) -> Result<()> {
        signal_hook::flag::register(signal, Arc::clone(&self.0)).context("cannot catch signals")?;
        Ok(())
    }

    /// Waits until this program is asked to end.
    pub(crate) fn wait(&self) {
        while !self.0.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Fails where this program was asked to end.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }
}
