//! Sessions by tokens of other issuers: each begins with the first use of its token, ends with the
//! token and is never begun twice.

use chat_core::{Session, SessionId, User, clock};
use redis::Cmd;
use time::OffsetDateTime;

use super::{Record, Result, Sessions};

/// What is known of a session by a token of another issuer.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it may begin.
    Nothing,
    /// It lives.
    Living(Session),
    /// It was ended, for good.
    Ended,
}

/// A session just begun by a token of another issuer.
#[derive(Debug)]
pub struct Entered {
    /// What is known of it now: another request may have been quicker to begin it, or to end it.
    pub known: Known,
    /// Those that had to end for it.
    pub ended: Vec<SessionId>,
}

impl Sessions {
    /// Begins the session of a token of another issuer. It ends with the token, however it is used,
    /// and does not begin if it was ended before.
    pub async fn enter(
        &self,
        user: &User,
        id: &SessionId,
        until: OffsetDateTime,
    ) -> Result<Entered> {
        let until = until.unix_timestamp();
        let record = Record::of(user, Some(until))?;
        let too_many = self.enlist(user.id, id).await?;
        let (lane, key) = self.key(id);
        let mut set = redis::cmd("SET");
        set.arg(key).arg(record).arg("NX").arg("EX").arg(left(until));
        let is_new: Option<String> = self.ask(lane, &set).await?;
        let known = match is_new {
            Some(_) => Known::Living(Session { id: id.clone(), user: user.clone() }),
            None => self.known(id).await?,
        };
        Ok(Entered { known, ended: self.end_each(too_many).await? })
    }

    /// What is known of the session of a token of another issuer.
    pub async fn known(&self, id: &SessionId) -> Result<Known> {
        let (lane, key) = self.key(id);
        let stored: Option<String> = self.ask(lane, &Cmd::get(key)).await?;
        match stored.as_deref() {
            None => Ok(Known::Nothing),
            Some("") => Ok(Known::Ended),
            Some(stored) => {
                let user = Record::parse(stored)?.user()?;
                Ok(Known::Living(Session { id: id.clone(), user }))
            }
        }
    }
}

/// Seconds until then, by our clock: that of Redis may be another.
pub(super) fn left(until: i64) -> i64 {
    until.saturating_sub(clock::now().unix_timestamp()).max(1)
}
