//! ISSUERS_FILE: whose tokens are believed beside our own.

use std::path::Path;

use serde::Deserialize;
use url::{Host, Url};

/// Most issuers.
const MOST: usize = 8;
/// Longest name of an issuer, in bytes: what the database holds.
pub(super) const LONGEST: usize = 255;

/// Somebody whose tokens are believed.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// What `iss` says in its tokens.
    pub name: String,
    /// Where its public keys are.
    pub jwks_url: Url,
    /// What `aud` must say, or have among others.
    pub audience: String,
    /// The claim by which users are named.
    pub name_claim: String,
}

/// An entry as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    issuer: String,
    jwks_url: String,
    audience: String,
    #[serde(default = "usual_claim")]
    name_claim: String,
}

fn usual_claim() -> String {
    "preferred_username".into()
}

/// Reads and checks ISSUERS_FILE. Keys are fetched by HTTPS only, unless from this machine or if
/// `plain_http` is fine. The error is one sentence that names the setting and the field.
pub fn read(path: &Path, plain_http: bool) -> Result<Vec<Issuer>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("ISSUERS_FILE: can't read {}: {e}", path.display()))?;
    parse(&text, plain_http).map_err(|why| format!("ISSUERS_FILE: {why}"))
}

pub(super) fn parse(text: &str, plain_http: bool) -> Result<Vec<Issuer>, String> {
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if entries.len() > MOST {
        return Err(format!("it lists {} issuers, {MOST} at most", entries.len()));
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        let issuer = checked(entry, plain_http).map_err(|why| format!("entry {number}: {why}"))?;
        if issuers.iter().any(|known| known.name == issuer.name) {
            return Err(format!("entry {number}: `issuer` stands in an entry before"));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

fn checked(entry: Entry, plain_http: bool) -> Result<Issuer, String> {
    let Entry { issuer, jwks_url, audience, name_claim } = entry;
    for (field, text) in [("issuer", &issuer), ("audience", &audience), ("nameClaim", &name_claim)]
    {
        if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(format!("`{field}` must be 1 to {LONGEST} bytes of printable text"));
        }
    }
    let jwks_url = url(&jwks_url, plain_http).map_err(|why| format!("`jwksUrl` {why}"))?;
    Ok(Issuer { name: issuer, jwks_url, audience, name_claim })
}

fn url(text: &str, plain_http: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("is no URL: {e}"))?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if plain_http || is_here => Ok(url),
        _ => Err("must begin with https://".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"[{"issuer": "https://id.example/realms/one", "audience": "chat",
        "jwksUrl": "https://id.example/realms/one/protocol/openid-connect/certs"}]"#;

    #[test]
    fn a_good_file_is_taken() {
        let issuers = parse(GOOD, false).expect("a good file");
        assert_eq!(issuers[0].name, "https://id.example/realms/one");
        assert_eq!(issuers[0].name_claim, "preferred_username");
        let named = GOOD.replace("\"chat\"", "\"chat\", \"nameClaim\": \"nickname\"");
        assert_eq!(parse(&named, false).expect("a good file")[0].name_claim, "nickname");
        assert!(parse("[]", false).expect("nobody is fine").is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        let twice = format!("[{0},{0}]", &GOOD[1..GOOD.len() - 1]);
        let nine = format!("[{}]", [&GOOD[1..GOOD.len() - 1]; 9].join(","));
        for (text, why) in [
            (String::new(), "EOF"),
            ("{}".into(), "sequence"),
            (with("\"audience\"", "\"audiences\""), "audiences"),
            (with("\"audience\": \"chat\",", ""), "`audience`"),
            (with("\"chat\"", "\"\""), "entry 1: `audience`"),
            (with("\"chat\"", "7"), "string"),
            (with("\"chat\"", "\"chat\", \"nameClaim\": \"\""), "`nameClaim`"),
            (with("https://id.example/realms/one\"", "\""), "`issuer`"),
            (with("https://id.example/realms/one/", "http://id.example/"), "`jwksUrl` must begin"),
            (with("https://id.example/realms/one/", "file:///"), "`jwksUrl` must begin"),
            (with("https://id.example/realms/one/", ""), "`jwksUrl` is no URL"),
            (twice, "entry 2: `issuer`"),
            (nine, "8 at most"),
        ] {
            let error = parse(&text, false).expect_err(why);
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[test]
    fn keys_come_by_https_unless_from_here_or_in_development() {
        let from = |url: &str, plain| {
            let text = format!(r#"[{{"issuer": "i", "audience": "a", "jwksUrl": "{url}"}}]"#);
            parse(&text, plain).is_ok()
        };
        for here in ["http://127.0.0.1:9/k", "http://[::1]/k", "http://localhost:8080/k"] {
            assert!(from(here, false), "{here}");
        }
        for there in ["http://10.0.0.1/k", "http://127.0.0.1.example/k", "http://id.example/k"] {
            assert!(!from(there, false) && from(there, true), "{there}");
        }
    }
}
