//! How the node logs: one JSON object or one line of text per event, on stderr, with the ids of its spans.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// The filter when nobody asks for another one: lifecycle changes and warnings.
pub const FILTER_DEFAULT: &str = "info,str0m=warn,chitchat=warn,quinn=warn,quinn_proto=warn";

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// JSON or text.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub filter: String,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One object per line, for machines.
    Json,
    /// One line, for people.
    Text,
}

/// Starts logging to stderr for the rest of the process.
pub fn start(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_span_events(FmtSpan::NONE);
    match config.format {
        LogFormat::Json => builder.json().with_current_span(false).with_span_list(true).flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
    Ok(())
}
