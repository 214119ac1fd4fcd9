//! What the plugin finds in files of every kind, and what it makes of fields that are wrong.

mod support;

use exif::{Field, SRational, Tag, Value};
use lucida_core::{EnrichInput, Enrichment, Plugin};
use lucida_plugin_exif::{ExifConfig, ExifPlugin};
use lucida_testkit::{Fixture, photo, picture, user};
use serde_json::{Value as Json, json};
use support::{block, byte, field, jpeg, png, rationals, short, text, webp};

async fn fixture() -> Fixture<dyn Plugin> {
    Fixture::new(ExifPlugin::default())
}

lucida_testkit::plugin_contract!(fixture);

/// What a telephone writes.
fn telephone() -> Vec<Field> {
    vec![
        text(Tag::Make, "Google"),
        text(Tag::Model, "Pixel 8 Pro\0 "),
        text(Tag::Software, "HDR+ 1.0"),
        short(Tag::Orientation, 6),
        text(Tag::DateTimeOriginal, "2024:07:03 14:05:06"),
        text(Tag::SubSecTimeOriginal, "789"),
        text(Tag::OffsetTimeOriginal, "+02:00"),
        rationals(Tag::ExposureTime, &[(1, 250)]),
        rationals(Tag::FNumber, &[(168, 100)]),
        short(Tag::PhotographicSensitivity, 64),
        rationals(Tag::FocalLength, &[(6900, 1000)]),
        short(Tag::FocalLengthIn35mmFilm, 25),
        text(Tag::LensModel, "Pixel 8 Pro back camera 6.9mm f/1.68"),
        text(Tag::GPSLatitudeRef, "N"),
        rationals(Tag::GPSLatitude, &[(52, 1), (31, 1), (1224, 100)]),
        text(Tag::GPSLongitudeRef, "E"),
        rationals(Tag::GPSLongitude, &[(13, 1), (24, 1), (1782, 100)]),
        byte(Tag::GPSAltitudeRef, 0),
        rationals(Tag::GPSAltitude, &[(345, 10)]),
    ]
}

fn read(fields: &[Field]) -> Enrichment {
    ExifPlugin::default().read(&jpeg(&block(fields, true)))
}

/// The attributes, an empty object where there are none.
fn attributes(fields: &[Field]) -> Json {
    read(fields).attributes.unwrap_or_else(|| json!({}))
}

fn taken_at(fields: &[Field]) -> Option<String> {
    read(fields).taken_at.map(|time| time.to_string())
}

#[test]
fn a_telephones_photo_tells_all() {
    let found = read(&telephone());
    assert_eq!(found.taken_at.unwrap().to_string(), "2024-07-03T12:05:06.789Z");
    let expected = json!({
        "taken_at_local": "2024-07-03T14:05:06.789",
        "taken_at_offset": "+02:00",
        "taken_at_source": "offset",
        "make": "Google",
        "model": "Pixel 8 Pro",
        "lens": "Pixel 8 Pro back camera 6.9mm f/1.68",
        "software": "HDR+ 1.0",
        "exposure_secs": 0.004,
        "f_number": 1.68,
        "iso": 64,
        "focal_length_mm": 6.9,
        "focal_length_35mm_mm": 25,
        "orientation": 6,
        "latitude": 52.5200667,
        "longitude": 13.4049500,
        "altitude_metres": 34.5,
    });
    assert_eq!(found.attributes, Some(expected));
    assert!(found.tags.is_empty() && found.blobs.is_empty());
}

#[test]
fn every_container_and_byte_order_tells_the_same() {
    let expected = read(&telephone());
    for little_endian in [true, false] {
        let block = block(&telephone(), little_endian);
        let files = [
            ("JPEG", jpeg(&block)),
            ("PNG", png(&block)),
            ("WebP", webp(&block, b"")),
            ("WebP with a prefix", webp(&block, b"Exif\0\0")),
            ("TIFF", block),
        ];
        for (name, file) in files {
            assert_eq!(
                ExifPlugin::default().read(&file),
                expected,
                "{name}, little endian: {little_endian}"
            );
        }
    }
}

#[tokio::test]
async fn the_original_is_what_is_read() {
    let input = EnrichInput {
        photo: photo(&user("alice")),
        picture: picture(8, 8, [0, 0, 0]),
        original: jpeg(&block(&telephone(), true)).into(),
    };
    let enriched = ExifPlugin::default().enrich(&input).await.unwrap();
    assert_eq!(enriched, read(&telephone()));
}

#[test]
fn without_gps_the_place_is_left_out_and_nothing_else() {
    let plugin = ExifPlugin::new(ExifConfig { gps: false });
    let found = plugin.read(&jpeg(&block(&telephone(), true)));
    let mut expected = attributes(&telephone());
    for key in ["latitude", "longitude", "altitude_metres"] {
        assert!(expected.as_object_mut().unwrap().remove(key).is_some());
    }
    assert_eq!(found.attributes, Some(expected));
    assert_eq!(found.taken_at, read(&telephone()).taken_at);
}

#[test]
fn files_without_exif_give_nothing() {
    let picture = lucida_testkit::jpeg(40, 30, [9, 9, 9]);
    let files: [&[u8]; 7] = [
        &picture,
        b"",
        b"GIF89a",
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x04\0\0\0WEBP",
        b"II*\0\0\0\0\0",
    ];
    for file in files {
        assert_eq!(ExifPlugin::default().read(file), Enrichment::default());
    }
    assert_eq!(attributes(&[text(Tag::ImageDescription, "a dog")]), json!({}));
}

#[test]
fn offsets_of_every_spelling_count() {
    for (offset, expected) in [
        ("+02:00", "2024-07-03T12:05:06Z"),
        ("-03:30", "2024-07-03T17:35:06Z"),
        ("+0545", "2024-07-03T08:20:06Z"),
        ("+5:30", "2024-07-03T08:35:06Z"),
        ("-8", "2024-07-03T22:05:06Z"),
        ("-08", "2024-07-03T22:05:06Z"),
        ("Z", "2024-07-03T14:05:06Z"),
        ("+14:00", "2024-07-03T00:05:06Z"),
    ] {
        let fields = [
            text(Tag::DateTimeOriginal, "2024:07:03 14:05:06"),
            text(Tag::OffsetTimeOriginal, offset),
        ];
        assert_eq!(taken_at(&fields).as_deref(), Some(expected), "{offset}");
        assert_eq!(attributes(&fields)["taken_at_source"], "offset");
    }
    for offset in [
        "   :  ", "+15:00", "+02:75", "02:00", "+", "", "+ab:cd", "+2:0", "+é1",
    ] {
        let fields = [
            text(Tag::DateTimeOriginal, "2024:07:03 14:05:06"),
            text(Tag::OffsetTimeOriginal, offset),
        ];
        assert_eq!(
            taken_at(&fields).as_deref(),
            Some("2024-07-03T14:05:06Z"),
            "{offset:?}"
        );
        assert_eq!(attributes(&fields)["taken_at_source"], "assumed_utc");
    }
}

#[test]
fn without_an_offset_the_satellites_time_counts_when_it_is_near() {
    let with_gps = |date: &str, time: [(u32, u32); 3]| {
        [
            text(Tag::DateTimeOriginal, "2024:07:03 14:05:06"),
            text(Tag::GPSDateStamp, date),
            rationals(Tag::GPSTimeStamp, &time),
        ]
    };
    let near = with_gps("2024:07:03", [(12, 1), (5, 1), (4_250, 1_000)]);
    assert_eq!(taken_at(&near).as_deref(), Some("2024-07-03T12:05:04.25Z"));
    let expected = json!({
        "taken_at_local": "2024-07-03T14:05:06",
        "taken_at_offset": "+02:00",
        "taken_at_source": "gps",
    });
    assert_eq!(attributes(&near), expected);
    for stale in [
        with_gps("2024:07:02", [(12, 1), (5, 1), (4, 1)]),
        with_gps("2004:11:17", [(12, 1), (5, 1), (4, 1)]),
        with_gps("2024:13:03", [(12, 1), (5, 1), (4, 1)]),
        with_gps("2024:07:03", [(25, 1), (5, 1), (4, 1)]),
        with_gps("2024:07:03", [(12, 0), (5, 1), (4, 1)]),
        with_gps("today", [(12, 1), (5, 1), (4, 1)]),
    ] {
        assert_eq!(taken_at(&stale).as_deref(), Some("2024-07-03T14:05:06Z"));
        assert_eq!(attributes(&stale)["taken_at_source"], "assumed_utc");
    }
    // A drone may write nothing but the satellites' time.
    assert_eq!(taken_at(&near[1..]).as_deref(), Some("2024-07-03T12:05:04.25Z"));
}

#[test]
fn a_clock_that_is_off_gets_no_zone_from_the_satellites() {
    let fields = [
        text(Tag::DateTimeOriginal, "2024:07:03 14:12:06"),
        text(Tag::GPSDateStamp, "2024/07/03"),
        rationals(Tag::GPSTimeStamp, &[(12, 1), (5, 1), (4, 1)]),
    ];
    assert_eq!(taken_at(&fields).as_deref(), Some("2024-07-03T12:05:04Z"));
    let expected = json!({"taken_at_local": "2024-07-03T14:12:06", "taken_at_source": "gps"});
    assert_eq!(attributes(&fields), expected);
}

#[test]
fn times_of_every_spelling_count() {
    for (time, expected, source) in [
        ("2025:01:08 07:18:55+0200", "2025-01-08T05:18:55Z", "offset"),
        ("2007/06/30 18:45:17", "2007-06-30T18:45:17Z", "assumed_utc"),
        ("2015-07-26T14:55:23", "2015-07-26T14:55:23Z", "assumed_utc"),
        ("2015-07-26T14:55:23.5Z", "2015-07-26T14:55:23.5Z", "offset"),
    ] {
        let fields = [text(Tag::DateTimeOriginal, time)];
        assert_eq!(taken_at(&fields).as_deref(), Some(expected), "{time}");
        assert_eq!(attributes(&fields)["taken_at_source"], source, "{time}");
    }
}

#[test]
fn fractions_of_a_second_are_kept() {
    for (fraction, expected) in [
        ("5", "2024-07-03T14:05:06.5Z"),
        ("05", "2024-07-03T14:05:06.05Z"),
        ("123456", "2024-07-03T14:05:06.123456Z"),
        ("12  ", "2024-07-03T14:05:06.12Z"),
        ("", "2024-07-03T14:05:06Z"),
        ("xx", "2024-07-03T14:05:06Z"),
    ] {
        let fields = [
            text(Tag::DateTimeOriginal, "2024:07:03 14:05:06"),
            text(Tag::SubSecTimeOriginal, fraction),
        ];
        assert_eq!(taken_at(&fields).as_deref(), Some(expected), "{fraction:?}");
    }
}

#[test]
fn the_time_of_the_shot_goes_before_that_of_the_digitisation() {
    let shot = text(Tag::DateTimeOriginal, "1985:05:04 10:00:00");
    let scanned = text(Tag::DateTimeDigitized, "2020:01:02 03:04:05");
    let scanned_at = text(Tag::OffsetTimeDigitized, "+01:00");
    let changed = text(Tag::DateTime, "2023:09:09 09:09:09");
    let both = [shot, scanned, scanned_at, changed.clone()];
    assert_eq!(taken_at(&both).as_deref(), Some("1985-05-04T10:00:00Z"));
    assert_eq!(taken_at(&both[1..]).as_deref(), Some("2020-01-02T02:04:05Z"));
    assert_eq!(taken_at(&[changed]), None, "a program's time is not a camera's");
}

#[test]
fn the_offset_of_the_last_change_holds_when_that_was_the_shot() {
    let shot = text(Tag::DateTimeOriginal, "2024:07:03 14:05:06");
    let offset = text(Tag::OffsetTime, "+02:00");
    let unchanged = [
        shot.clone(),
        text(Tag::DateTime, "2024:07:03 14:05:06"),
        offset.clone(),
    ];
    assert_eq!(taken_at(&unchanged).as_deref(), Some("2024-07-03T12:05:06Z"));
    let changed = [shot, text(Tag::DateTime, "2024:08:01 10:00:00"), offset];
    assert_eq!(taken_at(&changed).as_deref(), Some("2024-07-03T14:05:06Z"));
}

#[test]
fn impossible_times_are_none() {
    for time in [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2024:02:30 10:00:00",
        "2024:13:01 10:00:00",
        "2024:01:01 25:00:00",
        "2024:01:01",
        "2024:0é:01 10:00:00",
        "",
    ] {
        assert_eq!(taken_at(&[text(Tag::DateTimeOriginal, time)]), None, "{time:?}");
    }
    let leap_second = [text(Tag::DateTimeOriginal, "2016:12:31 23:59:60")];
    assert_eq!(taken_at(&leap_second).as_deref(), Some("2016-12-31T23:59:59Z"));
}

#[test]
fn places_south_and_west_and_below_the_sea_are_negative() {
    let place = |latitude_ref: &str, longitude_ref: &str, altitude_ref: u8| {
        attributes(&[
            text(Tag::GPSLatitudeRef, latitude_ref),
            rationals(Tag::GPSLatitude, &[(33, 1), (51, 1), (30, 1)]),
            text(Tag::GPSLongitudeRef, longitude_ref),
            rationals(Tag::GPSLongitude, &[(70, 1), (30_500, 1_000), (0, 1)]),
            byte(Tag::GPSAltitudeRef, altitude_ref),
            rationals(Tag::GPSAltitude, &[(12, 1)]),
        ])
    };
    let (latitude, longitude) = (33.8583333, 70.5083333);
    let expected = json!({"latitude": -latitude, "longitude": -longitude, "altitude_metres": -12.0});
    assert_eq!(place("S", "W", 1), expected);
    let expected = json!({"latitude": latitude, "longitude": longitude, "altitude_metres": 12.0});
    assert_eq!(place("N", "e", 0), expected);
}

#[test]
fn places_that_are_none_are_left_out() {
    let place = |latitude: &[(u32, u32)], longitude: &[(u32, u32)], reference: &str| {
        attributes(&[
            text(Tag::GPSLatitudeRef, reference),
            rationals(Tag::GPSLatitude, latitude),
            text(Tag::GPSLongitudeRef, "E"),
            rationals(Tag::GPSLongitude, longitude),
            rationals(Tag::GPSAltitude, &[(100, 1)]),
        ])
    };
    let good = [(10, 1), (0, 1), (0, 1)];
    assert_eq!(place(&good, &good, "N")["latitude"], 10.0);
    for (latitude, longitude, reference) in [
        ([(91, 1), (0, 1), (0, 1)], good, "N"),
        (good, [(181, 1), (0, 1), (0, 1)], "N"),
        ([(0, 0), (0, 0), (0, 0)], good, "N"),
        ([(0, 1), (0, 1), (0, 1)], [(0, 1), (0, 1), (0, 1)], "N"),
        (good, good, ""),
    ] {
        assert_eq!(place(&latitude, &longitude, reference), json!({}));
    }
}

#[test]
fn numbers_that_mean_nothing_are_left_out() {
    let nonsense = [
        rationals(Tag::ExposureTime, &[(1, 0)]),
        rationals(Tag::FNumber, &[(0, 0)]),
        rationals(Tag::FocalLength, &[(0, 1)]),
        short(Tag::FocalLengthIn35mmFilm, 0),
        short(Tag::PhotographicSensitivity, 0),
        short(Tag::Orientation, 9),
        text(Tag::Make, "   "),
        field(Tag::Model, Value::Long(vec![5])),
        field(Tag::LensModel, Value::Ascii(vec![])),
    ];
    assert_eq!(attributes(&nonsense), json!({}));
    let odd = [
        field(
            Tag::ExposureTime,
            Value::SRational(vec![SRational { num: 1, denom: 3 }]),
        ),
        field(Tag::FNumber, Value::Float(vec![f32::INFINITY])),
        field(Tag::FocalLength, Value::Short(vec![50])),
        field(Tag::Make, Value::Ascii(vec![b"Caf\xe9 \x07\"x\"".to_vec()])),
        field(Tag::Model, Value::Ascii(vec![vec![b'x'; 10_000]])),
    ];
    let expected = json!({
        "exposure_secs": 0.3333333,
        "focal_length_mm": 50.0,
        "make": "Caf\u{fffd} \"x\"",
        "model": "x".repeat(256),
    });
    assert_eq!(attributes(&odd), expected);
}

#[test]
fn a_sensitivity_beyond_the_old_field_comes_from_the_newer_ones() {
    let old = short(Tag::PhotographicSensitivity, 65_535);
    let new = field(Tag::RecommendedExposureIndex, Value::Long(vec![102_400]));
    assert_eq!(attributes(&[old.clone(), new])["iso"], 102_400);
    assert_eq!(attributes(&[old])["iso"], 65_535);
}
