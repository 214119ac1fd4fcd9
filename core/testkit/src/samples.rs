//! Sample users, photos, points and pictures.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use image::RgbImage;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use lucida_core::{
    BlobKey, CollectionName, ContentHash, Fingerprint, Photo, PhotoId, PhotoState, Picture, Point, UserId,
    VectorIndex,
};

/// Makes a user.
///
/// # Panics
/// When the name is not a valid one.
#[must_use]
pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Makes a pending photo with a new id and a content of its own; its times are whole microseconds.
///
/// # Panics
/// Never: the clock is within the range of timestamps.
#[must_use]
pub fn photo(user: &UserId) -> Photo {
    let id = PhotoId::generate();
    let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap();
    Photo {
        id,
        user_id: user.clone(),
        state: PhotoState::Pending,
        filename: Some("photo.jpg".to_owned()),
        content_type: "image/jpeg".to_owned(),
        size_bytes: 12_345,
        width: 640,
        height: 480,
        hash: ContentHash::of(id.to_string().as_bytes()),
        created_at: now,
        updated_at: now,
        taken_at: None,
        taken_at_local: None,
        tags: BTreeSet::new(),
        attributes: BTreeMap::new(),
        fingerprint: None,
        attempts: 0,
        error: None,
        next_attempt_at: None,
        blob: BlobKey::original(&id),
        derived: BTreeMap::new(),
        version: 1,
    }
}

/// Makes a point without a time or tags.
#[must_use]
pub fn point(photo_id: PhotoId, user: &UserId, vector: Vec<f32>) -> Point {
    Point {
        photo_id,
        vector,
        user_id: user.clone(),
        taken_at: None,
        taken_at_local: None,
        tags: BTreeSet::new(),
    }
}

/// Makes a random unit vector, always the same of a seed.
#[must_use]
pub fn unit_vector(dimensions: usize, seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    // A sum of uniform numbers is close enough to normal for directions that are spread evenly.
    let vector: Vec<f32> = (0..dimensions)
        .map(|_| (0..6).map(|_| random.random_range(-1.0_f32..1.0)).sum())
        .collect();
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / norm).collect()
}

/// Returns the name of a collection of this index, one for each `label`.
///
/// # Panics
/// When the index's alias is not a valid name.
#[must_use]
pub fn collection(index: &dyn VectorIndex, label: &str) -> CollectionName {
    let fingerprint = Fingerprint::derive(label, b"weights", "1");
    CollectionName::for_fingerprint(index.alias_name(), &fingerprint).unwrap()
}

/// Draws a picture of one colour with a little texture.
///
/// # Panics
/// When a side is 0.
#[must_use]
pub fn picture(width: u32, height: u32, colour: [u8; 3]) -> Arc<Picture> {
    Arc::new(Picture::new(pixels(width, height, colour)).unwrap())
}

/// Draws the same picture as a JPEG file.
///
/// # Panics
/// When a side is 0 or above 65,535.
#[must_use]
pub fn jpeg(width: u32, height: u32, colour: [u8; 3]) -> Bytes {
    let mut file = Cursor::new(Vec::new());
    pixels(width, height, colour)
        .write_to(&mut file, image::ImageFormat::Jpeg)
        .unwrap();
    file.into_inner().into()
}

fn pixels(width: u32, height: u32, colour: [u8; 3]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let darker = if (x / 8 + y / 8) % 2 == 0 { 0 } else { 6 };
        image::Rgb(colour.map(|channel| channel.saturating_sub(darker)))
    })
}
