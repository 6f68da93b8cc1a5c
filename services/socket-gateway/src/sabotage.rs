//! What the chaos suite switches off to see that its audit notices. Only with the feature
//! `sabotage`.

use std::sync::OnceLock;

/// What can be switched off: repair of holes and comparison of heads; clearing after the dead;
/// waiting for what is missing.
pub const CHOICES: [&str; 3] = ["repair", "lease", "order"];

static CHOSEN: OnceLock<String> = OnceLock::new();

/// Once, at the start.
pub fn choose(choice: Option<&str>) {
    if let Some(choice) = choice {
        tracing::warn!(choice, "sabotaged");
        CHOSEN.get_or_init(|| choice.to_owned());
    }
}

/// Is that switched off?
#[must_use]
pub fn is(what: &str) -> bool {
    CHOSEN.get().is_some_and(|chosen| chosen == what)
}
