//! Writes split into requests of a size that servers and proxies take.

use lucida_core::Point;
use prost::Message;
use qdrant_client::qdrant::PointStruct;

use crate::point;

/// How many points go into one request at most; a server in strict mode may refuse more than 1000.
pub(crate) const BATCH_POINTS: usize = 500;
/// How large a request with points may be: far below the 32 MiB that proxies before a server allow.
const BATCH_BYTES: usize = 8 << 20;

/// Splits points into requests of no more than [`BATCH_POINTS`] points and about [`BATCH_BYTES`].
pub(crate) struct Batches<'a> {
    left: &'a [Point],
}

impl<'a> Batches<'a> {
    pub(crate) fn of(points: &'a [Point]) -> Self {
        Self { left: points }
    }
}

impl Iterator for Batches<'_> {
    type Item = Vec<PointStruct>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for point in self.left.iter().take(BATCH_POINTS) {
            let point = point::to_server(point);
            bytes += point.encoded_len();
            if bytes > BATCH_BYTES && !batch.is_empty() {
                break;
            }
            batch.push(point);
        }
        self.left = &self.left[batch.len()..];
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use lucida_core::PhotoId;
    use lucida_testkit::{point, user};

    use super::*;
    use crate::point::photo_id;

    #[test]
    fn batches_are_bounded_in_points_and_bytes_and_lose_none() {
        let small = || point(PhotoId::generate(), &user("alice"), vec![1.0]);
        let large = || point(PhotoId::generate(), &user("alice"), vec![1.0; BATCH_BYTES / 16]);
        for (points, sizes) in [
            (Vec::new(), vec![]),
            ((0..1_001).map(|_| small()).collect::<Vec<_>>(), vec![500, 500, 1]),
            ((0..7).map(|_| large()).collect(), vec![3, 3, 1]),
            (
                vec![point(PhotoId::generate(), &user("alice"), vec![1.0; BATCH_BYTES])],
                vec![1],
            ),
        ] {
            let batches: Vec<_> = Batches::of(&points).collect();
            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            let sent: Vec<_> = batches
                .into_iter()
                .flatten()
                .map(|point| photo_id(point.id).unwrap())
                .collect();
            let given: Vec<_> = points.iter().map(|point| point.photo_id).collect();
            assert_eq!(sent, given);
        }
    }
}
