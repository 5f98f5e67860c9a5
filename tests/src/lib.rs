//! What tests and benchmarks from outside share: processes of `origo` and Janus, tokens, plain HTTP and the metrics page.

pub mod distance;
pub mod http;
pub mod janus;
pub mod mesh;
pub mod metrics;
pub mod node;
pub mod paths;
pub mod previous;
pub mod process;
pub mod proxy;
pub mod token;
