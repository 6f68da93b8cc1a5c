//! How large an image becomes when it is decoded: read from its headers, never by decoding.
//!
//! An image of a few kilobytes can decode to gigabytes, in the memory of everybody who is shown it.
//! Libraries that tell an image's size trust it to be honest: they look where the size mostly
//! stands. Here every place counts that a browser may believe, and the largest of them wins. Frames
//! of an animation are decoded one at a time, so that their number does not matter.

use std::iter;

use chat_core::{ChatError, Code, Result};

/// Most pixels of an image: 200 MB when decoded. Cameras of telephones make so many.
const PIXELS_MAX: u64 = 50_000_000;

/// Most pixels of a side.
const SIDE_MAX: u64 = 30_000;

/// Width and height.
type Size = (u64, u64);

/// Refuses an image that is too large when decoded (`payload_too_large`), and one that does not tell
/// (`unsupported_media`). What is no image passes.
pub(super) fn check(content_type: &str, content: &[u8]) -> Result<()> {
    let size = match content_type {
        "image/png" => png(content),
        "image/jpeg" => jpeg(content),
        "image/gif" => gif(content),
        "image/webp" => webp(content),
        "image/bmp" => bmp(content),
        "image/avif" => avif(content),
        _ => return Ok(()),
    };
    match size {
        Some((width, height)) if width > 0 && height > 0 => fits(width, height),
        _ => {
            let sentence = "this image's width and height can't be read: it is damaged, or none";
            Err(ChatError::new(Code::UnsupportedMedia, sentence))
        }
    }
}

fn fits(width: u64, height: u64) -> Result<()> {
    if width <= SIDE_MAX && height <= SIDE_MAX && width * height <= PIXELS_MAX {
        return Ok(());
    }
    let most = PIXELS_MAX / 1_000_000;
    let sentence = format!(
        "an image has at most {most} megapixels, and {SIDE_MAX} pixels a side; \
         this one has {width} x {height}"
    );
    Err(ChatError::new(Code::PayloadTooLarge, sentence))
}

/// The next bytes of a file.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    /// A number whose last byte counts most.
    fn little(&mut self, count: usize) -> Option<u64> {
        Some(self.take(count)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A number whose first byte counts most.
    fn big(&mut self, count: usize) -> Option<u64> {
        Some(self.take(count)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

fn from(content: &[u8], offset: usize) -> Option<Bytes<'_>> {
    content.get(offset..).map(Bytes)
}

fn larger(one: Size, other: Size) -> Size {
    (one.0.max(other.0), one.1.max(other.1))
}

/// Its first chunk tells.
fn png(content: &[u8]) -> Option<Size> {
    let mut header = from(content, 16)?;
    Some((header.big(4)?, header.big(4)?))
}

/// Whatever stands before the first scan; two headers of a frame make none.
fn jpeg(content: &[u8]) -> Option<Size> {
    let mut bytes = from(content, 2)?;
    let mut size = None;
    loop {
        // Decoders look for the next marker, and pass over bytes that fill.
        while bytes.byte()? != 0xff {}
        let marker = iter::from_fn(|| bytes.byte()).find(|byte| *byte != 0xff)?;
        match marker {
            0x00 | 0x01 | 0xd0..=0xd7 => continue,
            0xd8 | 0xd9 => return None,
            0xda => return size,
            _ => {}
        }
        let length = usize::try_from(bytes.big(2)?).ok()?.checked_sub(2)?;
        let mut segment = Bytes(bytes.take(length)?);
        let is_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
        if is_frame {
            segment.byte()?;
            let (height, width) = (segment.big(2)?, segment.big(2)?);
            if size.replace((width, height)).is_some() {
                return None;
            }
        }
    }
}

/// The screen, and each frame: decoders make room for one that is larger than the screen.
fn gif(content: &[u8]) -> Option<Size> {
    let mut bytes = from(content, 6)?;
    let mut size = (bytes.little(2)?, bytes.little(2)?);
    let flags = bytes.byte()?;
    bytes.take(2)?;
    bytes.take(colours(flags))?;
    let mut has_frames = false;
    loop {
        match bytes.byte() {
            // Cut off, or at its end.
            None | Some(0x3b) => return Some(size),
            // Some programs leave one too many.
            Some(0x00) => {}
            Some(0x21) => {
                bytes.take(1);
                blocks(&mut bytes);
            }
            Some(0x2c) => {
                let Some(mut frame) = bytes.take(9).map(Bytes) else { return Some(size) };
                let (left, top) = (frame.little(2)?, frame.little(2)?);
                let (width, height) = (frame.little(2)?, frame.little(2)?);
                has_frames = true;
                size = larger(size, (left + width, top + height));
                bytes.take(colours(frame.byte()?) + 1);
                blocks(&mut bytes);
            }
            Some(_) => return has_frames.then_some(size),
        }
    }
}

/// Bytes of a table of colours.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Passes over blocks, each after its length, up to an empty one or the end.
fn blocks(bytes: &mut Bytes<'_>) {
    while let Some(length @ 1..) = bytes.byte() {
        if bytes.take(length.into()).is_none() {
            bytes.0 = &[];
        }
    }
}

/// The first chunk's: of its canvas, beyond which no frame may reach, or of its only frame.
fn webp(content: &[u8]) -> Option<Size> {
    if !content.starts_with(b"RIFF") {
        return None;
    }
    let (kind, mut header) = (content.get(12..16)?, from(content, 20)?);
    match kind {
        b"VP8X" => {
            header.take(4)?;
            Some((header.little(3)? + 1, header.little(3)? + 1))
        }
        b"VP8L" => {
            let magic = header.byte()?;
            let bits = header.little(4)?;
            (magic == 0x2f).then_some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
        }
        b"VP8 " => {
            let start = header.take(6)?;
            let (width, height) = (header.little(2)? & 0x3fff, header.little(2)? & 0x3fff);
            start.ends_with(b"\x9d\x01\x2a").then_some((width, height))
        }
        _ => None,
    }
}

/// Headers of 12 bytes have short numbers; of the others, a negative height means upside down.
fn bmp(content: &[u8]) -> Option<Size> {
    let mut header = from(content, 14)?;
    if header.little(4)? == 12 {
        return Some((header.little(2)?, header.little(2)?));
    }
    let mut side = || Some(u64::from(header.take(4)?.first_chunk().map(signed)?.unsigned_abs()));
    Some((side()?, side()?))
}

const fn signed(bytes: &[u8; 4]) -> i32 {
    i32::from_le_bytes(*bytes)
}

/// Each size that one of its pictures, tiles or tracks is said to have, wherever outside the
/// pictures' own bytes it stands.
fn avif(content: &[u8]) -> Option<Size> {
    let mut bytes = Bytes(content);
    let mut size = None;
    while !bytes.0.is_empty() {
        let (length, kind) = (bytes.big(4)?, bytes.take(4)?);
        let inner = match length {
            0 => bytes.0.len(),
            1 => usize::try_from(bytes.big(8)?).ok()?.checked_sub(16)?,
            _ => usize::try_from(length).ok()?.checked_sub(8)?,
        };
        // The last one may be cut off.
        let inner = bytes.take(inner.min(bytes.0.len()))?;
        if kind != b"mdat" {
            size = sizes(inner).chain(size).reduce(larger);
        }
    }
    size
}

/// Of all `ispe`, and all `tkhd`, whose numbers have a fraction of 16 bits.
fn sizes(boxes: &[u8]) -> impl Iterator<Item = Size> {
    boxes.windows(4).enumerate().filter_map(|(at, kind)| {
        let (offset, fraction) = match (kind, boxes.get(at + 4)) {
            (b"ispe", _) => (8, 0),
            (b"tkhd", Some(1)) => (92, 16),
            (b"tkhd", _) => (80, 16),
            _ => return None,
        };
        let mut numbers = from(boxes, at + offset)?;
        Some((numbers.big(4)? >> fraction, numbers.big(4)? >> fraction))
    })
}

#[cfg(test)]
mod tests;
