//! A lease in the ledger: work that only one process at a time should do.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Photos;
use lucida_core::{Error, ErrorKind, Result};

#[derive(Serialize, Deserialize)]
struct Lease {
    holder: String,
    until: Timestamp,
}

impl Photos {
    /// Takes or renews a lease for this process; false while another process holds it.
    pub(super) async fn take_lease(&self, name: &str, lasts: Duration) -> Result<bool> {
        let record_name = format!("lease/{name}");
        let metadata = &self.parts().metadata;
        let current = metadata.record(&record_name).await?;
        let now = Timestamp::now();
        if let Some(record) = &current
            && let Ok(lease) = serde_json::from_value::<Lease>(record.value.clone())
            && lease.holder != self.inner.holder
            && lease.until > now
        {
            return Ok(false);
        }
        let lasts = SignedDuration::try_from(lasts)
            .map_err(|error| Error::internal("a lease is too long").with_source(error))?;
        let until = now
            .checked_add(lasts)
            .map_err(|error| Error::internal("a lease is too long").with_source(error))?;
        let lease = Lease {
            holder: self.inner.holder.clone(),
            until,
        };
        let value = serde_json::to_value(&lease)
            .map_err(|error| Error::internal("a lease can't be written").with_source(error))?;
        match metadata
            .put_record(&record_name, &value, current.map(|record| record.version))
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives a lease back, if this process holds it.
    pub(super) async fn release_lease(&self, name: &str) -> Result<()> {
        let record_name = format!("lease/{name}");
        let held = self.parts().metadata.record(&record_name).await?;
        let ours = held
            .and_then(|record| serde_json::from_value::<Lease>(record.value).ok())
            .is_some_and(|lease| lease.holder == self.inner.holder);
        if ours {
            self.parts().metadata.delete_record(&record_name).await
        } else {
            Ok(())
        }
    }
}
