//! The token by which the gateways are known to message-api, and its rotation.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::{Secret, one_or_two};

/// Fewest characters of a service token.
pub const SERVICE_TOKEN_MIN: usize = 16;

/// SERVICE_TOKEN as it was at the start: one token, or two while it is rotated, the new one first.
#[derive(Clone, Debug)]
pub struct ServiceToken {
    /// At least one.
    pub tokens: Vec<SecretString>,
    /// The file that says so, and its text; to be read again.
    pub file: Option<(PathBuf, SecretString)>,
}

impl ServiceToken {
    /// Reads it from SERVICE_TOKEN or SERVICE_TOKEN_FILE. The error is one sentence that names the
    /// setting.
    pub fn read(value: Option<&SecretString>, file: Option<&PathBuf>) -> Result<Self, String> {
        let text = Secret { name: "SERVICE_TOKEN", value, file }.read()?;
        let Some(path) = file else {
            return parse("SERVICE_TOKEN", text.expose_secret()).map(Self::fixed);
        };
        let tokens = Self::parse_file(text.expose_secret())?;
        Ok(Self { tokens, file: Some((path.clone(), text)) })
    }

    /// One that never changes.
    #[must_use]
    pub fn fixed(token: impl Into<SecretString>) -> Self {
        Self { tokens: vec![token.into()], file: None }
    }

    /// The tokens in the text of SERVICE_TOKEN_FILE: a line each, one or two. The error is one
    /// sentence that names the setting.
    pub fn parse_file(text: &str) -> Result<Vec<SecretString>, String> {
        one_or_two("SERVICE_TOKEN_FILE", "token", text, |line| {
            parse("SERVICE_TOKEN_FILE", line.trim())
        })
    }
}

fn parse(setting: &str, token: &str) -> Result<SecretString, String> {
    if token.len() < SERVICE_TOKEN_MIN {
        return Err(format!("{setting}: a token has at least {SERVICE_TOKEN_MIN} characters"));
    }
    if !token.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err(format!("{setting}: a token is printable ASCII"));
    }
    Ok(token.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_token_or_two() {
        let count = |text: &str| ServiceToken::parse_file(text).map(|tokens| tokens.len());
        assert_eq!(count("0123456789abcdef\n"), Ok(1));
        assert_eq!(count("the new one of them\n\n  0123456789abcdef \n"), Ok(2));
        for bad in
            ["", "\n", "short", "0123456789abcdef\nshort", "0123456789abcdeé", "0123456789\tabcdef"]
        {
            assert!(count(bad).expect_err(bad).contains("SERVICE_TOKEN_FILE"));
        }
        assert!(count(&"0123456789abcdef\n".repeat(3)).expect_err("three").contains('3'));
    }
}
