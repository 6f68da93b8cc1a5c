//! What every service's `main` needs: settings, health, shutdown, retries that back off.

mod backoff;
mod command_line;
mod files;
mod follow;
mod health;
mod pem;
mod secret;
mod service_token;
mod shutdown;
mod yield_core;

pub use backoff::Backoff;
pub use command_line::read_settings;
pub use files::open_as_many_files_as_allowed;
pub use follow::follow_file;
pub use health::HealthCheck;
pub use pem::{read_certificates, read_key};
pub use secret::{Secret, one_or_two};
pub use service_token::{SERVICE_TOKEN_MIN, ServiceToken};
pub use shutdown::Shutdown;
pub use yield_core::yield_core;
