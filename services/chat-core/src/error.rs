//! The one error and its table: stable code, HTTP status, gRPC status.
//!
//! A dialect only phrases it. The cause is logged once, where the error is made, and never sent.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What most functions here return.
pub type Result<T, E = ChatError> = std::result::Result<T, E>;

/// gRPC status numbers, as the specification of gRPC fixes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Grpc {
    /// The caller's input is wrong whatever the state.
    InvalidArgument = 3,
    /// It did not end in time.
    DeadlineExceeded = 4,
    /// There is no such thing.
    NotFound = 5,
    /// There is one already.
    AlreadyExists = 6,
    /// Known, but not allowed.
    PermissionDenied = 7,
    /// Too much.
    ResourceExhausted = 8,
    /// The state does not allow it.
    FailedPrecondition = 9,
    /// Our fault.
    Internal = 13,
    /// Try again later.
    Unavailable = 14,
    /// Who are you?
    Unauthenticated = 16,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $code:literal $http:literal $grpc:ident;)*) => {
        /// Every way in which a request can be refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name that clients and other services may match on.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn http(self) -> u16 {
                match self { $(Self::$variant => $http,)* }
            }

            /// The gRPC status.
            #[must_use]
            pub const fn grpc(self) -> Grpc {
                match self { $(Self::$variant => Grpc::$grpc,)* }
            }
        }

        impl FromStr for Code {
            type Err = ();

            fn from_str(s: &str) -> Result<Self, ()> {
                match s { $($code => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
    };
}

codes! {
    /// A field is missing or of the wrong type, or the body is not what it should be.
    InvalidPayload "invalid_payload" 400 InvalidArgument;
    /// The message has no text.
    Empty "empty" 400 InvalidArgument;
    /// The message is longer than the limit.
    TextTooLong "text_too_long" 400 InvalidArgument;
    /// A user name breaks the rules of names.
    InvalidUsername "invalid_username" 400 InvalidArgument;
    /// A password is too short or too long.
    InvalidPassword "invalid_password" 400 InvalidArgument;
    /// A room's name breaks the rules of titles.
    InvalidName "invalid_name" 400 InvalidArgument;
    /// An idempotency key is not 1 to 64 printable characters.
    InvalidClientId "invalid_client_id" 400 InvalidArgument;
    /// A media URL that no upload returned, or too many of them.
    InvalidMedia "invalid_media" 400 InvalidArgument;
    /// A direct message to oneself.
    InvalidRecipient "invalid_recipient" 400 InvalidArgument;
    /// The protocol has no such event.
    UnknownEvent "unknown_event" 400 InvalidArgument;
    /// No session or token, or a dead one.
    Unauthorised "unauthorised" 401 Unauthenticated;
    /// The token is forged, expired or its session has ended.
    InvalidToken "invalid_token" 401 Unauthenticated;
    /// Unknown user or wrong password: the same answer for both.
    InvalidCredentials "invalid_credentials" 401 Unauthenticated;
    /// The payload names somebody other than the authenticated user.
    IdentityMismatch "identity_mismatch" 403 PermissionDenied;
    /// Known, but this is not theirs.
    Forbidden "forbidden" 403 PermissionDenied;
    /// The room must be joined first.
    NotJoined "not_joined" 403 FailedPrecondition;
    /// No such conversation or message, or none that this caller may know of.
    NotFound "not_found" 404 NotFound;
    /// Nobody bears that name.
    UnknownUser "unknown_user" 404 NotFound;
    /// The user name is taken.
    UsernameTaken "username_taken" 409 AlreadyExists;
    /// A room of that name exists.
    NameTaken "name_taken" 409 AlreadyExists;
    /// The payload is larger than any valid one.
    PayloadTooLarge "payload_too_large" 413 InvalidArgument;
    /// A file of a kind that is not taken.
    UnsupportedMedia "unsupported_media" 415 InvalidArgument;
    /// Too many events, rooms or requests; later it will work.
    RateLimited "rate_limited" 429 ResourceExhausted;
    /// Our fault. The cause is in our log.
    Internal "internal" 500 Internal;
    /// Something we need is down, or the answer took too long. Trying again is right.
    Unavailable "unavailable" 503 Unavailable;
}

impl Code {
    /// May the same request work later, unchanged?
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::RateLimited)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When it is worth asking again for what others have to make room for.
const WORTH_A_TRY: Duration = Duration::from_secs(10);

/// A refusal: a stable code for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ChatError {
    code: Code,
    message: Cow<'static, str>,
    field: Option<&'static str>,
    /// In milliseconds: there are very many results, most of them no refusals.
    retry_after: Option<NonZeroU32>,
}

impl ChatError {
    /// A refusal with a sentence that names what was wrong. The sentence reaches clients.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), field: None, retry_after: None }
    }

    /// The same, of this field of the request: a dotted path, e.g. `caller.user`. The field that was
    /// named first stays.
    #[must_use]
    pub const fn of_field(mut self, field: &'static str) -> Self {
        if self.field.is_none() {
            self.field = Some(field);
        }
        self
    }

    /// Too much of something: after so long there is room for more.
    pub fn rate_limited(message: impl Into<Cow<'static, str>>, after: Duration) -> Self {
        let ms = u32::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
        let retry_after = NonZeroU32::new(ms.max(1));
        Self { retry_after, ..Self::new(Code::RateLimited, message) }
    }

    /// There are as many at once as there may be: one has to go first, and a moment later it is worth
    /// a try.
    pub fn too_many_at_once(message: impl Into<Cow<'static, str>>) -> Self {
        Self::rate_limited(message, WORTH_A_TRY)
    }

    /// How long to wait before trying again, where that is known; in whole milliseconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms().map(|ms| Duration::from_millis(ms.into()))
    }

    /// The same as sockets are told it, as `retryAfterMs`.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u32> {
        self.retry_after.map(NonZeroU32::get)
    }

    /// The payload lacks something, or something in it has the wrong type.
    pub fn invalid_payload(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidPayload, message)
    }

    /// Something we depend on failed: logs the cause, tells the client only that it may try again.
    ///
    /// An outage is logged every few seconds, not for each request that meets it.
    pub fn unavailable(what: &'static str, cause: impl fmt::Display) -> Self {
        if is_worth_a_line(what) {
            tracing::warn!(what, %cause, "unavailable");
        } else {
            tracing::debug!(what, %cause, "unavailable");
        }
        Self::new(Code::Unavailable, "the service is unavailable for the moment, try again")
    }

    /// A fault of ours: logs the cause, tells the client nothing of it.
    pub fn internal(what: &'static str, cause: impl fmt::Display) -> Self {
        tracing::error!(what, %cause, "internal error");
        Self::new(Code::Internal, "internal error")
    }

    /// No session or token, where one is needed.
    #[must_use]
    pub fn unauthorised() -> Self {
        Self::new(Code::Unauthorised, "log in first")
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The field of the request that is wrong, where that is known.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// How long one line about something that is down speaks for those that follow.
const QUIET: Duration = Duration::from_secs(5);

fn is_worth_a_line(what: &'static str) -> bool {
    static TOLD: Mutex<BTreeMap<&str, Instant>> = Mutex::new(BTreeMap::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let is_due = told.get(what).is_none_or(|at| now.duration_since(*at) >= QUIET);
    if is_due {
        told.insert(what, now);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn who_is_sent_away_is_never_told_too_short_a_time() {
        let after = |time| ChatError::rate_limited("slowly", time).retry_after_ms();
        assert_eq!(after(Duration::from_nanos(1)), Some(1));
        assert_eq!(after(Duration::from_micros(1_500)), Some(2));
        assert_eq!(after(Duration::from_secs(2)), Some(2_000));
        assert_eq!(after(Duration::ZERO), Some(1));
        assert_eq!(ChatError::new(Code::RateLimited, "slowly").retry_after(), None);
    }

    #[test]
    fn an_outage_is_told_once_in_a_while() {
        assert!(is_worth_a_line("something of this test"));
        assert!(!is_worth_a_line("something of this test"));
        assert!(is_worth_a_line("something else of this test"));
    }

    #[test]
    fn every_code_is_unique_and_parses_back() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for &code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
        }
    }
}
