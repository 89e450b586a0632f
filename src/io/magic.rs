//! How files of some formats begin: what is known of a file before a reader is chosen, and by readers themselves.

/// Whether bytes begin as an NPY file does.
pub fn is_npy(head: &[u8]) -> bool {
    head.starts_with(b"\x93NUMPY")
}

/// Whether bytes begin as an IDX file does: two zeros, a type and 1 to 4 dimensions.
pub fn is_idx(head: &[u8]) -> bool {
    matches!(head, [0, 0, 0x08 | 0x09 | 0x0b..=0x0e, 1..=4, ..])
}

/// Whether bytes begin as a PNG, JPEG, WebP, BMP or TIFF file does.
pub fn is_image(head: &[u8]) -> bool {
    const MAGICS: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", &[0xff, 0xd8, 0xff], b"II*\0", b"MM\0*"];
    MAGICS.iter().any(|magic| head.starts_with(magic))
        || matches!(head, [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..])
        // Two letters are little to go by, but the four zeros after the size are in every BMP file.
        || matches!(head, [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..])
}

/// Whether bytes begin as gzip or zstd data does. A zstd file may begin with a frame to be skipped, of one of sixteen
/// kinds.
pub fn is_compressed(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
        || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Whether bytes may begin a JSON text. Text of any kind passes: the JSON reader can name the line that is wrong.
pub fn is_text(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    text.starts_with(b"{")
        || text.starts_with(b"[")
        || !text.iter().any(|&byte| byte < b' ' && !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_by_their_first_bytes() {
        for head in [
            &b"\x89PNG\r\n\x1a\n\0"[..],
            b"\xff\xd8\xff\xe0",
            b"RIFF\x10\0\0\0WEBPVP8 ",
            b"BM\x36\x10\0\0\0\0\0\0\x36",
            b"II*\0\x08",
            b"MM\0*\0",
        ] {
            assert!(is_image(head), "{head:?}");
        }
        for head in [&b""[..], b"BMW drivers", b"RIFF\x10\0\0\0WAVE", b"PAR1", b"{\"a\": 1}", b"\x93NUMPY"] {
            assert!(!is_image(head), "{head:?}");
        }
    }
}
