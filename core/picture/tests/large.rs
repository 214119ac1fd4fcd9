//! Photos of up to 250 megapixels, the largest that are taken, are decoded in a small part of the memory that they would
//! fill.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lucida_core::DecodeSize;
use std::process::Command;

use lucida_picture::{DecodeOptions, ImageHeader, decode};

const WIDTH: u32 = 16_000;
const HEIGHT: u32 = 15_625;

/// What a server asks for that makes previews of 1,280 pixels.
const OPTIONS: DecodeOptions = DecodeOptions {
    max_pixels: 250_000_000,
    accept_truncated: false,
    size: DecodeSize::short_side(1_280),
};

/// The picture has 750 MB at full size, and 12 MB at an eighth.
const MAX_PEAK_BYTES: usize = 160 << 20;

/// Set in a child that has its process to itself, since other tests take memory, too.
const ALONE: &str = "LUCIDA_TEST_ALONE";

/// Runs `check` in a process of its own, whose peak is measured after it.
fn alone(name: &str, check: impl FnOnce()) {
    if std::env::var_os(ALONE).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let ended = child.args(["--exact", name]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    check();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: usize = peak.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib * 1024 <= MAX_PEAK_BYTES, "the peak is {kib} KiB");
}

#[track_caller]
fn is_decoded_small(file: &[u8], (width, height): (u32, u32), grey: u8) {
    let header = ImageHeader::read(file, OPTIONS.max_pixels).unwrap();
    assert_eq!(
        (header.width, header.height, header.complete),
        (WIDTH, HEIGHT, true)
    );
    let picture = decode(file, &OPTIONS).unwrap();
    assert_eq!(
        (picture.width(), picture.height()),
        (width.div_ceil(8), height.div_ceil(8))
    );
    assert!(picture.pixels().iter().all(|value| *value == grey));
}

#[test]
fn a_jpeg_of_250_megapixels() {
    alone("a_jpeg_of_250_megapixels", || {
        let mut file = Vec::new();
        jpeg_encoder::Encoder::new(&mut file, 50)
            .encode(&[128; 64], 8, 8, jpeg_encoder::ColorType::Luma)
            .unwrap();
        let find = |marker: u8| file.windows(2).position(|bytes| bytes == [0xFF, marker]).unwrap();
        let (frame, scan) = (find(0xC0), find(0xDA));
        file[frame + 5..frame + 7].copy_from_slice(&u16::try_from(HEIGHT).unwrap().to_be_bytes());
        file[frame + 7..frame + 9].copy_from_slice(&u16::try_from(WIDTH).unwrap().to_be_bytes());
        file.truncate(scan + 2 + 8);
        // A block without a change is `00` and `1010` in the usual tables: four of them are three bytes.
        let blocks = WIDTH.div_ceil(8) * HEIGHT.div_ceil(8);
        file.extend([0x28, 0xA2, 0x8A].repeat(blocks as usize / 4));
        file.extend([0xFF, 0xD9]);
        is_decoded_small(&file, (WIDTH, HEIGHT), 128);
    });
}

/// Fewer pixels than above, which take too long in an unoptimised build; whole they have 200 MB, and twice that while
/// they are separated from their opacity.
#[test]
fn a_png_of_66_megapixels() {
    alone("a_png_of_66_megapixels", || {
        let (width, height) = (10_300, 6_500);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_compression(png::Compression::Fastest);
        let mut writer = encoder.write_header().unwrap();
        let mut rows = writer.stream_writer().unwrap();
        let row = [200].repeat(width as usize);
        for _ in 0..height {
            std::io::Write::write_all(&mut rows, &row).unwrap();
        }
        rows.finish().unwrap();
        drop(writer);
        let options = DecodeOptions {
            size: DecodeSize::short_side(800),
            ..OPTIONS
        };
        let picture = decode(&file, &options).unwrap();
        assert_eq!((picture.width(), picture.height()), (1_288, 813));
        assert!(picture.pixels().iter().all(|value| *value == 200));
    });
}

#[test]
fn what_is_larger_names_the_setting() {
    let mut file = b"BM".to_vec();
    file.extend([0; 8]);
    file.extend(54_u32.to_le_bytes());
    file.extend(40_u32.to_le_bytes());
    file.extend(20_000_u32.to_le_bytes());
    file.extend(20_000_u32.to_le_bytes());
    file.extend([1, 0, 24, 0]);
    file.extend([0; 24]);
    let error = decode(&file, &OPTIONS).unwrap_err();
    assert_eq!(error.code(), "too_many_pixels");
    assert!(error.message().contains("ingest.max_pixels"), "{error}");
}
