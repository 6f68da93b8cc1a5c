//! Queries, and headers with credentials, origins, keys and addresses.
#![no_main]

use axum::http::{HeaderValue, Uri};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        dialects::hostile::header_value(&value);
    }
    if let Ok(uri) = Uri::try_from([b"/?", bytes].concat()) {
        dialects::hostile::query(&uri);
    }
});
