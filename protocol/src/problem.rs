//! Problem details (RFC 9457), the body of every error that our HTTP services answer.

use serde::{Deserialize, Serialize};

/// `application/problem+json`. Its `type` is `about:blank`, so `title` says what the status means (section 4.2.1);
/// `detail` says what is wrong and what to do, `code` is for programs and translation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// HTTP status code.
    pub status: u16,
    /// What the status means.
    pub title: String,
    /// Stable reason code, in snake case.
    pub code: String,
    /// What is wrong here, and what to do.
    pub detail: String,
}

impl Problem {
    /// Media type of the body.
    pub const MEDIA_TYPE: &str = "application/problem+json";

    /// A problem with the status's usual title.
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            409 => "Conflict",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            415 => "Unsupported Media Type",
            422 => "Unprocessable Content",
            428 => "Precondition Required",
            429 => "Too Many Requests",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        Self { status, title: title.into(), code: code.into(), detail: detail.into() }
    }
}
