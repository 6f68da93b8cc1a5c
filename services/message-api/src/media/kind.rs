//! What kind of file this is: read from its content, never from a name or from what the sender
//! says.

/// What `infer` calls a kind that is taken, and the type under which it is served. Nothing here
/// can run a script in a browser: no SVG, no HTML, no PDF.
const TAKEN: [(&str, &str); 16] = [
    ("image/png", "image/png"),
    ("image/jpeg", "image/jpeg"),
    ("image/gif", "image/gif"),
    ("image/webp", "image/webp"),
    ("image/avif", "image/avif"),
    ("image/bmp", "image/bmp"),
    ("video/mp4", "video/mp4"),
    ("video/webm", "video/webm"),
    ("video/quicktime", "video/quicktime"),
    ("audio/mpeg", "audio/mpeg"),
    ("audio/ogg", "audio/ogg"),
    ("audio/opus", "audio/ogg"),
    ("audio/x-wav", "audio/wav"),
    ("audio/m4a", "audio/mp4"),
    ("audio/x-flac", "audio/flac"),
    ("audio/aac", "audio/aac"),
];

/// How much of a file tells text from media.
const HEAD: usize = 1_024;

/// The shortest file that holds a whole header of any kind.
const LEAST: usize = 24;

/// The content type under which a file is served; `None` for what is not taken.
pub(super) fn content_type(content: &[u8]) -> Option<&'static str> {
    if content.len() < LEAST || is_text(content) {
        return None;
    }
    let found = infer::get(content)?.mime_type();
    let (_, served) = TAKEN.iter().find(|(inferred, _)| *inferred == found)?;
    has_whole_header(found, content).then_some(*served)
}

/// Some signatures are words that a text may begin with (`BM`, `ID3`, `GIF89a`). Media always
/// have bytes near their start that no text has.
fn is_text(content: &[u8]) -> bool {
    let head = &content[..content.len().min(HEAD)];
    let has_controls =
        head.iter().any(|byte| byte.is_ascii_control() && !b"\t\n\x0c\r\x1b".contains(byte));
    // A character that the cut went through is still text.
    let is_utf8 = std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
    is_utf8 && !has_controls
}

/// Where `infer` looks at very few bytes, more are looked at here.
fn has_whole_header(found: &str, content: &[u8]) -> bool {
    match found {
        "image/png" => content.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        "image/gif" => content.starts_with(b"GIF87a") || content.starts_with(b"GIF89a"),
        // Two reserved words of zeros, then the offset of the pixels and a header's size.
        "image/bmp" => content[6..10] == [0; 4] && matches!(content[14], 12 | 40..=124),
        "image/avif" | "video/mp4" | "video/quicktime" | "audio/m4a" => has_plain_brands(content),
        "audio/ogg" | "audio/opus" => content.starts_with(b"OggS\0"),
        "audio/x-flac" => content.starts_with(b"fLaC"),
        // A version, then a size of seven bits a byte; or a frame.
        "audio/mpeg" => content[0] == 0xff || content[6..10].iter().all(|byte| *byte < 0x80),
        _ => true,
    }
}

/// Browsers take a file of these containers for an image if one of its brands is an image's, or if
/// it begins like a cursor. The brands, then, are where `infer` looks for them, and few.
fn has_plain_brands(content: &[u8]) -> bool {
    let starts_with_brands = content[4..8] == *b"ftyp";
    let is_short = content[..3] == [0; 3] && content[3] >= 16 && content[3].is_multiple_of(4);
    is_short || !(starts_with_brands || content.starts_with(b"\0\0\x02\0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(start: &[u8]) -> Vec<u8> {
        let mut content = start.to_vec();
        content.resize(300, 0);
        content
    }

    fn opus() -> Vec<u8> {
        let mut content = padded(b"OggS\0\x02");
        content[28..36].copy_from_slice(b"OpusHead");
        content
    }

    #[test]
    fn each_kind_that_is_taken_is_known_by_its_content() {
        for (content, expected) in [
            (padded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "image/png"),
            (padded(b"\xff\xd8\xff\xe0\0\x10JFIF\0"), "image/jpeg"),
            (padded(b"GIF89a\x01\0\x01\0"), "image/gif"),
            (padded(b"RIFF\x38\0\0\0WEBPVP8 "), "image/webp"),
            (padded(b"\0\0\0\x20ftypavif\0\0\0\0avif"), "image/avif"),
            (padded(b"BM\x2c\x01\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"), "image/bmp"),
            (padded(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2"), "video/mp4"),
            (padded(b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"), "video/webm"),
            (padded(b"\0\0\0\x14ftypqt  \0\0\0\0qt  "), "video/quicktime"),
            (padded(b"ID3\x04\0\0\0\0\x02\x01"), "audio/mpeg"),
            (padded(b"\xff\xfb\x90\x64\0"), "audio/mpeg"),
            (padded(b"OggS\0\x02"), "audio/ogg"),
            (opus(), "audio/ogg"),
            (padded(b"RIFF\x38\0\0\0WAVEfmt "), "audio/wav"),
            (padded(b"\0\0\0\x20ftypM4A \0\0\0\0M4A "), "audio/mp4"),
            (padded(b"fLaC\0\0\0\x22"), "audio/flac"),
            (padded(b"\xff\xf1\x50\x80\0"), "audio/aac"),
        ] {
            assert_eq!(content_type(&content), Some(expected));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_of_a_kind_that_runs_nothing_or_not_taken(
            start in proptest::sample::select(vec![
                &b""[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"ID3", b"OggS", b"fLaC", b"\xff\xfb",
                b"RIFF\0\0\0\0WEBP", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x20ftyp", b"\x1a\x45\xdf\xa3",
                b"\xff\xd8\xff", b"PK\x03\x04", b"%PDF-", b"<svg ", b"<?xml ", b"<html>",
            ]),
            rest: Vec<u8>,
        ) {
            let content = [start, &rest].concat();
            if let Some(served) = content_type(&content) {
                assert!(TAKEN.iter().any(|(_, taken)| *taken == served));
                assert!(!is_text(&content) && content.len() >= LEAST);
            }
        }
    }

    #[test]
    fn files_that_are_two_things_at_once_are_served_as_the_one_that_runs_nothing() {
        let script = b"<html><script>alert(document.cookie)</script></html>";
        let gif_and_script = [b"GIF89a\x2f\x2a\0\0\0\0;", &script[..], b"*/=alert(1)"].concat();
        assert_eq!(content_type(&gif_and_script), Some("image/gif"));
        let png_and_page = [&padded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")[..], script].concat();
        assert_eq!(content_type(&png_and_page), Some("image/png"));
        let page_and_png = [script, &padded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")[..]].concat();
        assert_eq!(content_type(&page_and_png), None);
        let picture_and_archive =
            [&padded(b"\xff\xd8\xff\xe0\0\x10JFIF\0")[..], b"PK\x03\x04"].concat();
        assert_eq!(content_type(&picture_and_archive), Some("image/jpeg"));
    }

    #[test]
    fn what_only_begins_like_media_is_not_taken() {
        for content in [
            &b""[..],
            b"\x89PNG",
            b"\x89PNG\r\n\x1a\n",
            b"\x89PNG and then something else entirely",
            b"<!DOCTYPE html><script>alert(1)</script>",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
            b"GIF89a/*<script>alert(1)</script>*/=1;",
            b"BMW builds cars in Munich, and motor cycles in Berlin",
            b"ID3 is how some songs are tagged, this is no song",
            b"%PDF-1.7\n%\xe2\xe3\xcf\xd3 and so on and so forth",
            b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\0\0\0\0\0\0\0",
            b"PK\x03\x04\x14\0\0\0\x08\0 and so on and so forth",
            // Brands that `infer` does not find, and a browser does.
            b"\0\0\0\x01ftypisom\0\0\0\0\0\0\0\x20avif\0\0\0\0avif",
            b"\0\0\x04\0ftypM4A \0\0\0\0M4A isomavif",
            // Cursors, which hold images.
            b"\0\0\x02\0\x01\0\x40\x40\0\0\0\0mdat\0\0\0\0\0\0\0\0",
            b"\0\0\x02\0ftypqt  \0\0\0\0qt  \0\0\0\0",
        ] {
            assert_eq!(content_type(content), None, "{}", content.escape_ascii());
        }
    }
}
