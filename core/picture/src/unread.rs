//! Formats that are known and not read, by a file's first bytes, with what to do instead.

/// A format that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unread {
    name: &'static str,
    advice: &'static str,
}

impl Unread {
    /// Returns the sentence that refuses it.
    pub(crate) fn refusal(self) -> String {
        format!("{} is not read: {}", self.name, self.advice)
    }
}

const RAW: &str = "export the photo as JPEG, or as TIFF";
const PICTURE: &str = "export it as JPEG or PNG";
const VIDEO: &str = "send photos, or a frame of it as JPEG";
const SOUND: &str = "send photos";
const ARCHIVE: &str = "unpack it and send the photos";

/// What a file starts with.
const STARTS: [(&[u8], &str, &str); 52] = [
    (b"FUJIFILMCCD-RAW", "Fujifilm raw", RAW),
    (b"II\x1A\0\0\0HEAPCCDR", "Canon raw", RAW),
    (b"IIRO", "Olympus raw", RAW),
    (b"IIRS", "Olympus raw", RAW),
    (b"MMOR", "Olympus raw", RAW),
    (b"IIU\0", "Panasonic raw", RAW),
    (b"FOVb", "Sigma raw", RAW),
    (b"\0MRM", "Minolta raw", RAW),
    (b"\xFF\x0A", "JPEG XL", PICTURE),
    (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL", PICTURE),
    (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000", PICTURE),
    (b"\xFF\x4F\xFF\x51", "JPEG 2000", PICTURE),
    (b"II\xBC\x01", "JPEG XR", PICTURE),
    (b"8BPS", "Photoshop's PSD", PICTURE),
    (b"gimp xcf", "GIMP's XCF", PICTURE),
    (b"\0\0\x01\0", "ICO", PICTURE),
    (b"\0\0\x02\0\0\0\0\0", "TGA", PICTURE),
    (b"icns", "ICNS", PICTURE),
    (b"BPG\xFB", "BPG", PICTURE),
    (b"\x0A\x05\x01", "PCX", PICTURE),
    (b"\x76\x2F\x31\x01", "OpenEXR", PICTURE),
    (b"#?RADIANCE", "Radiance HDR", PICTURE),
    (b"#?RGBE", "Radiance HDR", PICTURE),
    (b"qoif", "QOI", PICTURE),
    (b"DDS ", "DDS", PICTURE),
    (b"\x01\xDA\0\x01", "SGI", PICTURE),
    (b"\x01\xDA\x01\x01", "SGI", PICTURE),
    (b"PF\n", "PFM", PICTURE),
    (b"Pf\n", "PFM", PICTURE),
    (b"/* XPM */", "XPM", PICTURE),
    (b"SIMPLE  =", "FITS", PICTURE),
    (b"AT&TFORM", "DjVu", PICTURE),
    (b"%PDF", "PDF", "export its pages as JPEG or PNG"),
    (b"%!PS", "PostScript", PICTURE),
    (b"\xC5\xD0\xD3\xC6", "EPS", PICTURE),
    (b"\xD7\xCD\xC6\x9A", "WMF", PICTURE),
    (b"\x1A\x45\xDF\xA3", "Matroska or WebM video", VIDEO),
    (b"\x30\x26\xB2\x75", "Windows Media", VIDEO),
    (b"OggS", "Ogg", VIDEO),
    (b"FLV\x01", "Flash video", VIDEO),
    (b"\0\0\x01\xBA", "MPEG video", VIDEO),
    (b"\0\0\x01\xB3", "MPEG video", VIDEO),
    (b"ID3", "MP3", SOUND),
    (b"fLaC", "FLAC", SOUND),
    (b"PK\x03\x04", "ZIP", ARCHIVE),
    (b"\x1F\x8B", "gzip", ARCHIVE),
    (b"7z\xBC\xAF\x27\x1C", "7-Zip", ARCHIVE),
    (b"Rar!", "RAR", ARCHIVE),
    (b"BZh", "bzip2", ARCHIVE),
    (b"\xFD7zXZ", "XZ", ARCHIVE),
    (
        b"\0\x05\x16\x07",
        "AppleDouble, which a Mac keeps beside a file,",
        "send the photo itself",
    ),
    (
        b"\x4C\0\0\0\x01\x14\x02\0",
        "a Windows shortcut",
        "send the photo that it leads to",
    ),
];

/// Recognises a format by what all of its files start with.
pub(crate) fn by_start(start: &[u8]) -> Option<Unread> {
    let known = STARTS.iter().find(|(bytes, _, _)| start.starts_with(bytes));
    let of = |(name, advice)| Unread { name, advice };
    known
        .map(|&(_, name, advice)| (name, advice))
        .or_else(|| container(start))
        .or_else(|| text(start))
        .map(of)
}

/// Recognises a format whose files have no signature by the shape of their headers; anything else must be ruled out
/// before.
pub(crate) fn by_shape(start: &[u8]) -> Option<Unread> {
    let (name, advice) = if is_tga(start) {
        ("TGA", PICTURE)
    } else if is_transport_stream(start) {
        ("MPEG video", VIDEO)
    } else {
        return None;
    };
    Some(Unread { name, advice })
}

/// Returns the brands of a file in boxes, ISO 14496-12 section 4.3, the major one first; none of another file.
pub(crate) fn brands(start: &[u8]) -> Vec<&[u8; 4]> {
    let Some((header, body)) = start.split_first_chunk::<8>() else {
        return Vec::new();
    };
    let &[a, b, c, d, ref kind @ ..] = header;
    if kind != b"ftyp" {
        return Vec::new();
    }
    let end = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(8);
    let words = body[..end.clamp(4.min(body.len()), body.len())]
        .as_chunks::<4>()
        .0;
    // The second word is the version of the first brand.
    let brands = words.iter().enumerate().filter(|(at, _)| *at != 1);
    brands.map(|(_, brand)| brand).collect()
}

/// Returns whether a file has a brand of HEIC, ISO 23008-12 annex B and section 10; AVIF shares some of them.
pub(crate) fn is_heic(start: &[u8]) -> bool {
    const HEIC: [&[u8; 4]; 10] = [
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
    ];
    brands(start).iter().any(|brand| HEIC.contains(brand))
}

fn container(start: &[u8]) -> Option<(&'static str, &'static str)> {
    if start.get(8..10) == Some(b"CR") && start.starts_with(b"II*\0") {
        return Some(("Canon raw", RAW));
    }
    match (start.get(..4), start.get(8..12)) {
        (Some(b"RIFF"), Some(b"AVI ")) => return Some(("AVI video", VIDEO)),
        (Some(b"RIFF"), Some(b"WAVE")) => return Some(("WAV", SOUND)),
        _ => {}
    }
    // Older films begin with their boxes at once.
    if matches!(start.get(4..8), Some(b"moov" | b"mdat" | b"wide")) {
        return Some(("QuickTime video", VIDEO));
    }
    let brands = brands(start);
    let has = |wanted: &[u8; 4]| brands.contains(&wanted);
    let is_of_mp4 = || {
        let is_family = |brand: &&[u8; 4]| {
            ["iso", "mp4", "mp7", "3gp", "3g2", "avc", "dash", "hvc1", "MSNV"]
                .iter()
                .any(|family| brand.starts_with(family.as_bytes()))
        };
        brands.iter().any(is_family)
    };
    match *brands.first()? {
        // Where the first brand names only the container, those behind it say what the file is.
        b"mif1" | b"msf1" | b"miaf" if has(b"avif") || has(b"avis") => Some(("AVIF", PICTURE)),
        b"avif" | b"avis" => Some(("AVIF", PICTURE)),
        b"crx " => Some(("Canon raw", RAW)),
        b"qt  " => Some(("QuickTime video", VIDEO)),
        b"jp2 " | b"jpx " => Some(("JPEG 2000", PICTURE)),
        b"M4A " | b"M4B " => Some(("MP4 sound", SOUND)),
        b"M4V " | b"f4v " => Some(("MP4 video", VIDEO)),
        _ if is_heic(start) => None,
        _ if is_of_mp4() => Some(("MP4 video", VIDEO)),
        _ => None,
    }
}

/// SVG and HTML, behind whatever may come before their first element, and XBM, which is C.
fn text(start: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        return Some(("HTML", "this is a web page; download the photo itself"));
    }
    if text.starts_with("#define ") && text.contains("_width ") {
        return Some(("XBM", PICTURE));
    }
    let is_markup = ["<svg", "<?xml", "<!--", "<!doctype svg"]
        .iter()
        .any(|begin| text.starts_with(begin));
    if !is_markup {
        return None;
    }
    // Of the two, the one that comes first is the document's own element.
    let elements = [
        ("<svg", "SVG", PICTURE),
        ("<!doctype svg", "SVG", PICTURE),
        ("<html", "HTML", "this is a web page; download the photo itself"),
    ];
    let found = elements
        .into_iter()
        .filter_map(|(element, name, advice)| Some((text.find(element)?, name, advice)));
    found.min().map(|(_, name, advice)| (name, advice))
}

/// Truevision's TGA 2.0, section "TGA File Header": no signature, but few values for most bytes.
fn is_tga(start: &[u8]) -> bool {
    let Some(&[_, has_map, kind, ref rest @ ..]) = start.first_chunk::<18>() else {
        return false;
    };
    let [
        map @ ..,
        _,
        _,
        _,
        _,
        width_low,
        width_high,
        height_low,
        height_high,
        depth,
        descriptor,
    ] = rest;
    let is_mapped = matches!(kind, 1 | 9);
    let map_fits = match has_map {
        0 => !is_mapped && map.iter().all(|byte| *byte == 0),
        1 => is_mapped && matches!(map[4], 15 | 16 | 24 | 32),
        _ => false,
    };
    map_fits
        && matches!(kind, 1 | 2 | 3 | 9 | 10 | 11)
        && (*width_low, *width_high) != (0, 0)
        && (*height_low, *height_high) != (0, 0)
        && matches!(depth, 8 | 15 | 16 | 24 | 32)
        && descriptor & 0xC0 == 0
}

/// ISO 13818-1 section 2.4.3.2: a packet of 188 bytes begins with 0x47; cameras put a time of 4 bytes before each.
fn is_transport_stream(start: &[u8]) -> bool {
    const SYNC: u8 = 0x47;
    [(0, 188), (4, 192)]
        .iter()
        .any(|&(first, packet)| (0..3).all(|at| start.get(first + at * packet) == Some(&SYNC)))
}
