//! Leases in the metadata store: work that one process at a time does.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use lucida_core::{Error, ErrorKind, MetadataStore, Result};

#[derive(Serialize, Deserialize)]
struct Lease {
    holder: String,
    until: Timestamp,
}

/// Takes, renews and releases leases for this process.
#[derive(Clone)]
pub(crate) struct Leases {
    metadata: Arc<dyn MetadataStore>,
    holder: Arc<str>,
}

impl Leases {
    /// Creates a holder of leases with an id that no other process has.
    pub(crate) fn new(metadata: Arc<dyn MetadataStore>) -> Self {
        Self {
            metadata,
            holder: uuid::Uuid::now_v7().to_string().into(),
        }
    }

    /// Takes or renews a lease; returns `false` while another process holds it.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn take(&self, name: &str, lasts: Duration) -> Result<bool> {
        let record_name = record_name(name);
        let current = self.metadata.record(&record_name).await?;
        let now = Timestamp::now();
        if let Some(record) = &current
            && let Ok(lease) = serde_json::from_value::<Lease>(record.value.clone())
            && *lease.holder != *self.holder
            && lease.until > now
        {
            return Ok(false);
        }
        let too_long = |error: jiff::Error| Error::internal("a lease is too long").with_source(error);
        let lasts = SignedDuration::try_from(lasts).map_err(too_long)?;
        let lease = Lease {
            holder: self.holder.to_string(),
            until: now.checked_add(lasts).map_err(too_long)?,
        };
        let value = serde_json::to_value(&lease)
            .map_err(|error| Error::internal("a lease can't be written as JSON").with_source(error))?;
        let version = current.map(|record| record.version);
        match self.metadata.put_record(&record_name, &value, version).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Renews the lease of work in progress.
    ///
    /// # Errors
    /// `Unavailable` when another process has taken the lease over; those of the metadata store.
    pub(crate) async fn keep(&self, name: &str, lasts: Duration) -> Result<()> {
        if self.take(name, lasts).await? {
            Ok(())
        } else {
            let message = format!("another process has taken over the lease `{name}`");
            Err(Error::unavailable(message))
        }
    }

    /// Releases a lease if this process holds it.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn release(&self, name: &str) -> Result<()> {
        let record_name = record_name(name);
        let held = self.metadata.record(&record_name).await?;
        let ours = held
            .and_then(|record| serde_json::from_value::<Lease>(record.value).ok())
            .is_some_and(|lease| *lease.holder == *self.holder);
        if ours {
            self.metadata.delete_record(&record_name).await
        } else {
            Ok(())
        }
    }
}

fn record_name(lease: &str) -> String {
    format!("lease/{lease}")
}
