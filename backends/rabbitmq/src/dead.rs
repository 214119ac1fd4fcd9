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
use lapin::types::{DeliveryTag, FieldTable};
use lucida_core::{DeadLetter, Error, PhotoId, Result};
use tokio::time::{Instant, timeout};

use crate::error::is_locked;
use crate::message::Letter;
use crate::session::Session;
use crate::topology::{DEAD_LETTERS, count};

/// How long the next letter may take to come; there may be fewer than there were a moment ago.
const NEXT_LETTER: Duration = Duration::from_secs(1);

/// How many letters are put back before they are seen to be back; RabbitMQ's own limit is 32.
const AT_A_TIME: usize = 16;

/// How long to wait before looking again whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// When to come again while another process looks at the letters.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Returns the oldest letters, `limit` at most.
pub(crate) async fn list(session: &Arc<Session>, limit: usize) -> Result<Vec<DeadLetter>> {
    let mut letters = look(session, None).await?;
    letters.truncate(limit);
    Ok(letters)
}

/// Removes a photo's letters, and returns them.
pub(crate) async fn remove(session: &Arc<Session>, photo_id: PhotoId) -> Result<Vec<DeadLetter>> {
    let mut letters = look(session, Some(photo_id)).await?;
    letters.retain(|letter| letter.job.photo_id == photo_id);
    Ok(letters)
}

/// Looks at all letters, and removes those of one photo. All, since a quorum queue puts what comes back behind what
/// came back before: only who puts all back keeps their order. It goes on to its end when its caller is gone, so that
/// the letters are put back and the lock is released.
async fn look(session: &Arc<Session>, remove: Option<PhotoId>) -> Result<Vec<DeadLetter>> {
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
        let taken = take(&session, &channel).await.map_err(failed)?;
        let mut letters = Vec::with_capacity(taken.len());
        let mut back = Vec::with_capacity(taken.len());
        for received in taken {
            let letter = Letter::read(&received.data);
            let tag = received.delivery_tag;
            if letter
                .as_ref()
                .is_some_and(|letter| Some(letter.job.photo_id) == remove)
            {
                channel
                    .basic_ack(tag, BasicAckOptions::default())
                    .await
                    .map_err(failed)?;
            } else {
                back.push(tag);
            }
            letters.extend(letter);
        }
        put_back(&session, &channel, &back).await.map_err(failed)?;
        session.topology.unlock_dead(&channel).await.map_err(failed)?;
        // Its prefetch is not that of the others.
        channel.close(200, "done".into()).await.map_err(failed)?;
        Ok(letters)
    });
    let looked = looking.await;
    looked.map_err(|error| Error::internal("reading the dead letters stopped").with_source(error))?
}

/// Takes all letters out, the oldest first.
async fn take(session: &Session, channel: &Channel) -> lapin::Result<Vec<Received>> {
    let queue = session.topology.dead();
    let Some(first) = channel
        .basic_get(queue.clone(), BasicGetOptions::default())
        .await?
    else {
        return Ok(Vec::new());
    };
    let more = u16::try_from(first.message_count)
        .unwrap_or(u16::MAX)
        .min(DEAD_LETTERS);
    let mut taken = vec![first.delivery];
    if more == 0 {
        return Ok(taken);
    }
    channel.basic_qos(more, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consuming = channel.basic_consume(queue, "".into(), options, FieldTable::default());
    let mut consumer = consuming.await?;
    while taken.len() <= usize::from(more) {
        match timeout(NEXT_LETTER, consumer.next()).await {
            Ok(Some(received)) => taken.push(received?),
            Ok(None) | Err(_) => break,
        }
    }
    channel
        .basic_cancel(consumer.tag(), BasicCancelOptions::default())
        .await?;
    Ok(taken)
}

/// Puts letters back in their order: one by one, since a quorum queue takes back many at once in any order, and a few
/// at a time, since a channel holds back what goes beyond, and leaves it to the queue when it is closed.
async fn put_back(session: &Session, channel: &Channel, tags: &[DeliveryTag]) -> lapin::Result<()> {
    let queue = session.topology.dead();
    let mut expected = count(channel, queue.clone()).await?;
    for tags in tags.chunks(AT_A_TIME) {
        for tag in tags {
            let options = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            channel.basic_nack(*tag, options).await?;
        }
        expected += tags.len() as u64;
        let deadline = Instant::now() + NEXT_LETTER;
        while count(channel, queue.clone()).await? < expected && Instant::now() < deadline {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}
