//! Keeps a session: when one is lost, connects again until there is the next.
//!
//! Not lapin's own recovery, as read at 4.12.3: its thread goes on connecting when the connection is dropped, it takes the broker's
//! refusals (a deleted queue, a locked one) for something to recover from, and it gives up after its attempts. Here calls fail
//! at once while there is no session, a deleted queue is made again, and nothing of an old session reaches a new one.

use std::sync::Arc;
use std::time::Duration;

use lucida_core::{Backoff, Error, ErrorKind, Result};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::session::Session;
use crate::topology::Topology;

/// The waits between tries to connect.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(3),
};

/// Whether the broker can be reached.
#[derive(Clone)]
pub(crate) enum State {
    /// It can.
    Up(Arc<Session>),
    /// It can't, for this reason.
    Down { kind: ErrorKind, reason: String },
}

impl State {
    fn down(error: &Error) -> Self {
        Self::Down {
            kind: error.kind(),
            reason: error.to_string(),
        }
    }
}

/// Starts to keep a session, until every receiver of its state is dropped.
pub(crate) fn keep(broker: Broker, topology: Arc<Topology>, session: Arc<Session>) -> watch::Receiver<State> {
    let (state, receiver) = watch::channel(State::Up(Arc::clone(&session)));
    tokio::spawn(async move {
        let mut session = session;
        loop {
            tokio::select! {
                () = session.lost() => {}
                () = state.closed() => break,
            }
            let lost = Error::unavailable(format!(
                "the connection to RabbitMQ at {} was lost: it is being made again",
                broker.address()
            ));
            state.send_replace(State::down(&lost));
            session.close().await;
            session = tokio::select! {
                next = reopen(&broker, &topology, &state) => Arc::new(next),
                () = state.closed() => return,
            };
            state.send_replace(State::Up(Arc::clone(&session)));
        }
        session.close().await;
    });
    receiver
}

async fn reopen(broker: &Broker, topology: &Arc<Topology>, state: &watch::Sender<State>) -> Session {
    let mut tries = 0;
    loop {
        tries += 1;
        tokio::time::sleep(BACKOFF.delay(tries)).await;
        match Session::open(broker, topology).await {
            Ok(session) => return session,
            Err(error) => {
                state.send_replace(State::down(&error));
            }
        }
    }
}

/// Returns the session that there is.
pub(crate) fn current(state: &watch::Receiver<State>) -> Result<Arc<Session>> {
    match &*state.borrow() {
        State::Up(session) => Ok(Arc::clone(session)),
        State::Down { kind, reason } => Err(Error::new(*kind, reason.clone())),
    }
}
