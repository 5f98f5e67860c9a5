//! What a caller reads when it does not get what it asked for.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::overload::RETRY_AFTER_S;

/// A refusal with a stable code and a sentence; as JSON `{"code","message"}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    /// For programs.
    code: &'static str,
    /// For people.
    message: String,
}

impl Problem {
    /// The request says something that cannot be.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "bad_request", message: message.into() }
    }

    /// The token is missing or does not hold.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, code: "unauthorized", message: message.into() }
    }

    /// The token holds but is not for this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: "forbidden", message: message.into() }
    }

    /// There is no such thing here.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "not_found", message: message.into() }
    }

    /// The caller asks too often.
    pub fn too_often(message: impl Into<String>) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, code: "too_often", message: message.into() }
    }
}

impl Problem {
    /// What the rooms refuse with a status of their own.
    pub fn of_status(status: u16, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code: "refused", message: message.into() }
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The method is not for this URL.
    pub fn method_not_allowed(message: impl Into<String>) -> Self {
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: "method_not_allowed", message: message.into() }
    }

    /// What would be answered is not what the caller takes.
    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_ACCEPTABLE, code: "not_acceptable", message: message.into() }
    }

    /// The state of things does not allow it now.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, code: "conflict", message: message.into() }
    }

    /// `If-Match` names something that is over.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self { status: StatusCode::PRECONDITION_FAILED, code: "precondition_failed", message: message.into() }
    }

    /// `If-Match` is missing.
    pub fn precondition_required(message: impl Into<String>) -> Self {
        Self { status: StatusCode::PRECONDITION_REQUIRED, code: "precondition_required", message: message.into() }
    }

    /// The body is longer than the URL takes.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, code: "too_large", message: message.into() }
    }

    /// The body is of another type than the URL takes.
    pub fn unsupported_type(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, code: "unsupported_media_type", message: message.into() }
    }

    /// The body is well-formed but cannot be acted upon.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code: "unprocessable", message: message.into() }
    }

    /// Not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "unavailable", message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let is_full = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let mut response = (self.status, Json(self)).into_response();
        if is_full {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}
