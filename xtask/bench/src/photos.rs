//! JPEGs as cameras write them, of any size, made from the photos that scikit-image and scikit-learn carry.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use image::RgbImage;
use image::imageops;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use lucida_core::{DecodeSize, Picture};
use lucida_picture::{DecodeOptions, Region, ResizeFilter, decode, resize};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

const QUALITY: u8 = 88;
/// How far a pixel lies from what is enlarged at most, as a sensor's noise makes it: without, a large photo would have
/// fewer bytes, and be decoded faster, than any that a camera takes.
const GRAIN: i8 = 6;
/// Drawings, icons and scans of single lines, which no camera makes, are smaller.
const MIN_SOURCE_PIXELS: u32 = 200_000;

/// Takes any photo of the folder.
const OPTIONS: DecodeOptions = DecodeOptions {
    max_pixels: 100_000_000,
    accept_truncated: false,
    size: DecodeSize::FULL,
};

/// Photos to send.
#[derive(Debug, Clone)]
pub(crate) struct Photos {
    jpegs: Vec<Vec<u8>>,
}

impl Photos {
    /// Makes `count` photos of so many megapixels, each of another part of a picture in `folder`, always the same ones.
    pub(crate) fn make(folder: &Path, megapixels: f64, count: usize) -> Result<Self> {
        let sources = sources(folder)?;
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let sources = &sources;
        let strip = move |thread: usize| -> Result<Vec<(usize, Vec<u8>)>> {
            let numbers = (thread..count).step_by(threads);
            numbers
                .map(|number| {
                    Ok((
                        number,
                        photo(&sources[number % sources.len()], number, megapixels)?,
                    ))
                })
                .collect()
        };
        let strips: Result<Vec<_>> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|thread| scope.spawn(move || strip(thread)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| bail!("making a photo failed")))
                .collect()
        });
        let mut numbered = strips?.concat();
        numbered.sort_unstable_by_key(|(number, _)| *number);
        Ok(Self {
            jpegs: numbered.into_iter().map(|(_, jpeg)| jpeg).collect(),
        })
    }

    /// Returns a photo; they repeat.
    pub(crate) fn get(&self, number: usize) -> &[u8] {
        &self.jpegs[number % self.jpegs.len()]
    }

    /// Returns each photo once.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.jpegs.iter().map(Vec::as_slice)
    }

    /// Returns a photo as no other call with another number returns it, by a comment in the file.
    pub(crate) fn distinct(&self, number: usize) -> Vec<u8> {
        let comment = format!("photo {number:020}");
        #[expect(clippy::cast_possible_truncation, reason = "the comment has 26 bytes")]
        let length = (comment.len() as u16 + 2).to_be_bytes();
        let jpeg = self.get(number);
        [&jpeg[..2], &[0xff, 0xfe], &length, comment.as_bytes(), &jpeg[2..]].concat()
    }

    /// Returns how many bytes a photo has on average.
    pub(crate) fn mean_bytes(&self) -> usize {
        self.jpegs.iter().map(Vec::len).sum::<usize>() / self.jpegs.len()
    }
}

fn sources(folder: &Path) -> Result<Vec<RgbImage>> {
    let unreadable = || {
        format!(
            "cannot read {}: run `cargo xtask setup --photos`",
            folder.display()
        )
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jpg" || extension == "png")
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let picture =
            decode(&bytes, &OPTIONS).with_context(|| format!("cannot decode {}", path.display()))?;
        if picture.width() * picture.height() >= MIN_SOURCE_PIXELS {
            sources.push(picture.pixels().clone());
        }
    }
    ensure!(
        !sources.is_empty(),
        "no photo in {}: run `cargo xtask setup --photos`",
        folder.display()
    );
    Ok(sources)
}

/// Cuts a part out of a picture, 70 to 100 percent of each side, mirrored every other time, and resizes it.
fn photo(source: &RgbImage, number: usize, megapixels: f64) -> Result<Vec<u8>> {
    let mut random = SmallRng::seed_from_u64(number as u64);
    let mut part = |whole: u32| {
        let side = random.random_range(whole * 7 / 10..=whole);
        (random.random_range(0..=whole - side), side)
    };
    let ((left, width), (top, height)) = (part(source.width()), part(source.height()));
    let cut = imageops::crop_imm(source, left, top, width, height).to_image();
    let cut = if number % 2 == 1 {
        imageops::flip_horizontal(&cut)
    } else {
        cut
    };
    let scale = (megapixels * 1e6 / (f64::from(width) * f64::from(height))).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides of a picture of some megapixels that is no wider than its source"
    )]
    let scaled = |side: u32| (f64::from(side) * scale).round() as u32;
    let (cut, width, height) = (Picture::new(cut)?, scaled(width), scaled(height));
    let resized = resize(&cut, Region::whole(&cut), width, height, ResizeFilter::Bicubic)?;
    let mut resized = resized.into_pixels();
    if scale > 1.0 {
        for pixel in resized.pixels_mut() {
            let grain = random.random_range(-GRAIN..=GRAIN);
            pixel.0 = pixel.0.map(|channel| channel.saturating_add_signed(grain));
        }
    }
    encode(&resized)
}

/// Encodes with the colours at half the size of the lightness, as cameras do.
fn encode(photo: &RgbImage) -> Result<Vec<u8>> {
    let side = |pixels: u32| u16::try_from(pixels).context("a photo is too large for a JPEG");
    let (width, height) = (side(photo.width())?, side(photo.height())?);
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder
        .encode(photo.as_raw(), width, height, ColorType::Rgb)
        .context("cannot encode a photo")?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with_a_gradient() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let picture = RgbImage::from_fn(640, 480, |x, y| image::Rgb([(x / 3) as u8, (y / 2) as u8, 90]));
        picture.save(folder.path().join("gradient.png")).unwrap();
        folder
    }

    #[test]
    fn photos_have_their_megapixels_and_differ() {
        let folder = folder_with_a_gradient();
        for megapixels in [0.02, 1.0, 3.0] {
            let photos = Photos::make(folder.path(), megapixels, 3).unwrap();
            for number in 0..3 {
                let picture = decode(photos.get(number), &OPTIONS).unwrap();
                let pixels = f64::from(picture.width() * picture.height());
                let wanted = megapixels * 1e6;
                assert!((pixels / wanted - 1.0).abs() < 0.01, "{picture:?}");
            }
            assert_ne!(photos.get(0), photos.get(1));
            let again = Photos::make(folder.path(), megapixels, 3).unwrap();
            assert_eq!(again.jpegs, photos.jpegs);
        }
    }

    #[test]
    fn a_repeated_photo_is_another_file_with_the_same_pixels() {
        let photos = Photos::make(folder_with_a_gradient().path(), 1.0, 1).unwrap();
        let (first, second) = (photos.distinct(0), photos.distinct(1));
        assert_ne!(first, second);
        assert_eq!(
            decode(&first, &OPTIONS).unwrap(),
            decode(&second, &OPTIONS).unwrap()
        );
    }
}
