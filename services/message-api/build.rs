//! New migrations, and new files of the web client, must be embedded: the macros alone do not
//! notice them. What the client uses of others is not in the repository; it must be there.

use std::fs;

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=web");
    if !is_vendored() {
        println!(
            "cargo::error=services/message-api/web/vendor lacks what the web client uses of \
             others, or has it in other versions than its package-lock.json names: run `make web`"
        );
    }
}

/// `vendor.sh` leaves what it made the files from.
fn is_vendored() -> bool {
    let read = |name: &str| fs::read(format!("web/{name}")).unwrap_or_default();
    let expected = [read("package-lock.json"), read("vendor.sh")].concat();
    read("vendor/made-from") == expected
}
