//! Bringing a blob to the store, in parts where it is large, and taking it back when it does not become whole.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::Fuse;
use lucida_core::{ByteStream, Result};
use opendal::options::WriteOptions;
use opendal::{Buffer, ErrorKind, Operator, Writer};
use tokio::runtime::Handle;

/// An object that is being written; unless it is finished, the store is told to forget its parts.
///
/// OpenDAL holds back the first part until it sees a second: an object of one part is a plain `PUT`.
pub(super) struct Upload {
    /// None once there is nothing left to take back.
    writer: Option<Writer>,
}

impl Upload {
    /// Starts an object, of which `concurrent` parts go up at once.
    pub(super) async fn start(operator: &Operator, path: &str, concurrent: usize) -> opendal::Result<Self> {
        let options = WriteOptions {
            concurrent,
            ..WriteOptions::default()
        };
        let writer = operator.writer_options(path, options).await?;
        Ok(Self { writer: Some(writer) })
    }

    /// Hands over a part; waits while too many are on their way.
    ///
    /// # Errors
    /// That of this part or of one before it; the upload has been given up.
    pub(super) async fn part(mut self, part: Buffer) -> opendal::Result<Self> {
        let handing = async move {
            let handed = match &mut self.writer {
                Some(writer) => writer.write(part).await,
                None => Ok(()),
            };
            self.unless_failed(handed).await
        };
        to_its_end(handing).await
    }

    /// Makes the object of its parts; when it returns, the store has it.
    ///
    /// # Errors
    /// That of any part, or of putting them together; the upload has been given up.
    pub(super) async fn finish(mut self) -> opendal::Result<()> {
        let finishing = async move {
            let finished = match &mut self.writer {
                Some(writer) => writer.close().await.map(drop),
                None => Ok(()),
            };
            let mut upload = self.unless_failed(finished).await?;
            upload.writer = None;
            Ok(())
        };
        to_its_end(finishing).await
    }

    /// Makes the store forget the parts.
    ///
    /// # Errors
    /// When the store can't be told; it keeps the parts until its own rules remove them.
    pub(super) async fn abort(mut self) -> opendal::Result<()> {
        let aborting = async move {
            match self.writer.take() {
                Some(mut writer) => writer.abort().await,
                None => Ok(()),
            }
        };
        to_its_end(aborting).await
    }

    async fn unless_failed(mut self, result: opendal::Result<()>) -> opendal::Result<Self> {
        let Err(error) = result else {
            return Ok(self);
        };
        if let Some(mut writer) = self.writer.take() {
            // The first error is the one to tell.
            let _ = writer.abort().await;
        }
        Err(error)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut writer) = self.writer.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { writer.abort().await });
        }
    }
}

/// Goes on also when the caller has gone away: a request for a multipart upload that was cut off would leave one
/// that nobody knows the name of.
async fn to_its_end<T: Send + 'static>(
    step: impl Future<Output = opendal::Result<T>> + Send + 'static,
) -> opendal::Result<T> {
    tokio::spawn(step).await.unwrap_or_else(|error| {
        Err(opendal::Error::new(ErrorKind::Unexpected, "an upload stopped").set_source(error))
    })
}

/// A body cut into parts of one size; only the last is shorter.
pub(super) struct Parts {
    body: Fuse<ByteStream>,
    part_bytes: usize,
    /// What was beyond the last part.
    rest: Bytes,
}

impl Parts {
    pub(super) fn of(body: ByteStream, part_bytes: usize) -> Self {
        Self {
            body: body.fuse(),
            part_bytes,
            rest: Bytes::new(),
        }
    }

    /// Gathers the next part, without copying; none after the last.
    ///
    /// # Errors
    /// The body's own.
    pub(super) async fn next(&mut self) -> Result<Option<Buffer>> {
        let mut pieces = Vec::new();
        let mut gathered = 0;
        while gathered < self.part_bytes {
            let mut piece = std::mem::take(&mut self.rest);
            // OpenDAL reads no further than an empty piece.
            while piece.is_empty() {
                match self.body.next().await.transpose()? {
                    Some(more) => piece = more,
                    None => return Ok(part(pieces)),
                }
            }
            let room = self.part_bytes - gathered;
            if piece.len() > room {
                self.rest = piece.split_off(room);
            }
            gathered += piece.len();
            pieces.push(piece);
        }
        Ok(part(pieces))
    }
}

fn part(pieces: Vec<Bytes>) -> Option<Buffer> {
    (!pieces.is_empty()).then(|| Buffer::from(pieces))
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use lucida_core::Error;

    use super::*;

    async fn cut(pieces: &[&'static [u8]], part_bytes: usize) -> Vec<Vec<u8>> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        let mut parts = Parts::of(stream::iter(pieces).boxed(), part_bytes);
        let mut cut = Vec::new();
        while let Some(part) = parts.next().await.unwrap() {
            cut.push(part.to_vec());
        }
        cut
    }

    #[tokio::test]
    async fn all_parts_but_the_last_have_the_size() {
        assert_eq!(cut(&[b"abcdefgh"], 3).await, [&b"abc"[..], b"def", b"gh"]);
        assert_eq!(
            cut(&[b"a", b"", b"bc", b"defg", b"h"], 4).await,
            [b"abcd", b"efgh"]
        );
        assert_eq!(cut(&[b"ab"], 8).await, [b"ab"]);
        assert_eq!(cut(&[b"", b""], 8).await, Vec::<Vec<u8>>::new());
    }

    #[tokio::test]
    async fn a_body_that_fails_fails_its_part() {
        let pieces = [
            Ok(Bytes::from_static(b"abcd")),
            Err(Error::invalid("the upload stopped")),
        ];
        let mut parts = Parts::of(stream::iter(pieces).boxed(), 3);
        assert_eq!(parts.next().await.unwrap().unwrap().to_vec(), b"abc");
        let error = parts.next().await.unwrap_err();
        assert_eq!(error.message(), "the upload stopped");
    }
}
