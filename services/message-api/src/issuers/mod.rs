//! Tokens of others: whoever a listed issuer (Keycloak, Auth0, …) says has logged in there.
//!
//! Which issuer is asked is told by `iss` alone; a token of nobody listed is looked at as one of our
//! own. An issuer's keys count for its own tokens only, and ours for none of them.
//!
//! | module | what it holds |
//! |---|---|
//! | `settings` | ISSUERS_FILE |
//! | `keys` | public keys, and what each may sign |
//! | `ring` | the keys as known here, and when they are fetched anew |
//! | `fetch` | fetching, with bounds |
//! | `names` | what their users are called here |

mod fetch;
mod keys;
mod names;
mod ring;
mod settings;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use chat_core::{ChatError, SessionId, clock, process::Shutdown};
use jsonwebtoken::{Header, dangerous::insecure_decode_claims, decode, decode_header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use self::{fetch::Fetcher, keys::Keys, ring::Ring};
pub use self::{
    ring::Pace,
    settings::{Issuer, read},
};
use crate::tokens::invalid_token;

/// By how much clocks may differ.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// The longest life of a token, from `iat` to `exp`.
pub const LONGEST_LIFE: Duration = Duration::from_secs(86_400);
/// Largest token, in bytes.
const LARGEST: usize = 16 * 1024;
/// What tokens are for may stand in `typ`: others (of logging out, say) open nothing.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// All whose tokens are believed beside our own. Clones share what is known of them.
#[derive(Clone, Default)]
pub struct Issuers(Arc<[Arc<Ring>]>);

/// What a valid token says.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Whose word it is.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// What they call themselves there.
    pub called: Option<String>,
    /// When the token was issued.
    pub issued_at: OffsetDateTime,
    /// When it ends.
    pub until: OffsetDateTime,
    /// The session that it stands for: the same on every replica.
    pub session: SessionId,
}

#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

impl Issuers {
    /// Begins to fetch the keys of all. None need be there yet.
    pub fn start(issuers: &[Issuer], pace: Pace, tasks: &Shutdown) -> anyhow::Result<Self> {
        if issuers.is_empty() {
            return Ok(Self::default());
        }
        let fetcher = Fetcher::new().context("ISSUERS_FILE: keys can't be fetched by HTTPS")?;
        let rings = issuers.iter().map(|issuer| {
            let ring = Arc::new(Ring::new(issuer.clone(), pace));
            tasks.spawn_until_stopped(Arc::clone(&ring).follow(fetcher.clone()));
            ring
        });
        Ok(Self(rings.collect()))
    }

    /// What a token of one of them says; `None` if it says that it is of nobody listed. Fails with
    /// `invalid_token`, or with `unavailable` while the keys are not known.
    pub async fn verify(&self, token: &SecretString) -> Option<Result<Identity, ChatError>> {
        let token = token.expose_secret();
        if self.0.is_empty() || token.len() > LARGEST {
            return None;
        }
        let Unverified { iss } = insecure_decode_claims(token).ok()?;
        let ring = self.0.iter().find(|ring| ring.issuer.name == iss)?;
        Some(verify(ring, token).await)
    }
}

async fn verify(ring: &Ring, token: &str) -> Result<Identity, ChatError> {
    let header = decode_header(token).map_err(|_| invalid_token())?;
    if !is_for_entering(&header) {
        return Err(invalid_token());
    }
    let keys = ring.keys_for(&header).await?;
    identity(&ring.issuer, &keys, &header, token).ok_or_else(invalid_token)
}

/// What must be understood and is not, or says that it is for something else, is refused.
fn is_for_entering(header: &Header) -> bool {
    let is_known = |kind: &String| TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known));
    header.crit.is_none() && header.typ.as_ref().is_none_or(is_known)
}

/// The signature is checked first, then what the library knows of claims, then the rest.
fn identity(issuer: &Issuer, keys: &Keys, header: &Header, token: &str) -> Option<Identity> {
    let key = keys.fitting(header)?;
    let claims = decode::<Map<String, Value>>(token, &key.check, &key.rules).ok()?.claims;
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let time = |claim: &str| {
        let seconds = claims.get(claim).and_then(Value::as_f64)?;
        OffsetDateTime::from_unix_timestamp(seconds as i64).ok()
    };
    let (issued_at, expires) = (time("iat")?, time("exp")?);
    if issued_at > clock::now() + LEEWAY || expires - issued_at > LONGEST_LIFE {
        return None;
    }
    let subject = text("sub")?;
    if text("iss")? != issuer.name || subject.is_empty() || subject.len() > settings::LONGEST {
        return None;
    }
    Some(Identity {
        issuer: issuer.name.clone(),
        subject: subject.to_owned(),
        called: text(&issuer.name_claim).map(str::to_owned),
        issued_at,
        until: expires + LEEWAY,
        session: session(&issuer.name, subject, token)?,
    })
}

/// Of what is signed, not of the signature, which for some algorithms has several valid forms: one
/// who logged out could make another and be in again. No cookie can hold the NUL, so none is the
/// secret of such a session.
fn session(issuer: &str, subject: &str, token: &str) -> Option<SessionId> {
    let (signed, _) = token.rsplit_once('.')?;
    let of = ["a session by a token of another", issuer, subject, signed].join("\0");
    Some(SessionId::of_secret(&of))
}
