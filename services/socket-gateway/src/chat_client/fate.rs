//! What became of a call that failed: may it go to another replica?

use std::error::Error;

use switchboard_proto::status::{is_ours, is_token_refused};
use tonic::{Code, ConnectError, Status};

/// What is known of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The replica never began it: it may go elsewhere, whatever it is.
    NotSent,
    /// It was not begun, for want of room or since our token is not known there: it may go
    /// elsewhere, and the replica is well.
    Full,
    /// The way to the replica broke, or nothing came back in time.
    Unknown,
    /// The replica answered that something it needs is away.
    Unavailable,
    /// The replica answered, and another would say the same.
    Answered,
}

/// May a call happen twice?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twice {
    /// It changes nothing then.
    Fine,
    /// It must not: it moves to another replica only if the first surely never began it.
    Never,
}

impl Fate {
    /// May it go to another replica, or to the same again?
    pub(super) const fn may_move(self, twice: Twice) -> bool {
        match self {
            Self::NotSent | Self::Full => true,
            Self::Unknown | Self::Unavailable => matches!(twice, Twice::Fine),
            Self::Answered => false,
        }
    }
}

/// A call that failed.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) fate: Fate,
    pub(super) status: Status,
}

impl Failed {
    /// It failed on the way, for a reason that may pass.
    pub(super) fn new(fate: Fate, why: &str) -> Self {
        Self { fate, status: Status::unavailable(why) }
    }
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self { fate: of(&status), status }
    }
}

/// Reads it from the status and what caused it.
pub(super) fn of(status: &Status) -> Fate {
    if is_token_refused(status) {
        return Fate::Full;
    }
    if is_ours(status) {
        return match status.code() {
            Code::Unavailable => Fate::Unavailable,
            // It may have been done.
            Code::DeadlineExceeded => Fate::Unknown,
            _ => Fate::Answered,
        };
    }
    if never_sent(status) {
        return Fate::NotSent;
    }
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::ResourceExhausted
        | Code::Unknown => Fate::Unknown,
        _ => Fate::Answered,
    }
}

/// No connection; or one that was closing before the request left; or the peer says that it has
/// not looked at the request (a refused stream, or GOAWAY with a lower last stream).
fn never_sent(status: &Status) -> bool {
    let mut cause = Error::source(status);
    while let Some(error) = cause {
        let refused = error.downcast_ref::<h2::Error>().is_some_and(|e| {
            e.reason() == Some(h2::Reason::REFUSED_STREAM) || (e.is_go_away() && e.is_remote())
        });
        let canceled = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
        if refused || canceled || error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use chat_core::ChatError;
    use switchboard_proto::status::{SERVICE_TOKEN_REFUSED, from_error, to_error, with_reason};

    use super::*;

    #[test]
    fn a_refused_connection_and_a_refused_stream_were_never_sent() {
        let refused = ConnectError(std::io::Error::other("refused").into());
        assert_eq!(of(&Status::from_error(refused.into())), Fate::NotSent);
        let stream = h2::Error::from(h2::Reason::REFUSED_STREAM);
        assert_eq!(of(&Status::from_error(stream.into())), Fate::NotSent);
    }

    #[test]
    fn a_broken_connection_says_nothing_of_the_call() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(of(&Status::from_error(broken.into())), Fate::Unknown);
        let reset = h2::Error::from(h2::Reason::CANCEL);
        assert_eq!(of(&Status::from_error(reset.into())), Fate::Unknown);
        assert_eq!(of(&Status::deadline_exceeded("late")), Fate::Unknown);
    }

    #[test]
    fn an_answer_is_told_apart_from_the_transport() {
        let down = ChatError::unavailable("mysql", "gone");
        assert_eq!(of(&from_error(&down)), Fate::Unavailable);
        assert_eq!(of(&from_error(&ChatError::unauthorised())), Fate::Answered);
        assert_eq!(of(&Status::unauthenticated("show the service token")), Fate::Answered);
    }

    #[test]
    fn another_replica_may_know_our_token_already() {
        let refused = with_reason(Code::Unauthenticated, SERVICE_TOKEN_REFUSED, "show the token");
        assert_eq!(of(&refused), Fate::Full);
        assert_eq!(to_error(&refused).code(), chat_core::Code::Unavailable);
    }
}
