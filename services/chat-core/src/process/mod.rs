//! What every service's `main` needs: settings, logs, shutdown, retries that back off.

mod backoff;
mod logs;
mod secret;
mod shutdown;

pub use backoff::Backoff;
pub use logs::{LogFormat, LogSettings, start_logs};
pub use secret::Secret;
pub use shutdown::Shutdown;
