//! What cameras write into their files.

/// The same JPEG with what a camera writes about its clock.
pub(crate) fn with_time(jpeg: &[u8], taken: &str, offset: &str) -> Vec<u8> {
    let ascii = |tag: u16, length: u32, place: u32| {
        let mut entry = tag.to_le_bytes().to_vec();
        entry.extend(2_u16.to_le_bytes());
        entry.extend(length.to_le_bytes());
        entry.extend(place.to_le_bytes());
        entry
    };
    let mut block = b"Exif\0\0II*\0".to_vec();
    block.extend(8_u32.to_le_bytes());
    // The first directory has one entry, the place of the camera's; behind it at 26 that one, with its texts at 56.
    block.extend(1_u16.to_le_bytes());
    block.extend(0x8769_u16.to_le_bytes());
    block.extend(4_u16.to_le_bytes());
    block.extend(1_u32.to_le_bytes());
    block.extend(26_u32.to_le_bytes());
    block.extend(0_u32.to_le_bytes());
    block.extend(2_u16.to_le_bytes());
    block.extend(ascii(0x9003, 20, 56));
    block.extend(ascii(0x9011, 7, 76));
    block.extend(0_u32.to_le_bytes());
    block.extend(format!("{taken}\0{offset}\0").bytes());
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend(u16::try_from(block.len() + 2).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes.extend(&jpeg[2..]);
    bytes
}
