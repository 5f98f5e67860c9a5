//! How the node logs: one JSON object or one line of text per event, on stderr, with the ids of its spans.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;
use origo_auth::NodeId;
use tracing_subscriber::EnvFilter;

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

/// Starts logging to stderr for the rest of the process; every line carries the node's id.
pub fn start(config: &LogConfig, node: NodeId) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).with_context(|| format!("log filter {:?}", config.filter))?;
    let stamp = Stamp::new(config.format, node);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || stamp.clone());
    match config.format {
        LogFormat::Json => builder.json().with_current_span(false).with_span_list(true).flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
    Ok(())
}

/// Writes lines to stderr, each with the node's id in front: a span could not reach all threads and tasks.
#[derive(Clone)]
struct Stamp {
    /// What a line must begin with to be stamped; it is written once.
    opening: &'static [u8],
    stamp: Arc<[u8]>,
}

impl Stamp {
    fn new(format: LogFormat, node: NodeId) -> Self {
        match format {
            LogFormat::Json => Self { opening: b"{", stamp: format!("{{\"node\":\"{node}\",").into_bytes().into() },
            LogFormat::Text => Self { opening: b"", stamp: format!("{node} ").into_bytes().into() },
        }
    }

    fn stamped(&self, line: &[u8]) -> Option<Vec<u8>> {
        line.strip_prefix(self.opening).map(|rest| [&self.stamp, rest].concat())
    }
}

impl Write for Stamp {
    /// The formatter gives whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.stamped(line) {
            Some(stamped) => io::stderr().write_all(&stamped)?,
            None => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_which_node_it_is_from() {
        let stamped = |format, line: &str| Stamp::new(format, NodeId([0; 16])).stamped(line.as_bytes()).unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&stamped(LogFormat::Json, "{\"level\":\"INFO\"}")).unwrap();
        assert_eq!(json["node"], "ND_00000000000000000000000000000000");
        assert!(stamped(LogFormat::Text, "INFO it runs").starts_with(b"ND_0000"));
    }

    #[test]
    fn a_level_alone_keeps_libraries_quiet_and_a_filter_is_taken_as_it_is() {
        assert!(LogConfig::new(LogFormat::Json, "debug").filter.starts_with("debug,str0m=warn"));
        assert_eq!(LogConfig::new(LogFormat::Json, "warn,quinn=trace").filter, "warn,quinn=trace");
    }
}
