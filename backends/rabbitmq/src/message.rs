//! How a job and a dead letter are written as messages.
//!
//! The body is JSON: `{"photo_id":"…"}`, and of a dead letter with a `reason`. A reason may be longer than a header
//! can be. How often the job was handed out, and when it may be again, are headers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapin::BasicProperties;
use lapin::message::Delivery as Received;
use lapin::types::{AMQPValue, FieldTable};
use lucida_core::{DeadLetter, Job, PhotoId};
use serde::{Deserialize, Serialize};

use crate::topology::DELIVERY_LIMIT;

/// How often the job was handed out before this message was published.
const REDELIVERIES: &str = "lucida-redeliveries";

/// When the job may be handed out, in microseconds since 1970.
const DUE_AT_US: &str = "lucida-due-at-us";

/// How often a quorum queue has handed this very message out before.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// Written to the disk of a majority before it is confirmed.
const PERSISTENT: u8 = 2;

/// A job on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) job: Job,
    /// How often the job was handed out before.
    pub(crate) redeliveries: u32,
    /// When the job may be handed out, where that is not at once.
    pub(crate) due_at_us: Option<i64>,
}

impl Message {
    /// Makes the message of a job that may be handed out after `delay`.
    pub(crate) fn new(job: &Job, redeliveries: u32, delay: Duration) -> Self {
        let due_at_us = (!delay.is_zero()).then(|| now_us().saturating_add(micros(delay)));
        Self {
            job: job.clone(),
            redeliveries,
            due_at_us,
        }
    }

    /// Reads a message; `None` for one that is not a job.
    pub(crate) fn read(received: &Received) -> Option<Self> {
        let letter: Letter = serde_json::from_slice(&received.data).ok()?;
        let header = |name| integer(received.properties.headers().as_ref()?.inner().get(name)?);
        let handed_out = [REDELIVERIES, DELIVERY_COUNT]
            .map(|name| header(name).unwrap_or(0).max(0))
            .into_iter()
            .fold(0, i64::saturating_add);
        Some(Self {
            job: Job {
                photo_id: letter.photo_id,
            },
            redeliveries: u32::try_from(handed_out).unwrap_or(u32::MAX),
            due_at_us: header(DUE_AT_US),
        })
    }

    /// Returns how long it is until the job may be handed out.
    pub(crate) fn delay(&self) -> Duration {
        let left_us = self.due_at_us.map_or(0, |due| due.saturating_sub(now_us()));
        Duration::from_micros(u64::try_from(left_us).unwrap_or(0))
    }

    /// Returns the body.
    pub(crate) fn body(&self) -> serde_json::Result<Vec<u8>> {
        Letter {
            photo_id: self.job.photo_id,
            reason: None,
        }
        .body()
    }

    /// Returns the properties.
    pub(crate) fn properties(&self) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(REDELIVERIES.into(), i64::from(self.redeliveries).into());
        if let Some(due) = self.due_at_us {
            headers.insert(DUE_AT_US.into(), due.into());
        }
        properties().with_headers(headers)
    }
}

/// The body of a dead letter; without a reason it is that of a job, which the broker itself moved here.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    photo_id: PhotoId,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Letter {
    /// Makes a letter.
    pub(crate) fn new(job: &Job, reason: &str) -> Self {
        Self {
            photo_id: job.photo_id,
            reason: Some(reason.to_owned()),
        }
    }

    /// Reads a letter; `None` for a message of somebody else.
    pub(crate) fn read(body: &[u8]) -> Option<DeadLetter> {
        let letter: Self = serde_json::from_slice(body).ok()?;
        let never_settled = || format!("handed out more than {DELIVERY_LIMIT} times, and never settled");
        Some(DeadLetter {
            job: Job {
                photo_id: letter.photo_id,
            },
            reason: letter.reason.unwrap_or_else(never_settled),
        })
    }

    /// Returns the body.
    pub(crate) fn body(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

/// Returns the properties that all messages have.
pub(crate) fn properties() -> BasicProperties {
    BasicProperties::default()
        .with_app_id("lucida".into())
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(value) => Some(i64::from(*value)),
        AMQPValue::ShortShortUInt(value) => Some(i64::from(*value)),
        AMQPValue::ShortInt(value) => Some(i64::from(*value)),
        AMQPValue::ShortUInt(value) => Some(i64::from(*value)),
        AMQPValue::LongInt(value) => Some(i64::from(*value)),
        AMQPValue::LongUInt(value) => Some(i64::from(*value)),
        AMQPValue::LongLongInt(value) => Some(*value),
        AMQPValue::Boolean(_)
        | AMQPValue::Float(_)
        | AMQPValue::Double(_)
        | AMQPValue::DecimalValue(_)
        | AMQPValue::ShortString(_)
        | AMQPValue::LongString(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::Timestamp(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => None,
    }
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
