//! Where programs put EXIF: the date, the place and the orientation are found in every form, and the picture is turned by
//! the same orientation.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::io::Write;

use exif::Tag;
use lucida_core::{DecodeSize, Enrichment};
use lucida_picture::{DecodeOptions, decode};
use lucida_plugin_exif::ExifPlugin;
use serde_json::json;
use support::{block, byte, jpeg, rationals, short, text, webp};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

fn camera() -> Vec<u8> {
    let fields = [
        short(Tag::Orientation, 6),
        text(Tag::DateTimeOriginal, "2024:07:03 14:05:06"),
        text(Tag::OffsetTimeOriginal, "+02:00"),
        text(Tag::GPSLatitudeRef, "N"),
        rationals(Tag::GPSLatitude, &[(52, 1), (30, 1), (0, 1)]),
        text(Tag::GPSLongitudeRef, "E"),
        rationals(Tag::GPSLongitude, &[(13, 1), (15, 1), (0, 1)]),
        byte(Tag::GPSAltitudeRef, 1),
        rationals(Tag::GPSAltitude, &[(3, 1)]),
    ];
    block(&fields, false)
}

#[track_caller]
fn says_all(file: &[u8], form: &str) {
    let Enrichment {
        attributes, taken_at, ..
    } = ExifPlugin::default().read(file);
    let expected = json!({
        "taken_at_local": "2024-07-03T14:05:06",
        "taken_at_offset": "+02:00",
        "taken_at_source": "offset",
        "orientation": 6,
        "latitude": 52.5,
        "longitude": 13.25,
        "altitude_metres": -3.0,
    });
    assert_eq!(attributes, Some(expected), "{form}");
    assert_eq!(taken_at.unwrap().to_string(), "2024-07-03T12:05:06Z", "{form}");
}

/// A PNG of 2 × 1 pixels.
fn png(chunks_before: &[Vec<u8>], chunks_after: &[Vec<u8>]) -> Vec<u8> {
    let header = [0, 0, 0, 2, 0, 0, 0, 1, 8, 0, 0, 0, 0];
    let pixels = compressed(&[0, 10, 200]);
    [
        SIGNATURE.to_vec(),
        chunk(b"IHDR", &header),
        chunks_before.concat(),
        chunk(b"IDAT", &pixels),
        chunks_after.concat(),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(body);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[..], kind, body, &crc.sum().to_be_bytes()].concat()
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As ImageMagick writes it.
fn raw_profile(name: &str, profile: &[u8]) -> Vec<u8> {
    let mut text = format!("\n{name}\n{:8}\n", profile.len());
    for line in profile.chunks(36) {
        text.extend(line.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
    }
    text.into_bytes()
}

#[track_caller]
fn is_upright(file: &[u8], form: &str) {
    let options = DecodeOptions {
        max_pixels: 1_000_000,
        accept_truncated: false,
        size: DecodeSize::FULL,
    };
    let picture = decode(file, &options).unwrap();
    assert_eq!((picture.width(), picture.height()), (1, 2), "{form}");
}

#[test]
fn png_keeps_exif_before_its_pixels_behind_them_and_in_texts() {
    let exif = [b"Exif\0\0", &camera()[..]].concat();
    let hex = raw_profile("exif", &exif);
    let keyword = b"Raw profile type exif\0";
    for (form, chunk) in [
        ("eXIf", chunk(b"eXIf", &camera())),
        ("eXIf with JPEG's prefix", chunk(b"eXIf", &exif)),
        ("tEXt", chunk(b"tEXt", &[&keyword[..], &hex].concat())),
        (
            "zTXt",
            chunk(b"zTXt", &[&keyword[..], b"\0", &compressed(&hex)].concat()),
        ),
        (
            "iTXt",
            chunk(b"iTXt", &[&keyword[..], b"\0\0\0\0", &hex].concat()),
        ),
        (
            "compressed iTXt",
            chunk(
                b"iTXt",
                &[&keyword[..], b"\x01\0\0\0", &compressed(&hex)].concat(),
            ),
        ),
        (
            "tEXt of a segment",
            chunk(
                b"tEXt",
                &[&b"Raw profile type APP1\0"[..], &raw_profile("app1", &exif)].concat(),
            ),
        ),
    ] {
        let chunk = std::slice::from_ref(&chunk);
        for file in [png(chunk, &[]), png(&[], chunk)] {
            says_all(&file, form);
            is_upright(&file, form);
        }
    }
}

#[test]
fn a_png_whose_texts_expand_without_end_is_read_up_to_a_bound() {
    let exif = [b"Exif\0\0", &camera()[..]].concat();
    let keyword = b"Raw profile type exif\0\0";
    let real = chunk(
        b"zTXt",
        &[&keyword[..], &compressed(&raw_profile("exif", &exif))].concat(),
    );
    // 4 MiB of what is no text.
    let large = [&keyword[..], &compressed(&vec![0xFF; 4 << 20])].concat();
    let large = chunk(b"zTXt", &large);
    let few = png(&[large.repeat(3), real.clone()], &[]);
    says_all(&few, "behind three large texts");
    let many = png(&[large.repeat(4), real], &[]);
    let found = ExifPlugin::default().read(&many);
    assert_eq!((found.attributes, found.taken_at), (None, None));
    let options = DecodeOptions {
        max_pixels: 1_000_000,
        accept_truncated: false,
        size: DecodeSize::FULL,
    };
    assert_eq!(
        decode(&many, &options).unwrap().width(),
        2,
        "it is a picture all the same"
    );
}

#[test]
fn the_time_of_xmp_counts_where_exif_has_none() {
    for (xmp, taken, local) in [
        (
            r#"<rdf:Description exif:DateTimeOriginal="2022-03-04T05:06:07+02:00" xmp:CreateDate="2023-01-01T00:00:00Z"/>"#,
            "2022-03-04T03:06:07Z",
            "2022-03-04T05:06:07",
        ),
        (
            "<photoshop:DateCreated>2019-12-31T23:30:00</photoshop:DateCreated>",
            "2019-12-31T23:30:00Z",
            "2019-12-31T23:30:00",
        ),
        (
            "<rdf:Description photoshop:DateCreated='1998' xmp:CreateDate='2001-02-03T04:05:06-08:00'/>",
            "2001-02-03T12:05:06Z",
            "2001-02-03T04:05:06",
        ),
    ] {
        let itxt = [&b"XML:com.adobe.xmp\0\0\0\0\0"[..], xmp.as_bytes()].concat();
        let file = png(&[chunk(b"iTXt", &itxt)], &[]);
        let found = ExifPlugin::default().read(&file);
        assert_eq!(found.taken_at.unwrap().to_string(), taken, "{xmp}");
        assert_eq!(found.attributes.unwrap()["taken_at_local"], local, "{xmp}");
        let both = png(&[chunk(b"iTXt", &itxt), chunk(b"eXIf", &camera())], &[]);
        says_all(&both, "EXIF goes before XMP");
    }
}

#[test]
fn the_orientation_of_xmp_counts_where_exif_has_none() {
    let xmp = br#"<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>"#;
    let itxt = [&b"XML:com.adobe.xmp\0\0\0\0\0"[..], xmp].concat();
    let file = png(&[chunk(b"iTXt", &itxt)], &[]);
    is_upright(&file, "XMP alone");
    let found = ExifPlugin::default().read(&file);
    assert_eq!(found.attributes, Some(json!({ "orientation": 6 })));
    let upright = block(&[short(Tag::Orientation, 1)], true);
    let both = png(&[chunk(b"iTXt", &itxt), chunk(b"eXIf", &upright)], &[]);
    assert_eq!(
        ExifPlugin::default().read(&both).attributes,
        Some(json!({ "orientation": 1 })),
        "EXIF goes before XMP"
    );
}

/// A box of ISO 14496-12.
fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&size[..], kind, body].concat()
}

/// A HEIC with an Exif item and nothing else.
fn heic(item: &[u8]) -> Vec<u8> {
    let start = boxed(b"ftyp", b"heic\0\0\0\0mif1heic");
    let entry = boxed(b"infe", b"\x02\0\0\0\0\x07\0\0Exif\0");
    let kinds = boxed(b"iinf", &[&b"\0\0\0\0\0\x01"[..], &entry].concat());
    let places = |offset: u32| {
        let body = [
            &b"\0\0\0\0\x44\0\0\x01\0\x07\0\0\0\x01"[..],
            &offset.to_be_bytes(),
            &u32::try_from(item.len()).unwrap().to_be_bytes(),
        ];
        let meta = [&[0; 4][..], &kinds, &boxed(b"iloc", &body.concat())].concat();
        boxed(b"meta", &meta)
    };
    let offset = u32::try_from(start.len() + places(0).len() + 8).unwrap();
    [start, places(offset), boxed(b"mdat", item)].concat()
}

#[test]
fn heic_keeps_exif_behind_an_offset_of_any_kind() {
    let block = camera();
    let length = u16::try_from(block.len() + 8).unwrap().to_be_bytes();
    for (form, item) in [
        ("offset 0", [&[0; 4][..], &block].concat()),
        ("offset 6", [&b"\0\0\0\x06Exif\0\0"[..], &block].concat()),
        (
            "offset 0 and a prefix",
            [&b"\0\0\0\0Exif\0\0"[..], &block].concat(),
        ),
        (
            "a whole segment of JPEG",
            [&b"\0\0\0\0\xFF\xE1"[..], &length, b"Exif\0\0", &block].concat(),
        ),
        (
            "an offset of another kind",
            [&b"\0\0\0\x0APADDINGPAD"[..], &block].concat(),
        ),
        ("no offset", block.clone()),
    ] {
        says_all(&heic(&item), form);
    }
}

#[test]
fn jpeg_keeps_exif_in_any_of_its_segments() {
    let file = jpeg(&camera());
    says_all(&file, "first");
    let xmp = b"\xFF\xE1\0\x22http://ns.adobe.com/xap/1.0/\0<x>";
    let comment = b"\xFF\xFE\0\x06abcd";
    let jfif = b"\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
    let other = b"\xFF\xE1\0\x08Exif\0\0";
    let last = [&file[..2], jfif, comment, xmp, other, &file[2..]].concat();
    says_all(&last, "behind others");
    // A directory without tags.
    let empty = b"\xFF\xE1\0\x16Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0";
    let behind = [&file[..2], empty, &file[2..]].concat();
    says_all(&behind, "behind an empty one");
    let odd_prefix = {
        let mut file = file.clone();
        let at = file.windows(6).position(|bytes| bytes == b"Exif\0\0").unwrap();
        file[at + 5] = 0xFF;
        file
    };
    says_all(&odd_prefix, "a prefix that ends oddly");
}

#[test]
fn webp_png_and_tiff_keep_exif_with_and_without_a_prefix() {
    says_all(&support::png(&camera()), "PNG without a picture");
    says_all(&webp(&camera(), b""), "WebP");
    says_all(&webp(&camera(), b"Exif\0\0"), "WebP with JPEG's prefix");
    says_all(&camera(), "TIFF");
}
