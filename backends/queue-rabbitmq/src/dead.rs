//! The dead letters: reading them takes them out of their queue and puts them back.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lapin::Channel;
use lapin::message::Delivery as Received;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions,
    BasicQosOptions,
};
use lapin::types::FieldTable;
use lucida_core::{DeadLetter, Error, PhotoId, Result};
use tokio::time::timeout;

use crate::error::is_locked;
use crate::message::Letter;
use crate::session::Session;
use crate::topology::DEAD_LETTERS;

/// How long the next letter may take to come; there may be fewer than there were a moment ago.
const NEXT_LETTER: Duration = Duration::from_secs(1);

/// When to come again while another process looks at the letters.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Returns the oldest letters, `limit` at most.
pub(crate) async fn list(session: &Arc<Session>, limit: usize) -> Result<Vec<DeadLetter>> {
    look(session, limit, None).await
}

/// Removes a photo's letters, and returns them.
pub(crate) async fn remove(session: &Arc<Session>, photo_id: PhotoId) -> Result<Vec<DeadLetter>> {
    let all = usize::from(DEAD_LETTERS);
    let mut letters = look(session, all, Some(photo_id)).await?;
    letters.retain(|letter| letter.job.photo_id == photo_id);
    Ok(letters)
}

/// Looks at the oldest letters, and removes those of one photo. It goes on to its end when its caller is gone, so that
/// the letters are put back in their order and the lock is released.
async fn look(session: &Arc<Session>, limit: usize, remove: Option<PhotoId>) -> Result<Vec<DeadLetter>> {
    let session = Arc::clone(session);
    let looking = tokio::spawn(async move {
        let _alone = session.dead.lock().await;
        let failed = |error| session.failed("reading the dead letters", &error);
        let channel = session.receiving.take().await.map_err(failed)?;
        session.topology.lock_dead(&channel).await.map_err(|error| {
            if is_locked(&error) {
                let message = "another process is reading the dead letters: try again";
                return Error::overloaded(message, RETRY_AFTER);
            }
            failed(error)
        })?;
        let taken = take(&session, &channel, limit).await.map_err(failed)?;
        let mut letters = Vec::with_capacity(taken.len());
        for received in taken {
            let letter = Letter::read(&received.data);
            let tag = received.delivery_tag;
            let is_removed = letter.as_ref().is_some_and(|letter| Some(letter.job.photo_id) == remove);
            let done = if is_removed {
                channel.basic_ack(tag, BasicAckOptions::default()).await
            } else {
                // One by one: a quorum queue puts back many at once in any order.
                let back = BasicNackOptions {
                    requeue: true,
                    ..BasicNackOptions::default()
                };
                channel.basic_nack(tag, back).await
            };
            done.map_err(failed)?;
            letters.extend(letter);
        }
        session.topology.unlock_dead(&channel).await.map_err(failed)?;
        // Its prefetch is not that of the others.
        channel.close(200, "done".into()).await.map_err(failed)?;
        Ok(letters)
    });
    let looked = looking.await;
    looked.map_err(|error| Error::internal("reading the dead letters stopped").with_source(error))?
}

/// Takes out up to `limit` letters, the oldest first.
async fn take(session: &Session, channel: &Channel, limit: usize) -> lapin::Result<Vec<Received>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let queue = session.topology.dead();
    let Some(first) = channel.basic_get(queue.clone(), BasicGetOptions::default()).await? else {
        return Ok(Vec::new());
    };
    let left = usize::try_from(first.message_count).unwrap_or(usize::MAX);
    let more = left.min(limit - 1).min(usize::from(DEAD_LETTERS));
    let mut taken = vec![first.delivery];
    let Some(prefetch) = u16::try_from(more).ok().filter(|more| *more > 0) else {
        return Ok(taken);
    };
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consuming = channel.basic_consume(queue, "".into(), options, FieldTable::default());
    let mut consumer = consuming.await?;
    while taken.len() <= more {
        match timeout(NEXT_LETTER, consumer.next()).await {
            Ok(Some(received)) => taken.push(received?),
            Ok(None) | Err(_) => break,
        }
    }
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
    Ok(taken)
}
