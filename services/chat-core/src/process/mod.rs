//! What every service's `main` needs: settings, logs, health, shutdown, retries that back off.

mod backoff;
mod command_line;
mod health;
mod logs;
mod secret;
mod shutdown;
mod yield_core;

pub use backoff::Backoff;
pub use command_line::read_settings;
pub use health::HealthCheck;
pub use logs::{LogFormat, LogSettings, start_logs};
pub use secret::Secret;
pub use shutdown::Shutdown;
pub use yield_core::yield_core;
