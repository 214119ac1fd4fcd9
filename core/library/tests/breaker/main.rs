//! A part that does not answer is not asked for a while, and is asked again as soon as it does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod queue;
mod storage;

use std::time::Duration;

use lucida_core::Backoff;
use lucida_library::decorate::{BreakerOptions, GuardOptions};

/// How many failures in a row open the breakers of these tests, and for how long.
const FAILURES: u32 = 3;
const OPEN: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

fn options() -> GuardOptions {
    GuardOptions {
        timeout: TIMEOUT,
        put_timeout: TIMEOUT,
        tries: 1,
        backoff: Backoff {
            min: Duration::from_millis(100),
            max: Duration::from_secs(1),
        },
        breaker: BreakerOptions {
            failures: FAILURES,
            open: OPEN,
        },
    }
}
