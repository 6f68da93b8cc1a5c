//! Bodies of REST, and payloads of events: JSON, and what each protocol makes of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dialects::hostile::body(bytes));
