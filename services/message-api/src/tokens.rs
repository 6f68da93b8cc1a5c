//! JWTs, each tied to a session: ending the session ends the token.
//!
//! They are signed with HS256 and nothing else is believed. `kid` in a token's header says which
//! secret signed it, so that JWT_SECRET can be rotated: the first secret signs, the second is still
//! believed.

mod secrets;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chat_core::{
    ChatError, Code, Session, SessionId, User, UserId, Username, clock,
    process::{Shutdown, follow_file},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::secrets::JwtSecrets;

/// Signs and checks tokens. Clones share the secrets.
#[derive(Clone)]
pub struct Tokens {
    keys: Arc<RwLock<Arc<[Key]>>>,
    rules: Arc<Validation>,
    lifetime: Duration,
}

/// A secret, ready for use.
struct Key {
    id: String,
    sign: EncodingKey,
    check: DecodingKey,
}

impl Key {
    fn of(secret: &SecretString) -> Self {
        let bytes = secret.expose_secret().as_bytes();
        let (sign, check) = (EncodingKey::from_secret(bytes), DecodingKey::from_secret(bytes));
        Self { id: key_id(bytes), sign, check }
    }
}

/// The `kid` of a secret: a digest too short to tell anything of it.
fn key_id(secret: &[u8]) -> String {
    let digest = Sha256::new_with_prefix("switchboard kid").chain_update(secret).finalize();
    digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keys(secrets: &[SecretString]) -> Arc<[Key]> {
    secrets.iter().map(Key::of).collect()
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    /// The user's id, as a string.
    sub: String,
    user_id: u64,
    username: String,
    /// The session's id.
    sid: String,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    exp: i64,
}

impl Tokens {
    /// Tokens signed with the first of these secrets (HS256), believed if signed with any.
    #[must_use]
    pub fn new(secrets: &JwtSecrets, lifetime: Duration) -> Self {
        // The algorithm is ours to choose, never the token's.
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        rules.set_required_spec_claims(&["exp", "sub"]);
        let keys = Arc::new(RwLock::new(keys(&secrets.secrets)));
        Self { keys, rules: Arc::new(rules), lifetime }
    }

    /// Begins to read JWT_SECRET_FILE again whenever it changes.
    pub fn follow(&self, secrets: &JwtSecrets, tasks: &Shutdown) {
        let Some((path, text)) = secrets.file.clone() else { return };
        let all = Arc::clone(&self.keys);
        let take = move |text: &str| {
            let taken = keys(&JwtSecrets::parse_file(text)?);
            *all.write().unwrap_or_else(PoisonError::into_inner) = taken;
            Ok(())
        };
        let stale = |is_stale| {
            metrics::gauge!("switchboard_jwt_secrets_stale").set(if is_stale { 1 } else { 0 });
        };
        let text = text.expose_secret().to_owned();
        tasks.spawn_until_stopped(follow_file("JWT_SECRET_FILE", path, text, take, stale));
    }

    fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The token of a session.
    pub fn issue(&self, session: &Session) -> Result<SecretString, ChatError> {
        let now = clock::now().unix_timestamp();
        let claims = Claims {
            sub: session.user.id.to_string(),
            user_id: session.user.id.0,
            username: session.user.name.to_string(),
            sid: session.id.as_str().to_owned(),
            iat: now,
            exp: now.saturating_add_unsigned(self.lifetime.as_secs()),
        };
        let keys = self.keys();
        let failed = |cause: String| ChatError::internal("signing a token", cause);
        let key = keys.first().ok_or_else(|| failed("there is no secret".into()))?;
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims, &key.sign).map(Into::into).map_err(|e| failed(e.to_string()))
    }

    /// The session that a token was issued for. Whether that session still lives is another
    /// question. Fails with `invalid_token`.
    pub fn verify(&self, token: &SecretString) -> Result<Session, ChatError> {
        let token = token.expose_secret();
        let header = decode_header(token).map_err(|_| invalid_token())?;
        let keys = self.keys();
        // Tokens without `kid` are of the time before there was one.
        let mut fitting =
            keys.iter().filter(|key| header.kid.as_ref().is_none_or(|kid| *kid == key.id));
        let claims = fitting
            .find_map(|key| decode::<Claims>(token, &key.check, &self.rules).ok())
            .ok_or_else(invalid_token)?
            .claims;
        let name = Username::parse(&claims.username).map_err(|_| invalid_token())?;
        let id = SessionId::parse(&claims.sid).ok_or_else(invalid_token)?;
        Ok(Session { id, user: User { id: UserId(claims.user_id), name } })
    }
}

/// One refusal for all that can be wrong with a token.
#[must_use]
pub fn invalid_token() -> ChatError {
    ChatError::new(Code::InvalidToken, "this token is not valid, or no longer")
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&JwtSecrets::fixed(secret), DAY)
    }

    fn session() -> Session {
        let user = User { id: UserId(7), name: Username::parse("alice").expect("a name") };
        Session { id: SessionId::of_secret("s"), user }
    }

    fn issued() -> String {
        tokens("a secret").issue(&session()).expect("signs").expose_secret().to_owned()
    }

    fn is_refused(token: &str) -> bool {
        let refused = tokens("a secret").verify(&token.into());
        refused.is_err_and(|e| e.code() == Code::InvalidToken)
    }

    fn signed_with(algorithm: Algorithm, change: impl Fn(&mut Value)) -> String {
        let now = clock::now().unix_timestamp();
        let mut claims = json!({"sub": "7", "userId": 7, "username": "alice",
            "sid": session().id.as_str(), "iat": now, "exp": now + 60});
        change(&mut claims);
        let key = EncodingKey::from_secret(b"a secret");
        encode(&Header::new(algorithm), &claims, &key).expect("signs")
    }

    /// A token with this header, rightly signed with HS256 whatever the header says.
    fn headed(header: &Value) -> String {
        let parts: Vec<_> = issued().split('.').map(str::to_owned).collect();
        let said = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1]);
        let key = EncodingKey::from_secret(b"a secret");
        let signature = jsonwebtoken::crypto::sign(said.as_bytes(), &key, Algorithm::HS256);
        format!("{said}.{}", signature.expect("signs"))
    }

    #[test]
    fn a_token_tells_its_session() {
        assert_eq!(tokens("a secret").verify(&issued().into()), Ok(session()));
        let payload = URL_SAFE_NO_PAD.decode(issued().split('.').nth(1).expect("payload"));
        let claims: Value = serde_json::from_slice(&payload.expect("base64")).expect("JSON");
        assert_eq!((&claims["sub"], &claims["userId"]), (&json!("7"), &json!(7)));
        assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|at| at + 86_400));
    }

    #[test]
    fn a_token_of_another_secret_or_algorithm_is_refused() {
        let other = tokens("another").issue(&session()).expect("signs");
        assert!(is_refused(other.expose_secret()));
        assert!(!is_refused(&signed_with(Algorithm::HS256, |_| {})));
        for other in [Algorithm::HS384, Algorithm::HS512] {
            assert!(is_refused(&signed_with(other, |_| {})), "{other:?}");
        }
    }

    #[test]
    fn a_header_can_neither_choose_the_algorithm_nor_bring_its_key() {
        let with = |more: Value| {
            let mut header = json!({"alg": "HS256", "typ": "JWT"});
            header.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
            headed(&header)
        };
        assert!(!is_refused(&with(json!({}))), "the forger's tool works");
        for algorithm in [
            "none", "None", "NONE", "", "hs256", "HS384", "HS512", "RS256", "PS256", "ES256",
            "EdDSA",
        ] {
            assert!(is_refused(&with(json!({"alg": algorithm}))), "{algorithm}");
        }
        assert!(is_refused(&with(json!({"alg": null}))) && is_refused(&with(json!({"alg": 1}))));
        for kid in ["", "00000000", "../../dev/null", "' OR 1=1", &"x".repeat(10_000)] {
            assert!(is_refused(&with(json!({"kid": kid}))), "{kid}");
        }
        // A key that is brought along counts for nothing: not even for a token signed with it.
        let own = EncodingKey::from_secret(b"the forger's");
        let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("the forger's")});
        let header = json!({"alg": "HS256", "typ": "JWT", "jwk": jwk, "jku": "http://127.0.0.1:9"});
        let parts: Vec<_> = issued().split('.').map(str::to_owned).collect();
        let said = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1]);
        let forged = jsonwebtoken::crypto::sign(said.as_bytes(), &own, Algorithm::HS256);
        assert!(is_refused(&format!("{said}.{}", forged.expect("signs"))));
    }

    #[test]
    fn a_token_names_its_secret_and_outlives_the_rotation_as_long_as_both_are_known() {
        let (old, both, new) = (
            tokens("a secret"),
            Tokens::new(&JwtSecrets::of(&["the newer", "a secret"]), DAY),
            tokens("the newer"),
        );
        let issue = |tokens: &Tokens| tokens.issue(&session()).expect("signs");
        let kid = |token: &SecretString| {
            decode_header(token.expose_secret()).expect("a header").kid.expect("a kid")
        };
        let (before, during) = (issue(&old), issue(&both));
        assert_ne!(kid(&before), kid(&during));
        assert_eq!(kid(&during), kid(&issue(&new)));
        for (tokens, believes_old, believes_new) in
            [(&old, true, false), (&both, true, true), (&new, false, true)]
        {
            assert_eq!(tokens.verify(&before).is_ok(), believes_old);
            assert_eq!(tokens.verify(&during).is_ok(), believes_new);
        }
        // Tokens of the time before `kid` are believed by their signature.
        assert!(both.verify(&headed(&json!({"alg": "HS256", "typ": "JWT"})).into()).is_ok());
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let parts: Vec<_> = issued().split('.').map(str::to_owned).collect();
        for signature in ["", &parts[2]] {
            assert!(is_refused(&format!("{none}.{}.{signature}", parts[1])));
        }
        assert!(is_refused(&format!("{}.{}.", parts[0], parts[1])));
    }

    #[test]
    fn an_expired_or_altered_token_is_refused() {
        assert!(is_refused(&signed_with(Algorithm::HS256, |c| c["exp"] = json!(1))));
        for claim in ["exp", "sub", "sid", "userId", "username"] {
            let lacking = signed_with(Algorithm::HS256, |c| c[claim] = Value::Null);
            assert!(is_refused(&lacking), "{claim}");
        }
        let parts: Vec<_> = issued().split('.').map(str::to_owned).collect();
        let forged = URL_SAFE_NO_PAD.encode(r#"{"sub":"1"}"#);
        assert!(is_refused(&format!("{}.{forged}.{}", parts[0], parts[2])));
        for garbage in ["", ".", "..", "a.b.c", "\0"] {
            assert!(is_refused(garbage));
        }
    }
}
