//! Refusals between services: [`ChatError`] ⇄ gRPC status with a `google.rpc.ErrorInfo` whose
//! reason is the stable code.
//!
//! What may work later carries a `RetryInfo`, what is wrong in a field a `BadRequest`.

use std::time::Duration;

use chat_core::{ChatError, Code};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::v1;

/// The `ErrorInfo` domain.
pub const DOMAIN: &str = "switchboard";

/// The reason of a call whose service token is not (or no longer) known. It is no code of the
/// table: no user hears of it.
pub const SERVICE_TOKEN_REFUSED: &str = "SERVICE_TOKEN_REFUSED";
/// The reason of a call that took longer than its deadline, or than the server allows.
pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
/// The reason of a verb that this server does not know.
pub const UNIMPLEMENTED: &str = "UNIMPLEMENTED";

/// When something that may pass is worth another try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// As it goes over the wire.
#[must_use]
pub fn from_error(error: &ChatError) -> Status {
    let code = error.code();
    let mut details = details(code.as_str().to_ascii_uppercase());
    if code.is_transient() {
        details.set_retry_info(Some(error.retry_after().unwrap_or(RETRY_AFTER)));
    }
    let status = tonic::Code::from_i32(code.grpc() as i32);
    if let (Some(field), tonic::Code::InvalidArgument) = (error.field(), status) {
        details.add_bad_request_violation(field, error.message());
    }
    Status::with_error_details(status, error.message(), details)
}

/// A refusal whose reason is none of the table's codes.
#[must_use]
pub fn with_reason(code: tonic::Code, reason: &str, sentence: &str) -> Status {
    let mut details = details(reason.to_owned());
    if matches!(code, tonic::Code::DeadlineExceeded | tonic::Code::Unavailable) {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    Status::with_error_details(code, sentence, details)
}

fn details(reason: String) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [] as [(String, String); 0])
}

/// Was the service token refused?
#[must_use]
pub fn is_token_refused(status: &Status) -> bool {
    status.code() == tonic::Code::Unauthenticated
        && status
            .get_details_error_info()
            .is_some_and(|info| info.domain == DOMAIN && info.reason == SERVICE_TOKEN_REFUSED)
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
        (Some(Code::RateLimited), _) => {
            let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
            ChatError::rate_limited(status.message().to_owned(), told.unwrap_or(RETRY_AFTER))
        }
        (Some(code), _) => ChatError::new(code, status.message().to_owned()),
        (
            None,
            tonic::Code::Unavailable
            | tonic::Code::DeadlineExceeded
            | tonic::Code::Cancelled
            | tonic::Code::ResourceExhausted
            | tonic::Code::Unknown,
        ) => ChatError::unavailable("message-api", status),
        // Which passes, in the middle of a rotation.
        (None, _) if is_token_refused(status) => ChatError::unavailable("message-api", status),
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
            let error = match code {
                Code::RateLimited => ChatError::rate_limited("a sentence", RETRY_AFTER * 40),
                _ => ChatError::new(code, "a sentence"),
            };
            assert_eq!(to_error(&from_error(&error)), error);
            let inside = v1::Refusal::from(from_error(&error));
            assert_eq!(to_error(&inside.into()), error);
        }
    }

    #[test]
    fn a_wrong_field_is_named_and_what_may_pass_says_when_to_come_back() {
        let wrong = ChatError::new(Code::Empty, "say something").of_field("text");
        let details = from_error(&wrong).get_error_details();
        let bad = details.bad_request().expect("a BadRequest");
        assert_eq!(bad.field_violations[0].field, "text");
        assert!(details.retry_info().is_none());
        // What does not exist is no wrong argument.
        let absent = ChatError::new(Code::NotFound, "no such conversation");
        let details = from_error(&absent.of_field("conversation_id")).get_error_details();
        assert!(details.bad_request().is_none());
        let later = from_error(&ChatError::new(Code::RateLimited, "later")).get_error_details();
        assert!(later.retry_info().is_some_and(|info| info.retry_delay == Some(RETRY_AFTER)));
    }

    #[test]
    fn a_refused_token_is_nobodys_login_and_like_a_late_call_it_may_be_repeated() {
        let status =
            with_reason(tonic::Code::Unauthenticated, SERVICE_TOKEN_REFUSED, "show another");
        assert!(is_token_refused(&status));
        assert_eq!(to_error(&status).code(), Code::Unavailable);
        assert!(!is_token_refused(&from_error(&ChatError::unauthorised())));
        let late = with_reason(tonic::Code::DeadlineExceeded, DEADLINE_EXCEEDED, "too late");
        assert_eq!(to_error(&late).code(), Code::Unavailable);
    }

    #[test]
    fn a_broken_connection_is_unavailable_and_a_strange_answer_internal() {
        let code = |status: Status| to_error(&status).code();
        assert_eq!(code(Status::unavailable("refused")), Code::Unavailable);
        assert_eq!(code(Status::deadline_exceeded("late")), Code::Unavailable);
        assert_eq!(code(Status::unimplemented("what?")), Code::Internal);
    }
}
