//! Logs to standard error: one line an event, for people or as JSON.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The settings that every service shares.
#[derive(Clone, Debug, Args)]
pub struct LogSettings {
    /// Which log lines are written, e.g. `info` or `info,message_api=debug`
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,

    /// How a log line looks
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Starts logging. The error is one sentence that names the setting.
pub fn start_logs(settings: &LogSettings) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|e| format!("LOG: {e}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|e| format!("logs: {e}"))
}
