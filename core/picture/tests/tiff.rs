//! TIFF in the forms that programs write it: each gives the picture's own pixels.
//!
//! The files are written here, value by value, so that what is expected does not come from a decoder.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod tiff_files;

use lucida_core::{DecodeSize, ErrorKind, Picture};
use lucida_picture::{DecodeOptions, decode, for_people};
use tiff_files::{Form, HEIGHT, Tiff, WIDTH, bits, colour, packed};

const OPTIONS: DecodeOptions = DecodeOptions {
    max_pixels: 1_000_000,
    accept_truncated: false,
    size: DecodeSize::FULL,
};

/// What two ways of rounding a conversion of colours may differ by.
const ROUNDING: u8 = 2;

#[track_caller]
fn pixels(file: &[u8]) -> Vec<[u8; 3]> {
    let picture = decode(file, &OPTIONS).unwrap();
    let picture = picture.pixels();
    picture.pixels().map(|pixel| pixel.0).collect()
}

fn expected() -> Vec<[u8; 3]> {
    (0..HEIGHT)
        .flat_map(|y| (0..WIDTH).map(move |x| colour(x, y)))
        .collect()
}

fn greys(values: impl IntoIterator<Item = u8>) -> Vec<[u8; 3]> {
    values.into_iter().map(|value| [value; 3]).collect()
}

/// `(HEIGHT × WIDTH × 3)` samples.
fn rgb() -> Vec<u8> {
    expected().concat()
}

#[test]
fn rgb_is_the_same_however_it_is_stored() {
    for compression in [1, 5, 8, 32946, 32773, 50000] {
        for form in Form::all() {
            for depth in [8, 16] {
                for predictor in [1, 2] {
                    let mut tiff = Tiff::new(form, 2, depth, 3);
                    tiff.compression = compression;
                    tiff.predictor = predictor;
                    let samples: Vec<u64> = rgb()
                        .iter()
                        .map(|value| u64::from(*value) * if depth == 16 { 257 } else { 1 })
                        .collect();
                    let file = tiff.write(&samples);
                    let what =
                        format!("{form:?}, compression {compression}, {depth} bits, predictor {predictor}");
                    assert_eq!(pixels(&file), expected(), "{what}");
                }
            }
        }
    }
}

#[test]
fn grey_of_few_bits_is_spread_over_the_range() {
    for depth in [1, 2, 4, 8] {
        let largest = (1_u64 << depth) - 1;
        let samples: Vec<u64> = (0..WIDTH * HEIGHT)
            .map(|at| at as u64 * 3 % (largest + 1))
            .collect();
        let scaled = |value: &u64| u8::try_from(value * 255 / largest).unwrap();
        for form in Form::all() {
            let black = Tiff::new(form, 1, depth, 1).write(&samples);
            assert_eq!(
                pixels(&black),
                greys(samples.iter().map(scaled)),
                "{form:?}, {depth} bits"
            );
            let white = Tiff::new(form, 0, depth, 1).write(&samples);
            let inverted = samples.iter().map(|value| 255 - scaled(value));
            assert_eq!(
                pixels(&white),
                greys(inverted),
                "white is 0, {form:?}, {depth} bits"
            );
        }
    }
}

#[test]
fn bits_in_reversed_order_are_put_right() {
    let samples: Vec<u64> = (0..WIDTH * HEIGHT).map(|at| at as u64 % 2).collect();
    let mut tiff = Tiff::new(Form::default(), 1, 1, 1);
    tiff.is_bit_reversed = true;
    let file = tiff.write(&samples);
    assert_eq!(
        pixels(&file),
        greys(samples.iter().map(|value| u8::try_from(value * 255).unwrap()))
    );
}

#[test]
fn a_palette_of_any_depth_gives_its_colours() {
    for depth in [1, 2, 4, 8] {
        let count = 1_usize << depth;
        let palette: Vec<[u8; 3]> = (0..count).map(|at| colour(at % WIDTH, at % HEIGHT)).collect();
        let samples: Vec<u64> = (0..WIDTH * HEIGHT).map(|at| (at * 7 % count) as u64).collect();
        let looked_up: Vec<_> = samples
            .iter()
            .map(|index| palette[usize::try_from(*index).unwrap()])
            .collect();
        let mut tiff = Tiff::new(Form::default(), 3, depth, 1);
        tiff.palette = palette;
        assert_eq!(pixels(&tiff.write(&samples)), looked_up, "{depth} bits");
    }
}

#[test]
fn deep_grey_is_scaled_and_small_values_are_kept_as_pillow_keeps_them() {
    let count = WIDTH * HEIGHT;
    let deep: Vec<u64> = (0..count).map(|at| (at * 65_535 / (count - 1)) as u64).collect();
    let file = Tiff::new(Form::default(), 1, 16, 1).write(&deep);
    let scaled = deep
        .iter()
        .map(|value| u8::try_from((value + 128) / 257).unwrap());
    assert_eq!(pixels(&file), greys(scaled));

    let twelve: Vec<u64> = (0..count).map(|at| (at * 4_095 / (count - 1)) as u64).collect();
    let file = Tiff::new(Form::default(), 1, 12, 1).write(&twelve);
    let scaled = twelve
        .iter()
        .map(|value| u8::try_from((value * 510 + 4_095) / 8_190).unwrap());
    assert_eq!(pixels(&file), greys(scaled));

    let small: Vec<u64> = (0..count).map(|at| at as u64 * 10).collect();
    let file = Tiff::new(Form::default(), 1, 16, 1).write(&small);
    assert_eq!(
        pixels(&file),
        greys(small.iter().map(|value| u8::try_from(*value).unwrap()))
    );

    let mut signed = Tiff::new(Form::default(), 1, 16, 1);
    signed.format = 2;
    let file = signed.write(&[5, 0xFFFF, 300, 255].repeat(count / 4));
    assert_eq!(
        pixels(&file),
        greys([5, 0, 255, 255].repeat(count / 4)),
        "-1 and 300 are cut off"
    );

    for depth in [32, 64] {
        let mut float = Tiff::new(Form::default(), 1, depth, 1);
        float.format = 3;
        let values = [0.0_f32, 12.7, 255.0, 999.0].map(|value| match depth {
            32 => u64::from(value.to_bits()),
            _ => f64::from(value).to_bits(),
        });
        let file = float.write(&values.repeat(count / 4));
        assert_eq!(
            pixels(&file),
            greys([0, 12, 255, 255].repeat(count / 4)),
            "{depth} bits"
        );
    }
}

#[test]
fn a_picture_with_small_values_is_not_black_to_people() {
    let values: Vec<u64> = (0..WIDTH * HEIGHT).map(|at| at as u64 * 100).collect();
    let file = Tiff::new(Form::default(), 1, 16, 1).write(&values);
    let picture = decode(&file, &OPTIONS).unwrap();
    assert!(
        picture.pixels().pixels().all(|pixel| pixel[0] <= 8),
        "as models see it"
    );
    let shown = for_people(&picture, picture.width(), picture.height()).unwrap();
    let shown: Vec<u8> = shown.pixels().pixels().map(|pixel| pixel[0]).collect();
    let brightest = values.last().unwrap();
    let expected: Vec<u8> = values
        .iter()
        .map(|value| u8::try_from((value * 510 + brightest) / (2 * brightest)).unwrap())
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn deep_colours_with_small_values_are_not_black_to_people() {
    let count = WIDTH * HEIGHT;
    let colours: [[u64; 3]; 4] = [[200, 20, 20], [20, 200, 20], [20, 20, 200], [255, 255, 255]];
    let expected: [[u8; 3]; 4] = [[200, 20, 20], [20, 200, 20], [20, 20, 200], [255; 3]];
    for (form, alpha) in Form::all().flat_map(|form| [(form, None), (form, Some(65_535))]) {
        let samples: Vec<u64> = colours
            .iter()
            .flat_map(|colour| colour.iter().copied().chain(alpha))
            .collect();
        let file = Tiff::new(form, 2, 16, samples.len() / 4).write(&samples.repeat(count / 4));
        let picture = decode(&file, &OPTIONS).unwrap();
        assert!(
            picture.pixels().iter().all(|value| *value <= 1),
            "as models see it"
        );
        let shown = for_people(&picture, picture.width(), picture.height()).unwrap();
        let shown: Vec<[u8; 3]> = shown.pixels().pixels().map(|pixel| pixel.0).collect();
        assert_eq!(shown, expected.repeat(count / 4), "{form:?}, opacity {alpha:?}");
    }
    let bright = Tiff::new(Form::default(), 2, 16, 3).write(&[9_000, 20, 20].repeat(count));
    let picture = decode(&bright, &OPTIONS).unwrap();
    assert_eq!(picture.brightened(), None, "dark, but to be seen");
}

#[test]
fn inks_lab_and_luma_become_colours() {
    let count = WIDTH * HEIGHT;
    let inks = [[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 128]];
    let file = Tiff::new(Form::default(), 5, 8, 4).write(&inks.as_flattened().repeat(count / 4));
    let colours = [[255, 255, 255], [0, 255, 255], [255, 0, 0], [127, 127, 127]];
    assert_eq!(pixels(&file), colours.repeat(count / 4));

    // What colour pickers give for these in CIE L*a*b* under D50, as L × 2.55 and two's complement.
    let labs = [[255, 0, 0], [0, 0, 0], [138, 81, 70], [224, 0xB0, 81]];
    let file = Tiff::new(Form::default(), 8, 8, 3).write(&labs.as_flattened().repeat(count / 4));
    let colours = [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0]];
    for (found, expected) in pixels(&file).iter().zip(colours.repeat(count / 4)) {
        let worst = found
            .iter()
            .zip(expected)
            .map(|(found, expected)| found.abs_diff(expected))
            .max();
        // L, a and b have 8 bits, which at the ends of the range are several steps of a colour.
        assert!(worst.unwrap() <= 8 * ROUNDING, "{found:?} for {expected:?}");
    }

    let mut luma = Tiff::new(Form::default(), 6, 8, 3);
    luma.subsampling = Some([1, 1]);
    let ycbcr = [[255, 128, 128], [76, 85, 255], [150, 44, 21], [29, 255, 107]];
    let file = luma.write(&ycbcr.as_flattened().repeat(count / 4));
    let colours = [[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]];
    for (found, expected) in pixels(&file).iter().zip(colours.repeat(count / 4)) {
        let worst = found
            .iter()
            .zip(expected)
            .map(|(found, expected)| found.abs_diff(expected))
            .max();
        assert!(worst.unwrap() <= ROUNDING, "{found:?} for {expected:?}");
    }
}

#[test]
fn chroma_that_several_pixels_share_is_spread_over_them() {
    // Two columns and two rows share one chroma; the file is 4 × 4.
    let mut tiff = Tiff::new(Form::default(), 6, 8, 3);
    tiff.subsampling = Some([2, 2]);
    tiff.size = (4, 4);
    let units: [[u8; 6]; 4] = [
        [255, 0, 128, 64, 128, 128],
        [76, 76, 76, 76, 85, 255],
        [29, 29, 29, 29, 255, 107],
        [10, 20, 30, 40, 128, 128],
    ];
    let found = pixels(&tiff.write_stored(&[units.concat()]));
    assert_eq!(&found[..2], [[255; 3], [0; 3]]);
    assert_eq!(&found[4..6], [[128; 3], [64; 3]]);
    assert_eq!(&found[10..12], [[10; 3], [20; 3]]);
    let [red, blue] = [found[2], found[8]];
    assert!(red[0] >= 253 && red[1] <= 2 && red[2] <= 2, "{red:?}");
    assert!(blue[2] >= 253 && blue[0] <= 2 && blue[1] <= 2, "{blue:?}");
}

#[test]
fn opacity_is_kept_for_people_and_dropped_for_models() {
    let count = WIDTH * HEIGHT;
    let mut tiff = Tiff::new(Form::default(), 2, 8, 4);
    tiff.extra = Some(2);
    let file = tiff.write(
        &[[200, 0, 0, 0], [0, 200, 0, 255]]
            .as_flattened()
            .repeat(count / 2),
    );
    assert_eq!(pixels(&file), [[200, 0, 0], [0, 200, 0]].repeat(count / 2));
    let picture = decode(&file, &OPTIONS).unwrap();
    let shown = for_people(&picture, picture.width(), picture.height()).unwrap();
    let shown: Vec<[u8; 3]> = shown.pixels().pixels().map(|pixel| pixel.0).collect();
    assert_eq!(shown, [[255, 255, 255], [0, 200, 0]].repeat(count / 2));

    let mut associated = Tiff::new(Form::default(), 2, 8, 4);
    associated.extra = Some(1);
    let file = associated.write(&[50, 0, 100, 128].repeat(count));
    assert_eq!(
        pixels(&file),
        [[99, 0, 199]].repeat(count),
        "colours are divided by their opacity"
    );
}

#[test]
fn faxes_are_read_row_by_row() {
    // 8 pixels a row: `....####`, `########`, `........`.
    let rows = [0b0000_1111, 0xFF, 0x00];
    let expected: Vec<[u8; 3]> = rows
        .iter()
        .flat_map(|row: &u8| (0..8).map(move |x| if row << x & 0x80 == 0 { [255; 3] } else { [0; 3] }))
        .collect();
    let file = |compression: u64, options: u64, stored: Vec<u8>| {
        let mut tiff = Tiff::new(Form::default(), 0, 1, 1);
        tiff.size = (8, 3);
        tiff.compression = compression;
        tiff.fax_options = Some(options);
        tiff.write_stored(&[stored])
    };
    // White 4 and black 4; white 0 and black 8; white 8: T.4 tables 2 and 3.
    let (first, second, third) = ("1011 011", "00110101 000101", "10011");
    let end = "000000000001";
    let by_bytes = [first, second, third].map(bits).concat();
    assert_eq!(
        pixels(&file(2, 0, by_bytes)),
        expected,
        "each row from a byte of its own"
    );
    let plain = bits(&[first, second, third].concat());
    assert_eq!(pixels(&file(3, 0, plain)), expected, "without ends of lines");
    let with_ends = bits(&[end, first, end, second, end, third, &end.repeat(6)].concat());
    assert_eq!(pixels(&file(3, 0, with_ends)), expected, "with ends of lines");
    // The second row relative to the first: horizontal, white 0 and black 8. The third: its changes lie at the row's start.
    let two_dimensional = [end, "1", first, end, "0", "001", second, end, "1", third].concat();
    assert_eq!(
        pixels(&file(3, 1, bits(&two_dimensional))),
        expected,
        "two-dimensional"
    );
    // The third row ends with black 0.
    let relative = ["001", first, "001", second, "001", third, "0000110111", end, end].concat();
    assert_eq!(pixels(&file(4, 0, bits(&relative))), expected, "T.6");
}

#[test]
fn jpegs_in_strips_share_their_tables() {
    let mut whole = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut whole, 95);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_0);
    let picture = Picture::gradient(32, 16);
    encoder
        .encode(picture.pixels(), 32, 16, jpeg_encoder::ColorType::Rgb)
        .unwrap();
    let (tables, strip) = tiff_files::without_tables(&whole);
    let mut tiff = Tiff::new(Form::default(), 6, 8, 3);
    tiff.size = (32, 16);
    tiff.compression = 7;
    tiff.subsampling = Some([2, 2]);
    tiff.tables = Some(tables);
    let file = tiff.write_stored(&[strip]);
    assert_eq!(
        decode(&file, &OPTIONS).unwrap(),
        decode(&whole, &OPTIONS).unwrap()
    );

    let mut old = Tiff::new(Form::default(), 6, 8, 3);
    old.size = (32, 16);
    old.compression = 6;
    old.interchange = true;
    let file = old.write_stored(&[whole.clone()]);
    assert_eq!(
        decode(&file, &OPTIONS).unwrap(),
        decode(&whole, &OPTIONS).unwrap(),
        "old style"
    );
}

#[test]
fn the_orientation_in_the_directory_turns_the_picture() {
    let mut tiff = Tiff::new(Form::default(), 2, 8, 3);
    tiff.orientation = Some(6);
    let samples: Vec<u64> = rgb().iter().map(|value| u64::from(*value)).collect();
    let picture = decode(&tiff.write(&samples), &OPTIONS).unwrap();
    let (width, height) = (u32::try_from(WIDTH).unwrap(), u32::try_from(HEIGHT).unwrap());
    assert_eq!((picture.width(), picture.height()), (height, width));
    // The lower left corner comes to the upper left.
    assert_eq!(picture.pixels().get_pixel(0, 0).0, colour(0, HEIGHT - 1));
}

#[test]
fn a_strip_that_ends_early_is_refused_unless_that_is_asked_for() {
    let samples: Vec<u64> = rgb().iter().map(|value| u64::from(*value)).collect();
    for compression in [1, 5, 8, 32773] {
        let mut tiff = Tiff::new(Form::default(), 2, 8, 3);
        tiff.compression = compression;
        let (stored, _) = tiff.stored(&samples);
        let mut pieces = stored;
        let last = pieces.last_mut().unwrap();
        last.truncate(last.len() / 3);
        let file = tiff.write_stored(&pieces);
        assert_eq!(
            decode(&file, &OPTIONS).unwrap_err().code(),
            "truncated_image",
            "{compression}"
        );
        let options = DecodeOptions {
            accept_truncated: true,
            ..OPTIONS
        };
        let picture = decode(&file, &options).unwrap();
        assert_eq!(picture.pixels().get_pixel(1, 0).0, colour(1, 0), "{compression}");
    }
}

#[test]
fn counts_that_promise_more_than_there_is_do_no_harm() {
    let samples: Vec<u64> = rgb().iter().map(|value| u64::from(*value)).collect();
    let mut tiff = Tiff::new(Form::default(), 2, 8, 3);
    tiff.count_too_large = true;
    assert_eq!(pixels(&tiff.write(&samples)), expected());
}

#[test]
fn the_raw_files_of_cameras_are_refused_by_name() {
    for (make, name) in [
        ("NIKON CORPORATION", "Nikon"),
        ("SONY", "Sony"),
        ("PENTAX", "Pentax"),
    ] {
        let mut tiff = Tiff::new(Form::default(), 2, 8, 3);
        tiff.raw_of = Some(make);
        let error = decode(&tiff.write(&vec![0; WIDTH * HEIGHT * 3]), &OPTIONS).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Unsupported, "unsupported_image_type")
        );
        let message = format!("{name} raw is not read: export the photo as JPEG");
        assert!(error.message().starts_with(&message), "{error}");
    }
}

#[test]
fn what_is_not_read_is_named() {
    for (compression, name) in [(34925, "LZMA"), (34712, "JPEG 2000"), (4711, "4711")] {
        let mut tiff = Tiff::new(Form::default(), 2, 8, 3);
        tiff.compression = compression;
        let error = decode(&tiff.write_stored(&[vec![0; 100]]), &OPTIONS).unwrap_err();
        assert_eq!(error.code(), "unsupported_image_type");
        assert!(error.message().contains(name), "{error}");
    }
}

#[test]
fn damage_gives_a_picture_or_an_error() {
    use rand::{Rng, SeedableRng};
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let samples: Vec<u64> = rgb().iter().map(|value| u64::from(*value)).collect();
    let forms: Vec<Form> = Form::all().collect();
    for round in 0..3000 {
        let mut tiff = Tiff::new(forms[round % forms.len()], 2, 8, 3);
        tiff.compression = [1, 5, 8, 32773, 50000][round % 5];
        let mut file = tiff.write(&samples);
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(4..file.len());
            file[at] = random.random();
        }
        let options = DecodeOptions {
            accept_truncated: round % 2 == 0,
            ..OPTIONS
        };
        if let Ok(picture) = decode(&file, &options) {
            assert!(u64::from(picture.width()) * u64::from(picture.height()) <= OPTIONS.max_pixels);
        }
    }
}

#[test]
fn packing_puts_the_highest_bit_first() {
    assert_eq!(packed(&[1, 0, 1], 1, 3, false), [0b1010_0000]);
    assert_eq!(packed(&[0xABC, 0xDEF], 12, 2, true), [0xAB, 0xCD, 0xEF]);
    assert_eq!(packed(&[0x1234], 16, 1, true), [0x34, 0x12]);
}
