//! What tests and benchmarks from outside share: processes of `origo` and Janus, tokens, plain HTTP, the metrics
//! page, and a media worker on a stage of its own.

pub mod allocator;
pub mod distance;
pub mod figure;
pub mod http;
pub mod janus;
pub mod joins;
pub mod mesh;
pub mod metrics;
pub mod namespace;
pub mod node;
pub mod paths;
pub mod previous;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod stage;
pub mod token;
