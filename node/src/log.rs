//! How the node logs: one JSON object or one line of text per event, on stderr, with the ids of its spans.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// The level when nobody asks for another one: lifecycle changes and warnings.
pub const LEVEL_DEFAULT: &str = "info";
/// Libraries whose INFO is our DEBUG; added when a level alone is asked for.
const QUIET_LIBRARIES: &str = "str0m=warn,str0m_proto=warn,chitchat=warn,quinn=warn,quinn_proto=warn,rustls=warn";

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// JSON or text.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub filter: String,
}

impl LogConfig {
    /// A level alone is meant for Origo, a filter is taken as it is.
    pub fn new(format: LogFormat, asked: &str) -> Self {
        let filter = match asked.contains(['=', ',']) {
            true => asked.to_owned(),
            false => format!("{asked},{QUIET_LIBRARIES}"),
        };
        Self { format, filter }
    }
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
