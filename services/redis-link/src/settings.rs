//! Where Redis is and how to talk to it: the settings that both services share.

use std::path::PathBuf;

use chat_core::process::Secret;
use clap::{ArgAction, Args};
use secrecy::{ExposeSecret, SecretString};

use crate::{Redis, nodes::Nodes};

/// The settings of Redis.
#[derive(Clone, Debug, Args)]
pub struct RedisSettings {
    /// Redis: `redis://:password@host:6379`, or `rediss://…` for TLS. Of a cluster some nodes,
    /// with commas between
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,

    /// A file that holds REDIS_URL
    #[arg(long, env = "REDIS_URL_FILE")]
    pub redis_url_file: Option<PathBuf>,

    /// Is it a Redis Cluster (7.0 or later)? The same for all services
    #[arg(long, env = "REDIS_CLUSTER", default_value_t = false, action = ArgAction::Set)]
    pub redis_cluster: bool,

    /// A file with the certificates (PEM) that vouch for Redis' own [default: the system's]
    #[arg(long, env = "REDIS_CA_FILE")]
    pub redis_ca_file: Option<PathBuf>,

    /// What all keys and channels in Redis begin with; the same for all services
    #[arg(long, env = "REDIS_PREFIX", default_value = "switchboard")]
    pub redis_prefix: String,
}

impl RedisSettings {
    /// Checks them; connects to nothing. The error is one sentence that names the setting.
    pub fn check(&self) -> Result<Redis, String> {
        let prefix = &self.redis_prefix;
        if prefix.is_empty() || prefix.contains(|c: char| c.is_whitespace() || "{}".contains(c)) {
            return Err("REDIS_PREFIX must be a word without braces".into());
        }
        let url = Secret {
            name: "REDIS_URL",
            value: self.redis_url.as_ref(),
            file: self.redis_url_file.as_ref(),
        }
        .read()?;
        let authorities = self.redis_ca_file.as_ref().map(|path| {
            std::fs::read(path)
                .map_err(|e| format!("REDIS_CA_FILE: can't read {}: {e}", path.display()))
        });
        let authorities = authorities.transpose()?;
        let nodes = Nodes::parse(url.expose_secret(), authorities)?;
        if nodes.count() > 1 && !self.redis_cluster {
            return Err("REDIS_URL: several addresses need REDIS_CLUSTER=true".into());
        }
        if self.redis_cluster {
            nodes.can_be_cluster()?;
        }
        Ok(Redis::new(nodes, prefix, self.redis_cluster))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, cluster: bool) -> RedisSettings {
        RedisSettings {
            redis_url: Some(url.into()),
            redis_url_file: None,
            redis_cluster: cluster,
            redis_ca_file: None,
            redis_prefix: "chat".into(),
        }
    }

    fn refusal(settings: &RedisSettings) -> String {
        settings.check().expect_err("refused")
    }

    #[test]
    fn good_settings_are_taken() {
        for (url, cluster) in [
            ("redis://h", false),
            ("rediss://user:pass%2Cword@h:6380/1", false),
            ("redis://:secret@h1:6379,redis://:secret@h2", true),
        ] {
            assert!(settings(url, cluster).check().is_ok(), "{url}");
        }
    }

    #[test]
    fn a_bad_setting_is_named_and_no_secret_told() {
        for (url, cluster) in [
            ("", false),
            ("http://h", false),
            ("redis://h1,redis://h2", false),
            ("redis://h1,rediss://h2", true),
            ("redis://h1,redis://:hush@h2", true),
            ("unix:/tmp/redis", true),
            ("redis://:hush@h/1", true),
            ("rediss://:hush@h/#insecure", false),
        ] {
            let sentence = refusal(&settings(url, cluster));
            assert!(sentence.starts_with("REDIS_URL") && !sentence.contains("hush"), "{sentence}");
        }
        let nowhere = Some("/nonexistent".into());
        let sentence =
            refusal(&RedisSettings { redis_ca_file: nowhere, ..settings("rediss://h", false) });
        assert!(sentence.starts_with("REDIS_CA_FILE: can't read /nonexistent"), "{sentence}");
        for prefix in ["", "a b", "{a}"] {
            let prefixed =
                RedisSettings { redis_prefix: prefix.into(), ..settings("redis://h", false) };
            assert!(refusal(&prefixed).starts_with("REDIS_PREFIX"), "{prefix}");
        }
    }

    #[test]
    fn a_file_of_certificates_must_hold_some_and_needs_tls() {
        let settings = |url| RedisSettings {
            redis_ca_file: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()),
            ..settings(url, false)
        };
        for url in ["rediss://h", "redis://h"] {
            let sentence = refusal(&settings(url));
            assert!(sentence.starts_with("REDIS_CA_FILE"), "{sentence}");
        }
    }
}
