//! Logs to standard error: one line an event, for people or as JSON. A line that was written within
//! a trace that is kept carries its `trace_id` and `span_id`.

use std::fmt;

use clap::{Args, ValueEnum};
use opentelemetry::{Context, trace::TraceContextExt};
use tracing::{Event, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{self, DefaultFields, JsonFields, Writer},
    },
    registry::LookupSpan,
};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, Args)]
pub struct LogSettings {
    /// Which log lines are written, e.g. `info` or `info,message_api=debug`
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,

    /// How a log line looks
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Writes lines. Its filter is its own: traces don't depend on what is logged. The error is one
/// sentence that names the setting.
pub(crate) fn layer<S>(settings: &LogSettings) -> Result<Box<dyn Layer<S> + Send + Sync>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log).map_err(|e| format!("LOG: {e}"))?;
    let events = filter_fn(|metadata| metadata.is_event());
    // Without a hint nothing would be sorted out by its level alone.
    let filter = filter.and(events.with_max_level_hint(LevelFilter::TRACE));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let form = settings.log_format;
    Ok(match form {
        LogFormat::Text => {
            let form = WithIds { lines: format::format().with_ansi(false), form };
            lines.fmt_fields(DefaultFields::new()).event_format(form).with_filter(filter).boxed()
        }
        LogFormat::Json => {
            let form = WithIds { lines: format::format().json().flatten_event(true), form };
            lines.fmt_fields(JsonFields::new()).event_format(form).with_filter(filter).boxed()
        }
    })
}

/// The ids of the trace and of the span that we are in.
fn ids() -> Option<(String, String)> {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        ids.is_sampled().then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
    })
}

/// Lines that carry ids where there are some.
struct WithIds<F> {
    lines: F,
    form: LogFormat,
}

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace, span)) = ids() else {
            return self.lines.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        match self.form {
            LogFormat::Text => {
                writeln!(writer, "{} trace_id={trace} span_id={span}", line.trim_end_matches('\n'))
            }
            LogFormat::Json => {
                let rest = line.strip_prefix('{').unwrap_or(&line);
                write!(writer, r#"{{"trace_id":"{trace}","span_id":"{span}",{rest}"#)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;

    fn level(log: &str) -> Option<LevelFilter> {
        let settings = LogSettings { log: log.to_owned(), log_format: LogFormat::Json };
        let none: Option<Box<dyn Layer<Registry> + Send + Sync>> = None;
        let lines = layer(&settings).expect("a filter");
        Subscriber::max_level_hint(&tracing_subscriber::registry().with(none).with(lines))
    }

    #[test]
    fn what_is_logged_nowhere_is_sorted_out_by_its_level() {
        assert_eq!(level("info"), Some(LevelFilter::INFO));
        assert_eq!(level("warn,chat_core=debug"), Some(LevelFilter::DEBUG));
        let wrong = LogSettings { log: "chat_core=loud".to_owned(), log_format: LogFormat::Text };
        let refused = layer::<Registry>(&wrong).err().expect("refused");
        assert!(refused.starts_with("LOG: "), "{refused}");
    }
}
