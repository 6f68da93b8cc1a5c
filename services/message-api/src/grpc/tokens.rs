//! The services that may call, by the tokens that they show.
//!
//! The gateways' token is SERVICE_TOKEN; others stand in SERVICE_TOKENS_FILE, a name and a token a
//! line. Both files are read again when they change, so that tokens are rotated without a restart:
//! a service may have several at a time.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
    time::Duration,
};

use axum::http::HeaderMap;
use chat_core::process::{SERVICE_TOKEN_MIN, ServiceToken, Shutdown, follow_file};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::sleep;

use super::gate;

/// What the owners of SERVICE_TOKEN are called.
const GATEWAYS: &str = "gateway";
/// Most tokens in SERVICE_TOKENS_FILE: each call is compared with all.
const MOST: usize = 256;
/// How often a stream looks whether its token is still one.
const LOOK: Duration = Duration::from_secs(1);
/// Longest name.
const NAME_MAX: usize = 32;

/// A service that has shown its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName(pub(super) Arc<str>);

/// The digest of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown([u8; 32]);

impl Shown {
    /// Digests are kept and compared, never tokens.
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// A token, and whose it is.
#[derive(Clone, Debug)]
struct Entry {
    digest: [u8; 32],
    name: Arc<str>,
}

/// SERVICE_TOKENS_FILE as it was at the start; to be read again.
#[derive(Clone, Debug)]
pub struct TokensFile {
    path: PathBuf,
    text: SecretString,
    entries: Vec<Entry>,
}

impl TokensFile {
    /// Reads and checks it. The error is one sentence that names the setting.
    pub fn read(path: &std::path::Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("SERVICE_TOKENS_FILE: can't read {}: {e}", path.display()))?;
        Self::of(path.to_owned(), text.trim_end())
    }

    fn of(path: PathBuf, text: &str) -> Result<Self, String> {
        Ok(Self { path, text: text.into(), entries: parse(text)? })
    }
}

/// All tokens. Clones share them.
#[derive(Clone, Debug)]
pub struct ServiceTokens(Arc<RwLock<Lists>>);

#[derive(Debug)]
struct Lists {
    gateways: Vec<Entry>,
    others: Vec<Entry>,
}

impl Lists {
    /// None may be left of the others, if the gateways have one.
    fn take_others(&mut self, others: Vec<Entry>) -> Result<(), String> {
        if others.is_empty() && self.gateways.is_empty() {
            return Err("SERVICE_TOKENS_FILE holds no token".into());
        }
        self.others = others;
        Ok(())
    }
}

impl ServiceTokens {
    /// Those of the two settings. The error is one sentence.
    pub fn new(
        gateways: Option<&ServiceToken>,
        others: Option<&TokensFile>,
    ) -> Result<Self, String> {
        if gateways.is_none() && others.is_none() {
            return Err("SERVICE_TOKEN (or SERVICE_TOKEN_FILE) must be set".into());
        }
        let gateways = gateways.map_or_else(Vec::new, |token| of_gateways(&token.tokens));
        let mut lists = Lists { gateways, others: Vec::new() };
        if let Some(file) = others {
            lists.take_others(file.entries.clone())?;
        }
        Ok(Self(Arc::new(RwLock::new(lists))))
    }

    /// Begins to read the files again whenever they change.
    pub fn follow(
        &self,
        gateways: Option<&ServiceToken>,
        others: Option<&TokensFile>,
        tasks: &Shutdown,
    ) {
        if let Some((path, text)) = gateways.and_then(|token| token.file.clone()) {
            let all = self.clone();
            let take = move |text: &str| {
                let tokens = ServiceToken::parse_file(text)?;
                all.lists().gateways = of_gateways(&tokens);
                Ok(())
            };
            tasks.spawn_until_stopped(follow("SERVICE_TOKEN_FILE", path, text, take));
        }
        if let Some(TokensFile { path, text, .. }) = others.cloned() {
            let all = self.clone();
            let take = move |text: &str| {
                // Calls wait for the lists, so they are not held while it is read.
                let others = parse(text)?;
                all.lists().take_others(others)
            };
            tasks.spawn_until_stopped(follow("SERVICE_TOKENS_FILE", path, text, take));
        }
    }

    fn lists(&self) -> RwLockWriteGuard<'_, Lists> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a token is no longer this service's.
    pub(super) async fn taken_away(&self, shown: Shown, service: &ServiceName) {
        while self.owner(shown).as_ref() == Some(service) {
            sleep(LOOK).await;
        }
    }

    /// The service whose token a request's headers show.
    #[must_use]
    pub fn caller(&self, headers: &HeaderMap) -> Option<ServiceName> {
        self.owner(gate::token(headers)?)
    }

    /// Whose token it is. All are compared, each in constant time: how long that takes says nothing
    /// about any of them.
    pub(super) fn owner(&self, shown: Shown) -> Option<ServiceName> {
        let lists = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut owner = None;
        for entry in lists.gateways.iter().chain(&lists.others) {
            if bool::from(entry.digest.ct_eq(&shown.0)) {
                owner = Some(&entry.name);
            }
        }
        owner.map(|name| ServiceName(Arc::clone(name)))
    }
}

fn follow(
    setting: &'static str,
    path: PathBuf,
    text: SecretString,
    take: impl Fn(&str) -> Result<(), String>,
) -> impl Future<Output = ()> {
    let stale = move |is_stale| {
        metrics::gauge!("switchboard_service_tokens_stale", "setting" => setting)
            .set(if is_stale { 1 } else { 0 });
    };
    follow_file(setting, path, text.expose_secret().to_owned(), take, stale)
}

fn of_gateways(tokens: &[SecretString]) -> Vec<Entry> {
    let name: Arc<str> = GATEWAYS.into();
    let digest = |token: &SecretString| Shown::of(token.expose_secret()).0;
    tokens.iter().map(|token| Entry { digest: digest(token), name: Arc::clone(&name) }).collect()
}

/// The text of SERVICE_TOKENS_FILE. The error is one sentence that names the setting and the line,
/// never a token.
fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry =
            entry(line).map_err(|why| format!("SERVICE_TOKENS_FILE: line {number}: {why}"))?;
        if entries.iter().any(|known| known.digest == entry.digest && known.name != entry.name) {
            return Err(format!(
                "SERVICE_TOKENS_FILE: line {number}: another service has this token"
            ));
        }
        entries.push(entry);
    }
    match entries.len() {
        0..=MOST => Ok(entries),
        _ => Err(format!("SERVICE_TOKENS_FILE holds more than {MOST} tokens")),
    }
}

fn entry(line: &str) -> Result<Entry, String> {
    let mut words = line.split_ascii_whitespace();
    let (Some(name), Some(token), None) = (words.next(), words.next(), words.next()) else {
        return Err("it must be a name and a token".into());
    };
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.len() > NAME_MAX || !name.bytes().all(fits) {
        return Err(format!("a name is 1 to {NAME_MAX} of a-z, 0-9 and -"));
    }
    if token.len() < SERVICE_TOKEN_MIN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!(
            "a token is at least {SERVICE_TOKEN_MIN} characters of printable ASCII"
        ));
    }
    Ok(Entry { digest: Shown::of(token).0, name: name.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_have_several_tokens_and_each_is_its_own() {
        let text = "# the bots\nbilling 0123456789abcdef\n\n  billing the-newer-token-1";
        let file = TokensFile::of(PathBuf::new(), text).expect("good tokens");
        let gateways = ServiceToken::fixed("a service token!");
        let tokens = ServiceTokens::new(Some(&gateways), Some(&file)).expect("good tokens");
        let owner = |token: &str| tokens.owner(Shown::of(token)).map(|name| name.0.to_string());
        assert_eq!(owner("a service token!").as_deref(), Some("gateway"));
        for own in ["0123456789abcdef", "the-newer-token-1"] {
            assert_eq!(owner(own).as_deref(), Some("billing"));
        }
        for wrong in ["", "a service token", "a service token! ", "0123456789abcdeF", "billing"] {
            assert_eq!(owner(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_in_the_file_is_told_by_its_line_and_without_tokens() {
        for (text, why) in [
            ("\n\none 0123456789abcdef # no comment", "line 3"),
            ("billing", "line 1"),
            ("billing short", "at least 16"),
            ("Billing 0123456789abcdef", "a name"),
            (&format!("{} 0123456789abcdef", "x".repeat(33)), "a name"),
            ("billing 0123456789abcdeé", "printable"),
            ("one 0123456789abcdef\ntwo 0123456789abcdef", "line 2: another service"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with("SERVICE_TOKENS_FILE") && error.contains(why), "{error}");
            assert!(!error.contains("0123"), "{error}");
        }
        let many: String = (0..=MOST).map(|n| format!("a token-number-{n:06}\n")).collect();
        assert!(parse(&many).expect_err("too many").contains("256"));
    }

    #[test]
    fn the_last_token_of_others_can_be_taken_away_if_the_gateways_have_one() {
        let file = TokensFile::of(PathBuf::new(), "# nobody\n").expect("none is fine so far");
        let gateways = ServiceToken::fixed("a service token!");
        assert!(ServiceTokens::new(Some(&gateways), Some(&file)).is_ok());
        let refused = ServiceTokens::new(None, Some(&file)).expect_err("nobody could call");
        assert_eq!(refused, "SERVICE_TOKENS_FILE holds no token");
    }
}
