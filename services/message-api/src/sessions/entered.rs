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

impl Sessions {
    /// Begins the session of a token of another issuer. It ends with the token, however it is used,
    /// and does not begin if it was ended before. Answers what is known of it now: another request may
    /// have been quicker to begin it, or to end it. `ended` hears of those that end for it.
    pub async fn enter(
        &self,
        user: &User,
        id: &SessionId,
        until: OffsetDateTime,
        ended: impl Fn(&SessionId),
    ) -> Result<Known> {
        let until = until.unix_timestamp();
        let (lane, key) = self.key(id);
        let mut set = redis::cmd("SET");
        set.arg(key).arg(Record::of(user, Some(until))?).arg("NX").arg("EX").arg(left(until));
        let is_new: Option<String> = self.ask(lane, &set).await?;
        let known = match is_new {
            Some(_) => Known::Living(Session { id: id.clone(), user: user.clone() }),
            None => self.recorded(id).await?,
        };
        if let Known::Living(session) = &known {
            self.enlist(session.user.id, id, left(until), ended).await?;
        }
        Ok(known)
    }

    /// What is known of the session of a token of another issuer. One that is in no list may begin.
    pub async fn known(&self, id: &SessionId) -> Result<Known> {
        let known = self.recorded(id).await?;
        if let Known::Living(session) = &known {
            let (lane, index) = self.index(session.user.id);
            let place: Option<f64> = self.ask(lane, &Cmd::zscore(index, id.as_str())).await?;
            if place.is_none() {
                return Ok(Known::Nothing);
            }
        }
        Ok(known)
    }

    async fn recorded(&self, id: &SessionId) -> Result<Known> {
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
pub(super) fn left(until: i64) -> u64 {
    let left = until.saturating_sub(clock::now().unix_timestamp());
    u64::try_from(left).unwrap_or_default().max(1)
}
