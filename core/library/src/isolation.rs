//! Keeps a plugin's code from holding up what isn't its own: a call that blocks its thread costs the runtime no other work, and
//! a plugin whose calls don't come back is not called any more.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use lucida_core::{Error, Result};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinError, JoinHandle};

/// How many calls that nobody waits for any more may still be running. Each may hold a thread, of which the runtime has 512 for
/// everything that blocks.
const MAX_ABANDONED: usize = 16;

/// Runs the calls of one plugin.
#[derive(Debug, Clone, Default)]
pub struct Isolation {
    abandoned: Arc<AtomicUsize>,
}

impl Isolation {
    /// Starts a call in a task of its own. The call ends with the last wait for it: what waits for something else is dropped, and
    /// what blocks its thread counts as abandoned until it comes back.
    ///
    /// # Errors
    /// `Unavailable` (`plugin_stuck`) while too many calls are abandoned.
    pub fn start<F>(&self, future: F) -> Result<Running<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let abandoned = self.abandoned.load(Ordering::SeqCst);
        if abandoned >= MAX_ABANDONED {
            let message = format!(
                "{abandoned} calls of the plugin block their threads, and it gets no more until they come back"
            );
            return Err(Error::unavailable(message).with_code("plugin_stuck"));
        }
        let call = Arc::new(Call {
            is_abandoned: AtomicBool::new(false),
            abandoned: Arc::clone(&self.abandoned),
        });
        let task = tokio::spawn(HandingOff {
            future: Box::pin(future),
            _call: Arc::clone(&call),
        });
        Ok(Running { task, call })
    }
}

/// A call, counted while it is abandoned.
#[derive(Debug)]
struct Call {
    is_abandoned: AtomicBool,
    abandoned: Arc<AtomicUsize>,
}

impl Drop for Call {
    fn drop(&mut self) {
        if *self.is_abandoned.get_mut() {
            self.abandoned.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A call that has been started; dropping it abandons the call.
#[derive(Debug)]
pub struct Running<T> {
    task: JoinHandle<T>,
    call: Arc<Call>,
}

impl<T> Future for Running<T> {
    type Output = std::result::Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(context)
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if self.task.is_finished() {
            return;
        }
        self.call.abandoned.fetch_add(1, Ordering::SeqCst);
        self.call.is_abandoned.store(true, Ordering::SeqCst);
        self.task.abort();
    }
}

/// A future that hands the runtime's thread to other tasks each time that it is polled: about 7 µs.
struct HandingOff<F> {
    future: Pin<Box<F>>,
    _call: Arc<Call>,
}

impl<F: Future> Future for HandingOff<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.future.as_mut();
        // On a runtime of one thread there is no other that tasks could go to.
        if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            tokio::task::block_in_place(|| future.poll(context))
        } else {
            future.poll(context)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Starts a call that blocks its thread until the sender is dropped.
    fn block(isolation: &Isolation) -> (Running<()>, mpsc::Sender<()>) {
        let (release, held) = mpsc::channel::<()>();
        let call = isolation.start(async move { _ = held.recv() }).unwrap();
        (call, release)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn calls_that_block_hold_up_nothing_else() {
        let isolation = Isolation::default();
        let blocked: Vec<_> = (0..MAX_ABANDONED).map(|_| block(&isolation)).collect();
        let other = isolation.start(async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            7
        });
        assert_eq!(other.unwrap().await.unwrap(), 7);
        for (call, release) in blocked {
            drop(release);
            call.await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_plugin_whose_calls_do_not_come_back_is_not_called_until_they_do() {
        let isolation = Isolation::default();
        let mut releases = Vec::new();
        for _ in 0..MAX_ABANDONED {
            let (call, release) = block(&isolation);
            let waited = tokio::time::timeout(Duration::from_millis(20), call).await;
            assert!(waited.is_err());
            releases.push(release);
        }
        let refused = isolation.start(async {}).err().unwrap();
        assert_eq!(refused.code(), "plugin_stuck", "{refused}");
        drop(releases);
        while isolation.start(async {}).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_call_that_nobody_waits_for_any_more_is_dropped_where_it_waits() {
        let isolation = Isolation::default();
        for _ in 0..5 * MAX_ABANDONED {
            let call = isolation.start(std::future::pending::<()>()).unwrap();
            assert!(
                tokio::time::timeout(Duration::from_millis(1), call)
                    .await
                    .is_err()
            );
            while isolation.abandoned.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[tokio::test]
    async fn a_panic_is_the_calls_own() {
        let isolation = Isolation::default();
        let call = isolation.start(async { panic!("the ink bottle fell over") });
        assert!(call.unwrap().await.unwrap_err().is_panic());
    }
}
