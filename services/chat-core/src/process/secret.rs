//! A secret setting: given in the environment, or as a file that holds it.

use std::path::PathBuf;

use secrecy::SecretString;

/// The two ways to give one secret; exactly one must be used.
#[derive(Clone, Debug)]
pub struct Secret<'a> {
    /// The variable's name without `_FILE`, for the error.
    pub name: &'static str,
    /// The value itself.
    pub value: Option<&'a SecretString>,
    /// A file with the value; white space at its end is cut.
    pub file: Option<&'a PathBuf>,
}

impl Secret<'_> {
    /// The secret. The error is one sentence that names the setting.
    pub fn read(&self) -> Result<SecretString, String> {
        let name = self.name;
        match (self.value, self.file) {
            (Some(value), None) => Ok(value.clone()),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map(|text| text.trim_end().into())
                .map_err(|e| format!("{name}_FILE: can't read {}: {e}", path.display())),
            (Some(_), Some(_)) => Err(format!("give {name} or {name}_FILE, not both")),
            (None, None) => Err(format!("{name} (or {name}_FILE) must be set")),
        }
    }
}

/// What a secret file holds, a line each: one, or two while it is rotated. `what` they are, in the
/// errors, which name the setting.
pub fn one_or_two<T>(
    setting: &str,
    what: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let found = lines.map(parse).collect::<Result<Vec<_>, _>>()?;
    match found.len() {
        1 | 2 => Ok(found),
        0 => Err(format!("{setting} holds no {what}")),
        many => Err(format!("{setting} holds {many} {what}s, two at most")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_of_the_two_must_be_given() {
        let value: SecretString = "s".into();
        let file = PathBuf::from("/nonexistent");
        let read = |value, file| Secret { name: "X", value, file }.read();
        assert!(read(Some(&value), None).is_ok());
        assert!(read(None, None).expect_err("refused").contains("X_FILE"));
        assert!(read(Some(&value), Some(&file)).expect_err("refused").contains("not both"));
        assert!(read(None, Some(&file)).expect_err("refused").contains("/nonexistent"));
    }
}
