//! Where things are: the checkout, its `.local` directory, the built programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The checkout that this crate was built in.
pub(crate) fn checkout() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Data of local stacks; git ignores it.
pub(crate) fn local() -> PathBuf {
    checkout().join(".local")
}

/// A program of ours: it lies beside the running one, of which tests lie one level deeper.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let us = std::env::current_exe().context("where is this program?")?;
    let mut directory = us.parent().context("a program lies in a directory")?;
    if directory.ends_with("deps") {
        directory = directory.parent().unwrap_or(directory);
    }
    let program = directory.join(name);
    if !program.is_file() {
        bail!("{} is not built: run `make build`", program.display());
    }
    Ok(program)
}
