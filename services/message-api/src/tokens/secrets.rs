//! The secrets that tokens are signed with, and their rotation.

use std::path::PathBuf;

use chat_core::process::{Secret, one_or_two};
use secrecy::{ExposeSecret, SecretString};

/// Fewest bytes of a secret: as many as HS256 makes use of.
const LEAST: usize = 32;

/// JWT_SECRET as it was at the start: one secret, or two while it is rotated, the new one first.
#[derive(Clone, Debug)]
pub struct JwtSecrets {
    /// At least one.
    pub(super) secrets: Vec<SecretString>,
    /// The file that says so, and its text; to be read again.
    pub(super) file: Option<(PathBuf, SecretString)>,
}

impl JwtSecrets {
    /// Reads it from JWT_SECRET or JWT_SECRET_FILE. The error is one sentence that names the
    /// setting, and never a secret.
    pub fn read(value: Option<&SecretString>, file: Option<&PathBuf>) -> Result<Self, String> {
        let text = Secret { name: "JWT_SECRET", value, file }.read()?;
        let Some(path) = file else {
            return parse("JWT_SECRET", text.expose_secret()).map(Self::fixed);
        };
        let secrets = Self::parse_file(text.expose_secret())?;
        Ok(Self { secrets, file: Some((path.clone(), text)) })
    }

    /// The secrets in the text of JWT_SECRET_FILE: a line each, one or two.
    pub(super) fn parse_file(text: &str) -> Result<Vec<SecretString>, String> {
        one_or_two("JWT_SECRET_FILE", "secret", text, |line| {
            parse("JWT_SECRET_FILE", line.trim_end())
        })
    }

    /// One that never changes.
    #[must_use]
    pub fn fixed(secret: impl Into<SecretString>) -> Self {
        Self { secrets: vec![secret.into()], file: None }
    }

    #[cfg(test)]
    pub(super) fn of(secrets: &[&str]) -> Self {
        Self { secrets: secrets.iter().map(|secret| (*secret).into()).collect(), file: None }
    }
}

fn parse(setting: &str, secret: &str) -> Result<SecretString, String> {
    match secret.len() {
        LEAST.. => Ok(secret.into()),
        _ => Err(format!("{setting}: a secret must have at least {LEAST} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_secret_or_two_of_32_bytes() {
        let count = |text: &str| JwtSecrets::parse_file(text).map(|secrets| secrets.len());
        let (one, other) = ("1".repeat(32), "2".repeat(64));
        assert_eq!(count(&format!("{one}\n")), Ok(1));
        assert_eq!(count(&format!("{other}\r\n\n{one}\n")), Ok(2));
        for bad in ["", "\n \n", "short", &format!("{one}\nshort")] {
            let error = count(bad).expect_err(bad);
            assert!(error.starts_with("JWT_SECRET_FILE") && !error.contains("short"), "{error}");
        }
        assert!(count(&format!("{one}\n").repeat(3)).expect_err("three").contains('3'));
    }
}
