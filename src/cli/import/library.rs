//! An import into a library that this process opened itself.

use async_trait::async_trait;
use futures::StreamExt as _;
use lucida_core::{Error, ErrorKind, Photo, PhotoId, PhotoState, UserId};
use lucida_library::{Photos, UploadDetails, Uploaded};
use std::time::Duration;

use super::file::{Fault, Opened, Refusal};
use super::target::{Details, Standing, TakeError, Taken, Target};

/// A library on this machine, and whose photos the files become.
pub(super) struct Library {
    pub(super) photos: Photos,
    pub(super) user: UserId,
}

#[async_trait]
impl Target for Library {
    async fn take(&self, file: Opened, details: Details) -> Result<Taken, TakeError> {
        let mut spool = self.photos.spool().await.map_err(TakeError::Target)?;
        let fault = Fault::default();
        let mut pieces = Box::pin(file.pieces(fault.clone()));
        while let Some(piece) = pieces.next().await {
            match (piece, fault.get()) {
                (Ok(piece), _) => spool.write(piece).await.map_err(TakeError::Target)?,
                (Err(_), Some(refusal)) => return Err(TakeError::File(refusal)),
                (Err(error), None) => return Err(TakeError::Target(Error::from(error))),
            }
        }
        let details = UploadDetails {
            filename: Some(details.filename),
            tags: details.tags,
            ..UploadDetails::default()
        };
        let uploaded = self.photos.upload(&self.user, spool, details).await;
        let uploaded = uploaded.map_err(|error| match error.kind() {
            ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Overloaded
            | ErrorKind::PermissionDenied
            | ErrorKind::ConfigInvalid => TakeError::Target(error),
            ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::Conflict
            | ErrorKind::Internal => TakeError::File(error.into()),
        })?;
        let is_new = matches!(uploaded, Uploaded::New(_));
        Ok(Taken {
            id: uploaded.photo().id,
            is_new,
            standing: standing(uploaded.photo()),
        })
    }

    async fn look(&self, id: &PhotoId) -> Result<Option<Standing>, Error> {
        match self.photos.wait_until_settled(id, Duration::ZERO).await {
            Ok(photo) => Ok(Some(standing(&photo))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(Standing::Gone)),
            Err(error) => Err(error),
        }
    }
}

fn standing(photo: &Photo) -> Standing {
    let error = photo.error.as_ref();
    match photo.state {
        PhotoState::Ready => Standing::Ready,
        PhotoState::Deleting => Standing::Gone,
        PhotoState::Pending => Standing::Waiting(error.map(|error| error.message.clone())),
        PhotoState::Failed => {
            let error = error.map(|error| Refusal::new(error.code.clone(), error.message.clone()));
            Standing::Failed(Refusal::of_failed_photo(error))
        }
    }
}
