//! Reading the settings: flags and environment, refused in one sentence.

use clap::Parser;

/// Reads the command line and the environment. The error is one sentence that names the setting;
/// `--help` and `--version` are answered here.
pub fn read_settings<C: Parser>() -> Result<C, String> {
    C::try_parse().map_err(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        sentence(&error)
    })
}

/// The first line of what clap says, without its "error: ".
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}
