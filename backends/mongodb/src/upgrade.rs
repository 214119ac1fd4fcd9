//! Adds to the photos of an earlier version what this one stores besides.

use futures::{TryStreamExt, future};
use lucida_core::{Result, local_microsecond};
use mongodb::Collection;
use mongodb::bson::doc;

use crate::error::failed;
use crate::photo::{StoredPhoto, stored_id};

/// How many photos are changed at once.
const AT_ONCE: usize = 16;

/// Stores the local times that plugin `exif` found, which an earlier version had among the attributes only.
///
/// Only photos without a local time are changed: it may be interrupted and repeated, and run by several processes at once.
///
/// # Errors
/// `Unavailable` and `PermissionDenied` by the server; `Internal` for a document that Lucida has not written.
pub(crate) async fn fill_local_times(photos: &Collection<StoredPhoto>) -> Result<()> {
    let filling = |error| failed("storing the local times of photos in the metadata store", &error);
    let found = photos
        .find(doc! { "attributes.exif.taken_at_local": { "$type": "string" }, "taken_at_local": { "$exists": false } })
        .await
        .map_err(filling)?;
    let local_times = found.map_err(filling).try_filter_map(|stored| {
        future::ready(
            stored
                .into_photo()
                .map(|photo| Some((photo.id, photo.camera_time()?))),
        )
    });
    local_times
        .try_for_each_concurrent(AT_ONCE, |(id, local)| async move {
            photos
                .update_one(
                    doc! { "_id": stored_id(&id), "taken_at_local": { "$exists": false } },
                    doc! { "$set": { "taken_at_local": local_microsecond(local) } },
                )
                .await
                .map(drop)
                .map_err(filling)
        })
        .await
}
