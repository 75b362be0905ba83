//! Refusals in OpenAI's shape.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::engine::EngineError;

/// A refusal: status, and the fields of OpenAI's error object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after_s: Option<u32>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code: None, param: None, message: message.into(), retry_after_s: None }
    }

    /// A request that cannot be served as it stands; `param` names the member.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message) }
    }

    /// A request that is wrong as a whole.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn model_not_found(asked: &str, served: &str) -> Self {
        let shown: String = asked.chars().take(80).collect();
        let message = format!("The model `{shown}` is not served here; this instance serves `{served}`.");
        Self {
            code: Some("model_not_found"),
            param: Some("model".to_owned()),
            ..Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
        }
    }

    pub(crate) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "This receipt answers to the bearer token of its request.")
    }

    pub(crate) fn too_large(bound: usize) -> Self {
        let message = format!("The request body is larger than {bound} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message).with_code("request_too_large")
    }

    pub(crate) fn busy(retry_after_s: u32) -> Self {
        let message = "All places in the queue are taken; try again shortly.";
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message).with_code("queue_full")
        }
    }

    pub(crate) fn sessions() -> Self {
        let message = "This service runs the model itself and has no upstream sessions to pin.";
        Self {
            param: Some("provider.aci_session_ids".to_owned()),
            ..Self::new(StatusCode::PRECONDITION_FAILED, "session_not_accepted", message)
        }
    }

    pub(crate) fn unavailable(message: &str) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message) }
    }

    pub(crate) fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    pub(crate) fn timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", "The request body did not arrive in time.")
    }

    /// The body.
    pub(crate) fn body(&self) -> Vec<u8> {
        let error = json!({"message": self.message, "type": self.kind, "param": self.param, "code": self.code});
        json!({ "error": error }).to_string().into_bytes()
    }
}

impl From<&EngineError> for ApiError {
    fn from(error: &EngineError) -> Self {
        match error {
            EngineError::PromptTooLong { .. } => {
                Self::invalid("messages", error.to_string()).with_code("context_length_exceeded")
            }
            EngineError::PromptEmpty | EngineError::Template(_) => Self::invalid("messages", error.to_string()),
            _ => Self::internal("The engine failed; the instance's log says why."),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
