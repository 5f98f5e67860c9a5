//! What a caller of the server API reads when a call fails: Twirp's JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use origo_node_core::room::Answer;
use serde::Serialize;

/// A failure with Twirp's code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    code: &'static str,
    msg: String,
    #[serde(skip)]
    status: StatusCode,
}

/// Codes of Twirp's specification with their HTTP statuses.
const CODES: [(&str, StatusCode); 12] = [
    ("bad_route", StatusCode::NOT_FOUND),
    INTERNAL,
    ("invalid_argument", StatusCode::BAD_REQUEST),
    ("malformed", StatusCode::BAD_REQUEST),
    ("unauthenticated", StatusCode::UNAUTHORIZED),
    ("permission_denied", StatusCode::FORBIDDEN),
    ("not_found", StatusCode::NOT_FOUND),
    ("already_exists", StatusCode::CONFLICT),
    ("failed_precondition", StatusCode::PRECONDITION_FAILED),
    ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
    ("unimplemented", StatusCode::NOT_IMPLEMENTED),
    ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
];

const INTERNAL: (&str, StatusCode) = ("internal", StatusCode::INTERNAL_SERVER_ERROR);

impl Fault {
    fn new(code: &str, msg: impl Into<String>) -> Self {
        let found = CODES.iter().find(|(known, _)| *known == code).unwrap_or(&INTERNAL);
        Self { code: found.0, msg: msg.into(), status: found.1 }
    }

    /// What a node answered in place of a response.
    pub fn of(answer: &Answer) -> Self {
        Self::new(&answer.code, answer.sentence.clone())
    }

    /// The token is missing or does not hold.
    pub fn unauthenticated(msg: impl Into<String>) -> Self {
        Self::new("unauthenticated", msg)
    }

    /// The token holds but is not for this.
    pub fn permission_denied(msg: impl Into<String>) -> Self {
        Self::new("permission_denied", msg)
    }

    /// Nothing is called like this: a path, a method of HTTP or a content type that Twirp does not have.
    pub fn bad_route(msg: impl Into<String>) -> Self {
        Self::new("bad_route", msg)
    }

    /// The body cannot be read.
    pub fn malformed(msg: impl Into<String>) -> Self {
        Self::new("malformed", msg)
    }

    /// No such room, participant or track in the whole mesh.
    pub fn not_found(msg: impl Into<String>) -> Self {
        Self::new("not_found", msg)
    }

    /// More than is taken.
    pub fn resource_exhausted(msg: impl Into<String>) -> Self {
        Self::new("resource_exhausted", msg)
    }

    /// No such service or method.
    pub fn unimplemented(msg: impl Into<String>) -> Self {
        Self::new("unimplemented", msg)
    }

    /// A node that is needed does not answer.
    pub fn unavailable(msg: impl Into<String>) -> Self {
        Self::new("unavailable", msg)
    }

    /// Our own mistake.
    pub fn internal(msg: impl Into<String>) -> Self {
        Self::new("internal", msg)
    }

    /// Twirp's word.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}
