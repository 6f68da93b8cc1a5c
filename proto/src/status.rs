//! Refusals between services: [`ChatError`] ⇄ gRPC status with a `google.rpc.ErrorInfo` whose
//! reason is the stable code.

use chat_core::{ChatError, Code};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::v1;

/// The `ErrorInfo` domain.
pub const DOMAIN: &str = "switchboard";

/// As it goes over the wire.
#[must_use]
pub fn from_error(error: &ChatError) -> Status {
    let code = error.code();
    let reason = code.as_str().to_ascii_uppercase();
    let details = ErrorDetails::with_error_info(reason, DOMAIN, [] as [(String, String); 0]);
    Status::with_error_details(tonic::Code::from_i32(code.grpc() as i32), error.message(), details)
}

/// Did message-api itself say it, rather than the transport?
#[must_use]
pub fn is_ours(status: &Status) -> bool {
    status.get_details_error_info().is_some_and(|info| info.domain == DOMAIN)
}

/// As the model knows it. A status without our details comes from the transport or from a peer
/// that speaks something else: what may pass by itself is `unavailable`, the rest `internal`.
#[must_use]
pub fn to_error(status: &Status) -> ChatError {
    let ours = status.get_details_error_info().filter(|info| info.domain == DOMAIN);
    let code: Option<Code> = ours.and_then(|info| info.reason.to_ascii_lowercase().parse().ok());
    match (code, status.code()) {
        (Some(code), _) => ChatError::new(code, status.message().to_owned()),
        (
            None,
            tonic::Code::Unavailable
            | tonic::Code::DeadlineExceeded
            | tonic::Code::Cancelled
            | tonic::Code::ResourceExhausted
            | tonic::Code::Unknown,
        ) => ChatError::unavailable("message-api", status),
        (None, _) => ChatError::internal("message-api", status),
    }
}

impl From<Status> for v1::Refusal {
    fn from(status: Status) -> Self {
        Self {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: status.details().to_owned(),
        }
    }
}

impl From<v1::Refusal> for Status {
    fn from(refusal: v1::Refusal) -> Self {
        let code = tonic::Code::from_i32(refusal.code);
        Self::with_details(code, refusal.message, refusal.details.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_survives_the_trip() {
        for &code in Code::ALL {
            let error = ChatError::new(code, "a sentence");
            assert_eq!(to_error(&from_error(&error)), error);
            let inside = v1::Refusal::from(from_error(&error));
            assert_eq!(to_error(&inside.into()), error);
        }
    }

    #[test]
    fn a_broken_connection_is_unavailable_and_a_strange_answer_internal() {
        let code = |status: Status| to_error(&status).code();
        assert_eq!(code(Status::unavailable("refused")), Code::Unavailable);
        assert_eq!(code(Status::deadline_exceeded("late")), Code::Unavailable);
        assert_eq!(code(Status::unimplemented("what?")), Code::Internal);
    }
}
