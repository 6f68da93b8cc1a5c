//! What 002 and 004 ask of somebody who registers or logs in.

use chat_core::{ChatError, Code, Limits, Password, Result, Username};
use serde_json::Value;
use utoipa::ToSchema;

use crate::payload::Fields;

/// `{"username", "password"}` of a new account.
#[derive(Debug, ToSchema)]
pub(crate) struct Registration {
    /// ASCII letters, digits, `_ . -`, 2 to 32 of them; unique without regard to case.
    #[schema(value_type = String, example = "alice")]
    pub(crate) username: Username,
    /// Within the length that the server's setting allows.
    #[schema(value_type = String, format = Password, max_length = 128)]
    pub(crate) password: Password,
}

impl Registration {
    /// Reads the object's fields.
    pub(crate) fn parse(body: &Value, limits: &Limits) -> Result<Self> {
        let fields = Fields::of(body)?;
        Ok(Self {
            username: Username::parse(fields.text("username")?)?,
            password: Password::parse(fields.text("password")?, limits)?,
        })
    }
}

/// `{"username", "password"}` of somebody who logs in.
#[derive(Debug, ToSchema)]
pub(crate) struct Entry {
    /// In any letter case.
    #[schema(value_type = String, example = "alice")]
    pub(crate) username: Username,
    /// The account's.
    #[schema(value_type = String, format = Password, max_length = 128)]
    pub(crate) password: Password,
}

impl Entry {
    /// Reads the object's fields. A name or password that no account can have is simply wrong.
    pub(crate) fn parse(body: &Value) -> Result<Self> {
        let fields = Fields::of(body)?;
        let (username, password) = (fields.text("username")?, fields.text("password")?);
        let wrong = |_| ChatError::new(Code::InvalidCredentials, "wrong user name or password");
        Ok(Self {
            username: Username::parse(username).map_err(wrong)?,
            password: Password::offered(password)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_account_can_have_is_refused_at_register_and_simply_wrong_at_login() {
        let register =
            |body| Registration::parse(&body, &Limits::default()).expect_err("refused").code();
        let log_in = |body| Entry::parse(&body).expect_err("refused").code();

        let strange_name = json!({"username": "a b", "password": "long enough"});
        assert_eq!(register(strange_name.clone()), Code::InvalidUsername);
        assert_eq!(log_in(strange_name), Code::InvalidCredentials);

        let endless = json!({"username": "alice", "password": "x".repeat(129)});
        assert_eq!(register(endless.clone()), Code::InvalidPassword);
        assert_eq!(log_in(endless), Code::InvalidCredentials);
    }

    #[test]
    fn both_fields_are_needed_and_never_quoted() {
        for body in
            [json!({"username": "alice"}), json!({"username": "alice", "password": 271_828})]
        {
            for error in [
                Registration::parse(&body, &Limits::default()).expect_err("refused"),
                Entry::parse(&body).expect_err("refused"),
            ] {
                assert_eq!(error.code(), Code::InvalidPayload);
                assert!(error.message().contains("`password`") && !error.message().contains("271"));
            }
        }
    }
}
