//! The secret of tokens is rotated while message-api runs.

use std::{path::PathBuf, time::Duration};

use chat_core::process::Backoff;
use switchboard_proto::v1::{self, authenticate_request::Credential};
use tokio::time::Instant;

use crate::{
    process::{Client, Program, command},
    support::World,
};

const OLD: &str = "the old secret, 32 bytes at least";
const NEW: &str = "the new secret, 32 bytes at least";

struct SecretFile(PathBuf);

impl SecretFile {
    fn says(&self, lines: &[&str]) {
        std::fs::write(&self.0, lines.join("\n")).expect("writes");
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn token(client: &mut Client, name: &str) -> String {
    let request = v1::RegisterRequest { username: name.into(), password: None };
    let login = client.register(request).await.expect("registers").into_inner().login;
    login.expect("a login").token
}

async fn is_believed(client: &mut Client, token: &str) -> bool {
    let credential = Some(Credential::Token(token.to_owned()));
    client.authenticate(v1::AuthenticateRequest { credential }).await.is_ok()
}

/// Waits until a metric's line is there.
async fn counts(program: &Program, line: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
    while !program.metrics().await.lines().any(|counted| counted == line) {
        assert!(Instant::now() < until, "never {line}");
        backoff.wait().await;
    }
}

/// Registers until the token is signed with a secret whose tokens are not of this beginning.
async fn other_token(client: &mut Client, stem: &str, than: &str) -> String {
    let header = |token: &str| token.split('.').next().map(str::to_owned);
    let until = Instant::now() + Duration::from_secs(30);
    for n in 0.. {
        let token = token(client, &format!("{stem}{n}")).await;
        if header(&token) != header(than) {
            return token;
        }
        assert!(Instant::now() < until, "it still signs with the former secret");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    unreachable!("it returned or failed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_outlive_a_rotation_and_end_with_their_secret() {
    let world = World::empty();
    let file = SecretFile(std::env::temp_dir().join(format!("{}-jwt", world.prefix)));
    file.says(&[OLD]);
    let program =
        Program::run(command(&world).env_remove("JWT_SECRET").env("JWT_SECRET_FILE", &file.0));
    let mut client = program.client();
    let old = token(&mut client, "alice").await;

    file.says(&[NEW, OLD]);
    let new = other_token(&mut client, "bob", &old).await;
    assert!(is_believed(&mut client, &old).await && is_believed(&mut client, &new).await);

    file.says(&["short", NEW]);
    counts(&program, "switchboard_jwt_secrets_stale 1").await;
    assert!(is_believed(&mut client, &old).await, "the last good ones stay");

    file.says(&[NEW]);
    counts(&program, "switchboard_jwt_secrets_stale 0").await;
    assert!(is_believed(&mut client, &new).await && !is_believed(&mut client, &old).await);
}
