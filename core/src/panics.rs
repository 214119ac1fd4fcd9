//! Panics of code that is not ours: caught, and kept out of the standard error.
//!
//! A decoder that panics on a damaged picture costs that picture only. The hook of [`install_hook`] keeps what was said
//! for the one who catches it, and turns every other panic into a log event, so that JSON logs stay JSON.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use tracing::error;

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `run`; a panic is returned as what it said, with its place in the code where the hook is installed.
///
/// What `run` changed outside of itself may be half done after a panic: give it nothing that is used afterwards.
///
/// # Errors
/// The message of the panic.
pub fn catch<T>(run: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let was_caught = IS_CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_CAUGHT.set(was_caught);
    result.map_err(|payload| {
        let said = LAST.take();
        said.unwrap_or_else(|| {
            let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a panic without a message".to_owned())
        })
    })
}

/// Replaces the process's panic hook: a panic that [`catch`] awaits is silent, any other becomes one error event.
pub fn install_hook() {
    std::panic::set_hook(Box::new(|panic| {
        if IS_CAUGHT.get() {
            LAST.set(Some(describe(panic)));
            return;
        }
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        error!(
            panic = describe(panic),
            thread = thread.name().unwrap_or("unnamed"),
            backtrace,
            "a thread panicked"
        );
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set in a child that has its process to itself, since the hook is the process's.
    const ALONE: &str = "LUCIDA_TEST_ALONE";

    #[test]
    fn a_caught_panic_leaves_nothing_on_the_standard_error() {
        if std::env::var_os(ALONE).is_some() {
            install_hook();
            let said = catch(|| -> u8 { panic!("a quiet {}", "one") }).unwrap_err();
            assert!(
                said.starts_with("a quiet one (") && said.contains("panics.rs:"),
                "{said}"
            );
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "--nocapture",
            "panics::tests::a_caught_panic_leaves_nothing_on_the_standard_error",
        ]);
        let ended = child.env(ALONE, "1").env("RUST_BACKTRACE", "1").output().unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr),
        );
        assert!(ended.status.success() && out.contains("1 passed"), "{out}{err}");
        assert!(!err.contains("a quiet") && !err.contains("panicked"), "{err}");
    }

    #[test]
    fn a_caught_panic_is_what_it_said() {
        assert_eq!(catch(|| 5), Ok(5));
        let said = catch(|| -> u8 { panic!("lost a {}", "pixel") }).unwrap_err();
        assert!(said.contains("lost a pixel"), "{said}");
        assert_eq!(catch(|| "fine again"), Ok("fine again"));
    }
}
