//! Damaged files: whatever bytes come, reading them neither fails nor panics.

mod support;

use exif::Tag;
use lucida_plugin_exif::ExifPlugin;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{block, byte, jpeg, png, rationals, short, text, webp};

const ROUNDS: usize = 4_000;

fn whole_files() -> Vec<Vec<u8>> {
    let fields = [
        text(Tag::Make, "Maker"),
        text(Tag::Model, "Model"),
        short(Tag::Orientation, 3),
        text(Tag::DateTimeOriginal, "2024:07:03 14:05:06"),
        text(Tag::SubSecTimeOriginal, "123"),
        text(Tag::OffsetTimeOriginal, "+02:00"),
        rationals(Tag::ExposureTime, &[(1, 100)]),
        short(Tag::PhotographicSensitivity, 200),
        text(Tag::GPSLatitudeRef, "N"),
        rationals(Tag::GPSLatitude, &[(52, 1), (31, 1), (12, 1)]),
        text(Tag::GPSLongitudeRef, "E"),
        rationals(Tag::GPSLongitude, &[(13, 1), (24, 1), (17, 1)]),
        byte(Tag::GPSAltitudeRef, 0),
        rationals(Tag::GPSAltitude, &[(34, 1)]),
        text(Tag::GPSDateStamp, "2024:07:03"),
        rationals(Tag::GPSTimeStamp, &[(12, 1), (5, 1), (6, 1)]),
    ];
    let mut files = Vec::new();
    for little_endian in [true, false] {
        let block = block(&fields, little_endian);
        files.push(jpeg(&block));
        files.push(png(&block));
        files.push(webp(&block, b"Exif\0\0"));
        files.push(block);
    }
    files
}

/// Damages a file in one of the ways that happen.
fn damaged(mut file: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    // The interesting bytes are at the front: the containers' heads and the block.
    let reach = file.len().min(700);
    match random.random_range(0..4) {
        0 => file.truncate(random.random_range(0..file.len())),
        1 => {
            let from = random.random_range(0..reach);
            let to = (from + random.random_range(1..20)).min(file.len());
            file.drain(from..to);
        }
        2 => {
            let at = random.random_range(0..reach);
            let length = random.random_range(1..20);
            file.splice(at..at, (0..length).map(|_| random.random::<u8>()));
        }
        _ => {
            for _ in 0..random.random_range(1..12) {
                let at = random.random_range(0..reach);
                // Extreme values are what lengths and offsets stumble over.
                file[at] = *[0, 1, 0x7f, 0x80, 0xff, random.random()]
                    .get(random.random_range(0..6))
                    .unwrap_or(&0);
            }
        }
    }
    file
}

#[test]
fn damaged_files_never_panic_and_sound_parts_are_still_read() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let plugin = ExifPlugin::default();
    let files = whole_files();
    let mut still_read = 0;
    for round in 0..ROUNDS {
        let file = damaged(files[round % files.len()].clone(), &mut random);
        let found = plugin.read(&file);
        if let Some(attributes) = &found.attributes {
            assert!(attributes.as_object().is_some_and(|fields| !fields.is_empty()));
            still_read += 1;
        }
    }
    assert!(
        still_read > ROUNDS / 20 && still_read < ROUNDS,
        "{still_read} of {ROUNDS} damaged files gave attributes: the damage tests nothing"
    );
}

#[test]
fn noise_never_panics() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let starts: [&[u8]; 6] = [
        b"",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
        b"\xff\xd8\xff\xe1\x01\x00Exif\0\0II*\0\x08\0\0\0",
        b"\x89PNG\r\n\x1a\n\0\0\0\x50eXIfMM\0*\0\0\0\x08",
        b"RIFF\xff\xff\xff\x7fWEBPEXIF\x80\0\0\0II*\0\x08\0\0\0",
    ];
    for round in 0..ROUNDS {
        let mut file = starts[round % starts.len()].to_vec();
        let length = random.random_range(0..400);
        file.extend((0..length).map(|_| random.random::<u8>()));
        // Nothing is to be expected of noise but an answer.
        let _answer = ExifPlugin::default().read(&file);
    }
}

#[test]
fn a_block_that_refers_to_itself_is_read_once() {
    // One directory with one entry, whose next directory is itself.
    let mut file = b"II*\0\x08\0\0\0\x01\0".to_vec();
    file.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0]);
    file.extend(8_u32.to_le_bytes());
    let found = ExifPlugin::default().read(&file);
    let orientation = found
        .attributes
        .map(|attributes| attributes["orientation"].clone());
    assert!(orientation.is_none() || orientation == Some(6.into()));
}
