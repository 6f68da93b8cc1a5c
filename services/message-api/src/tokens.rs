//! JWTs, each tied to a session: ending the session ends the token.

use std::time::Duration;

use chat_core::{ChatError, Code, Session, SessionId, User, UserId, Username, clock};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Signs and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    sign: EncodingKey,
    check: DecodingKey,
    rules: Validation,
    lifetime: Duration,
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
    /// Tokens signed with this secret (HS256).
    #[must_use]
    pub fn new(secret: &SecretString, lifetime: Duration) -> Self {
        let key = secret.expose_secret().as_bytes();
        // The algorithm is ours to choose, never the token's.
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        rules.set_required_spec_claims(&["exp", "sub"]);
        Self {
            sign: EncodingKey::from_secret(key),
            check: DecodingKey::from_secret(key),
            rules,
            lifetime,
        }
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
        encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .map(Into::into)
            .map_err(|e| ChatError::internal("signing a token", e))
    }

    /// The session that a token was issued for. Whether that session still lives is another
    /// question. Fails with `invalid_token`.
    pub fn verify(&self, token: &SecretString) -> Result<Session, ChatError> {
        let claims = decode::<Claims>(token.expose_secret(), &self.check, &self.rules)
            .map_err(|_| invalid_token())?
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
        Tokens::new(&secret.into(), DAY)
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
        assert!(is_refused(&signed_with(Algorithm::HS512, |_| {})));
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
