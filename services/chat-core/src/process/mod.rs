//! What every service's `main` needs: settings, logs, shutdown, retries that back off.

mod backoff;
mod command_line;
mod logs;
mod secret;
mod shutdown;
mod yield_core;

pub use backoff::Backoff;
pub use command_line::read_settings;
pub use logs::{LogFormat, LogSettings, start_logs};
pub use secret::Secret;
pub use shutdown::Shutdown;
pub use yield_core::yield_core;
