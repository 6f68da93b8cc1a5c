use proptest::prelude::{Strategy, any, prop};

use super::*;

const KINDS: [&str; 6] =
    ["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/avif"];

fn png_of(width: u32, height: u32) -> Vec<u8> {
    let start = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    [&start[..], &width.to_be_bytes(), &height.to_be_bytes(), b"\x01\0\0\0\0"].concat()
}

fn frame(width: u16, height: u16) -> Vec<u8> {
    [b"\xff\xc0\0\x08\x08", &height.to_be_bytes()[..], &width.to_be_bytes(), b"\0"].concat()
}

fn jpeg_of(parts: &[&[u8]]) -> Vec<u8> {
    [b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0", &parts.concat()[..]].concat()
}

const SCAN: &[u8] = b"\xff\xda\0\x02";

fn gif_of(screen: u16, frames: &[(u16, u16)]) -> Vec<u8> {
    let screen = screen.to_le_bytes();
    // A table of two colours, and an extension.
    let mut gif = [b"GIF89a", &screen[..], &screen, b"\x80\0\0abcdef!\xf9\x04\0\0\0\0\0"].concat();
    for (left, width) in frames {
        let (left, width) = (left.to_le_bytes(), width.to_le_bytes());
        gif.extend([b",", &left[..], &left, &width, &width, b"\0\x02\x03abc\0"].concat());
    }
    gif.push(b';');
    gif
}

fn boxed(kind: &[u8], inner: &[u8]) -> Vec<u8> {
    let length = u32::try_from(inner.len() + 8).expect("short");
    [&length.to_be_bytes(), kind, inner].concat()
}

fn ispe(width: u32, height: u32) -> Vec<u8> {
    boxed(b"ispe", &[&[0; 4], &width.to_be_bytes()[..], &height.to_be_bytes()].concat())
}

fn avif_of(properties: &[Vec<u8>]) -> Vec<u8> {
    let properties = boxed(b"iprp", &boxed(b"ipco", &properties.concat()));
    let meta = boxed(b"meta", &[&[0; 4][..], &properties].concat());
    [boxed(b"ftyp", b"avif\0\0\0\0avif"), meta, boxed(b"mdat", &ispe(60_000, 60_000))].concat()
}

fn bmp_of(header: &[u8]) -> Vec<u8> {
    [b"BM\x2c\x01\0\0\0\0\0\0\x36\0\0\0", header].concat()
}

fn webp_of(chunk: &[u8]) -> Vec<u8> {
    [b"RIFF\x38\0\0\0WEBP", chunk].concat()
}

#[test]
fn each_kind_tells_its_size() {
    let long = |width: i32, height: i32| [40, width, height].map(i32::to_le_bytes).concat();
    for (kind, content, expected) in [
        (png as fn(&[u8]) -> _, png_of(640, 480), (640, 480)),
        (jpeg, jpeg_of(&[&frame(640, 480), SCAN]), (640, 480)),
        (jpeg, jpeg_of(&[b"\xff\x01\xff\xff", &frame(640, 480)[1..], SCAN]), (640, 480)),
        (gif, gif_of(64, &[(0, 64), (8, 16)]), (64, 64)),
        (gif, gif_of(64, &[]), (64, 64)),
        (
            gif,
            [gif_of(64, &[(0, 65)]).strip_suffix(b";").expect("its end"), b"and so on"].concat(),
            (65, 65),
        ),
        (webp, webp_of(b"VP8 \0\0\0\0\x30\x01\0\x9d\x01\x2a\x80\x02\xe0\x01"), (640, 480)),
        (webp, webp_of(b"VP8L\0\0\0\0\x2f\x7f\xc2\x77\0"), (640, 480)),
        (webp, webp_of(b"VP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0"), (640, 480)),
        (bmp, bmp_of(&long(640, 480)), (640, 480)),
        (bmp, bmp_of(&long(640, -480)), (640, 480)),
        (bmp, bmp_of(b"\x0c\0\0\0\x80\x02\xe0\x01"), (640, 480)),
        (avif, avif_of(&[ispe(640, 480)]), (640, 480)),
    ] {
        assert_eq!(kind(&content), Some(expected), "{}", content.escape_ascii());
    }
}

#[test]
fn what_would_fill_the_memory_of_its_readers_is_refused() {
    let tile = [ispe(64, 64), ispe(9_000, 9_000), ispe(32, 32)];
    let track = boxed(b"tkhd", &[&[0; 76][..], b"\x23\x28\0\0\x23\x28\0\0"].concat());
    for (kind, content) in [
        ("image/png", png_of(16_000, 16_000)),
        ("image/png", png_of(u32::MAX, u32::MAX)),
        ("image/png", png_of(30_001, 1)),
        ("image/png", png_of(1, 30_001)),
        ("image/jpeg", jpeg_of(&[&frame(65_535, 65_535), SCAN])),
        // Bytes that fill, after which a length would be read from the wrong place.
        ("image/jpeg", jpeg_of(&[b"\xff\xff", &frame(65_535, 65_535)[1..], SCAN])),
        ("image/jpeg", jpeg_of(&[b"not a marker", &frame(65_535, 65_535), SCAN])),
        ("image/gif", gif_of(65_535, &[])),
        ("image/gif", gif_of(1, &[(0, 65_535)])),
        ("image/gif", gif_of(1, &[(0, 1), (60_000, 5_000)])),
        ("image/webp", webp_of(b"VP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff")),
        ("image/webp", webp_of(b"VP8L\0\0\0\0\x2f\xff\xff\xff\xff")),
        ("image/bmp", bmp_of(b"\x28\0\0\0\0\0\0\x80\0\0\0\x80")),
        ("image/bmp", bmp_of(b"\x0c\0\0\0\xff\xff\xff\xff")),
        ("image/avif", avif_of(&tile)),
        ("image/avif", [avif_of(&tile[..1]), boxed(b"moov", &track)].concat()),
        ("image/avif", [avif_of(&tile[..1]), boxed(b"meta", &tile[1])].concat()),
    ] {
        let refusal = check(kind, &content).expect_err(kind);
        assert_eq!(refusal.code(), Code::PayloadTooLarge, "{}", content.escape_ascii());
        assert!(refusal.message().contains("50 megapixels"), "{refusal}");
    }
    for content in [png_of(8_160, 6_120), png_of(30_000, 1_666)] {
        assert_eq!(check("image/png", &content), Ok(()));
    }
}

#[test]
fn an_image_that_hides_its_size_is_none() {
    for (kind, content) in [
        ("image/png", png_of(0, 0)),
        ("image/png", png_of(1, 1)[..20].to_vec()),
        // No height: it comes after the first scan.
        ("image/jpeg", jpeg_of(&[&frame(640, 0), SCAN])),
        ("image/jpeg", jpeg_of(&[&frame(1, 1), &frame(65_535, 65_535), SCAN])),
        ("image/jpeg", jpeg_of(&[b"\xff\xd8", &frame(1, 1), SCAN])),
        ("image/jpeg", jpeg_of(&[SCAN, &frame(1, 1)])),
        ("image/jpeg", jpeg_of(&[&frame(1, 1)])),
        ("image/gif", b"GIF89a\x01\0\x01\0\0\0\0/*".to_vec()),
        ("image/webp", b"BM__\x38\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
        ("image/webp", webp_of(b"ALPH\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0")),
        ("image/avif", avif_of(&[])),
    ] {
        let refusal = check(kind, &content).expect_err(kind);
        assert_eq!(refusal.code(), Code::UnsupportedMedia, "{}", content.escape_ascii());
    }
    assert_eq!(check("video/mp4", b""), Ok(()));
}

/// Any bytes, and such as lead deep into the readers.
fn hostile() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let start = prop::sample::select(vec![
        png_of(1, 1),
        jpeg_of(&[&frame(1, 1), SCAN]),
        gif_of(1, &[(0, 1), (0, 1)]),
        webp_of(b"VP8X\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        bmp_of(b"\x28\0\0\0\x01\0\0\0\x01\0\0\0"),
        avif_of(&[ispe(1, 1)]),
    ]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    let tail = prop::collection::vec(any::<u8>(), 0..64);
    (prop::sample::select(&KINDS[..]), start, changes, tail).prop_map(
        |(kind, start, changes, tail)| {
            let mut content = [start, tail].concat();
            for (at, byte) in changes {
                let at = at.index(content.len());
                content[at] = byte;
            }
            (kind, content)
        },
    )
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_measured_or_refused((kind, content) in hostile()) {
        for end in [0, content.len() / 2, content.len()] {
            let _ = check(kind, &content[..end]);
        }
    }

    #[test]
    fn no_frame_of_a_gif_escapes(sides in prop::collection::vec((0..65_535_u16, 1..65_535_u16), 1..4)) {
        let most = sides.iter().map(|(left, width)| u64::from(*left) + u64::from(*width)).max();
        let (width, height) = gif(&gif_of(1, &sides)).expect("a size");
        proptest::prop_assert_eq!((Some(width), Some(height)), (most, most));
    }
}
