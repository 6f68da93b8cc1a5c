//! Compiles the protobuf files with protox: nobody installs protoc.

use std::{env, fs, path::PathBuf};

#[expect(clippy::disallowed_methods, reason = "how Cargo speaks to a build script")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["model", "event", "chat_service"].map(|f| format!("switchboard/v1/{f}.proto"));
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let descriptors = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors)?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    println!("cargo:rerun-if-changed=switchboard");
    Ok(())
}
