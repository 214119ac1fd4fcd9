//! The channels of a connection, each used by one call at a time and by others afterwards.
//!
//! A channel that a call leaves behind, because it failed or was dropped, is closed by lapin when it is dropped, and
//! the broker takes back what it had handed out on it.

use std::sync::{Mutex, PoisonError};

use lapin::Channel;
use lapin::options::{BasicQosOptions, ConfirmSelectOptions};

use crate::link::Link;

/// What channels are for.
pub(crate) enum Use {
    /// Messages are confirmed.
    Publishing,
    /// A consumer gets one message until it acks it.
    Receiving,
}

/// A connection and its channels.
pub(crate) struct Channels {
    pub(crate) link: Link,
    purpose: Use,
    idle: Mutex<Vec<Channel>>,
}

impl Channels {
    /// Takes over a connection without channels.
    pub(crate) fn new(link: Link, purpose: Use) -> Self {
        Self {
            link,
            purpose,
            idle: Mutex::default(),
        }
    }

    /// Takes an idle channel, or opens one.
    pub(crate) async fn take(&self) -> lapin::Result<Channel> {
        while let Some(channel) = self.pop() {
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let channel = self.link.channel().await?;
        match self.purpose {
            Use::Publishing => channel.confirm_select(ConfirmSelectOptions::default()).await?,
            Use::Receiving => channel.basic_qos(1, BasicQosOptions::default()).await?,
        }
        Ok(channel)
    }

    /// Returns a channel that nothing is under way on.
    pub(crate) fn give_back(&self, channel: Channel) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(channel);
    }

    fn pop(&self) -> Option<Channel> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
