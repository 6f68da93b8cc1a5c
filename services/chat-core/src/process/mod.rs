//! What every service's `main` needs: settings, shutdown, retries that back off.

mod backoff;
mod command_line;
mod secret;
mod shutdown;
mod yield_core;

pub use backoff::Backoff;
pub use command_line::read_settings;
pub use secret::Secret;
pub use shutdown::Shutdown;
pub use yield_core::yield_core;
