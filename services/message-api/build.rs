//! A new migration must be embedded: the macro alone does not notice new files.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
