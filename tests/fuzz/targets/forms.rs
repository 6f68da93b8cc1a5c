//! Uploads: a boundary up to the first line's end, then a body that comes in chunks.
#![no_main]

use bytes::Bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((size, rest)) = bytes.split_first() else { return };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(boundary) = std::str::from_utf8(&rest[..end]) else { return };
    if boundary.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return;
    }
    let chunks = rest[end + 1..].chunks(usize::from(*size) + 1).map(Bytes::copy_from_slice);
    let kind = format!("multipart/form-data; boundary={boundary}");
    if let Err(error) = dialects::hostile::read_form(&kind, chunks.collect()).0 {
        dialects::hostile::refused(&error);
    }
});
