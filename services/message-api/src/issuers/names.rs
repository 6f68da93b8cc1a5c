//! What users of other issuers are called here.

use chat_core::{Username, ids::hex};
use sha2::{Digest, Sha256};

use super::Identity;

/// Characters of a digest that tell two of the same name apart.
const SUFFIX: usize = 6;
/// The longest name before such a suffix and its hyphen.
const STEM: usize = *Username::LENGTH.end() - SUFFIX - 1;

impl Identity {
    /// A name for somebody new: at first what they call themselves, as far as it can be a name here,
    /// then, where that is taken, always other ones.
    #[must_use]
    pub fn name(&self, attempt: u32) -> Option<Username> {
        let digest = self.digest(attempt);
        let stem = self.called.as_deref().map(fitted).filter(|stem| Username::parse(stem).is_ok());
        let stem = stem.unwrap_or_else(|| format!("user-{}", &self.digest(0)[..8]));
        let name = match attempt {
            0 => stem,
            _ => format!("{}-{}", &stem[..stem.len().min(STEM)], &digest[..SUFFIX]),
        };
        Username::parse(&name).ok()
    }

    fn digest(&self, attempt: u32) -> String {
        let of = [&*self.issuer, &self.subject, &attempt.to_string()].join("\0");
        hex(&Sha256::digest(of))
    }
}

/// What no name may have becomes a hyphen: `bob@example.com` is `bob-example.com` here.
fn fitted(called: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let mut name = String::new();
    for c in called.chars() {
        match fits(c) {
            true => name.push(c),
            false if name.ends_with('-') => {}
            false => name.push('-'),
        }
        if name.len() >= *Username::LENGTH.end() {
            break;
        }
    }
    name.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use chat_core::{SessionId, clock};

    use super::*;

    fn called(called: Option<&str>) -> Identity {
        Identity {
            issuer: "https://id.example".into(),
            subject: "7".into(),
            called: called.map(str::to_owned),
            issued_at: clock::now(),
            until: clock::now(),
            session: SessionId::of_secret("s"),
        }
    }

    fn name(of: &Identity, attempt: u32) -> String {
        of.name(attempt).expect("a name").to_string()
    }

    #[test]
    fn a_name_is_as_close_to_the_claim_as_the_rules_allow() {
        for (claim, expected) in [
            ("Alice_B.9", "Alice_B.9"),
            ("bob@example.com", "bob-example.com"),
            ("  Ann  Lee ", "Ann-Lee"),
            ("Zoë", "Zo"),
            (&"x".repeat(1_000_000), &"x".repeat(32)),
        ] {
            assert_eq!(name(&called(Some(claim)), 0), expected);
        }
    }

    #[test]
    fn who_has_no_name_gets_one_of_a_digest() {
        let of_digest = name(&called(None), 0);
        assert!(of_digest.starts_with("user-") && of_digest.len() == 13, "{of_digest}");
        for useless in ["", "x", "@@@", "ÄÖÜ"] {
            assert_eq!(name(&called(Some(useless)), 0), of_digest, "{useless}");
        }
        let other = Identity { subject: "8".into(), ..called(None) };
        assert_ne!(name(&other, 0), of_digest);
    }

    #[test]
    fn a_taken_name_gets_another_end_each_time() {
        let long = called(Some(&"x".repeat(40)));
        let (one, two) = (name(&long, 1), name(&long, 2));
        assert!(one.starts_with(&"x".repeat(25)) && one.len() == 32, "{one}");
        assert_ne!(one, two);
        assert_eq!(one, name(&long, 1), "the same on every replica");
    }
}
