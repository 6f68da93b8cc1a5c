//! Frames of plain websockets.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| dialects::hostile::frame(text));
