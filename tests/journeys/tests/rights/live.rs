//! The end of a session reaches its live sockets, of every protocol, on both gateways, within a
//! second.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::{Arena, Mailbox, Person, PlainSocket, SocketIo, granted};
use reqwest::Method;
use serde_json::json;

/// A logout, say, is seen by all within this.
const SOON: Duration = Duration::from_secs(1);

/// One socket of each protocol at each gateway, all of one session.
pub(crate) struct Everywhere {
    by_socket_io: Vec<(String, SocketIo)>,
    plain: Vec<(String, PlainSocket)>,
}

impl Everywhere {
    pub(crate) async fn with(arena: &Arena, token: &str) -> Result<Self> {
        let mut all = Self { by_socket_io: Vec::new(), plain: Vec::new() };
        for n in [1, 2] {
            for (path, namespace) in [
                ("/socket.io", "/"),
                ("/socket.io", "/tinychat"),
                ("/socket.io", "/one-to-one"),
                ("/socket.io", "/chatto"),
                ("/ws", "/chat"),
            ] {
                let knock = arena.gateway(n).path(path).namespace(namespace).token(token);
                let socket = knock.enters().await?;
                if ["/", "/chatto"].contains(&namespace) {
                    granted(socket.asks("join room", json!({"roomId": "lobby"})).await?)?;
                }
                all.by_socket_io.push((format!("{path} {namespace} at {n}"), socket));
            }
            for path in ["/ws/conversations/lobby", "/ws"] {
                let url = format!("{}{path}?token={token}", arena.stack.urls().gateway(n));
                let socket = PlainSocket::open("plain", &url, &[]).await?;
                all.plain.push((format!("{path} at {n}"), socket));
            }
        }
        Ok(all)
    }

    fn mailboxes(&self) -> impl Iterator<Item = (&str, &Mailbox)> {
        let plain = self.plain.iter().map(|(name, socket)| (&**name, &**socket));
        self.by_socket_io.iter().map(|(name, socket)| (&**name, &**socket)).chain(plain)
    }

    pub(crate) fn are_open(&self, when: &str) {
        for (name, socket) in self.mailboxes() {
            assert!(socket.is_open(), "{name} is closed {when}: {:?}", socket.end());
        }
    }

    /// All end within [`SOON`] after `since`, and who does not go by themselves is not heard any
    /// more.
    pub(crate) async fn end(&self, arena: &Arena, since: Instant, why: &str) -> Result<()> {
        let soon = |name: &str| {
            let took = since.elapsed();
            assert!(took < SOON, "{name} outlived {why} by {took:?}");
        };
        let late = arena.unique("too-late");
        for (name, socket) in &self.by_socket_io {
            socket.hears("disconnect", |_| true).await.with_context(|| format!("{name}, {why}"))?;
            soon(name);
            socket.emit("chat message", json!({"roomId": "lobby", "text": late}));
        }
        for (name, socket) in &self.plain {
            socket.sees_the_end().await.with_context(|| format!("{name}, {why}"))?;
            soon(name);
        }
        for (name, socket) in self.mailboxes() {
            socket.sees_the_end().await.with_context(|| format!("{name}, {why}"))?;
        }
        let lobby = arena.visitor()?.get("/api/v1/messages").await?.expect(200)?;
        assert!(!lobby.text.contains(&late), "said after {why}");
        Ok(())
    }
}

async fn log_in(arena: &Arena, who: &Person<'_>) -> Result<String> {
    let account = json!({"username": who.name, "password": Person::PASSWORD});
    let answer = arena.visitor()?.post_json("/api/login", &account).await?.expect(200)?;
    Ok(answer["token"].as_str().context("a token")?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_changing_the_password_and_deleting_the_account_close_sockets_everywhere()
-> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let token = log_in(arena, &alice).await?;
    let (kept, spent) =
        (Everywhere::with(arena, &alice.token).await?, Everywhere::with(arena, &token).await?);

    let request = arena.visitor()?.bearing(&token).request(Method::POST, "/logout")?;
    alice.http.send(request).await?.expect(200)?;
    spent.end(arena, Instant::now(), "logging out").await?;
    kept.are_open("by another session's logging out");

    let token = log_in(arena, &alice).await?;
    let spent = Everywhere::with(arena, &token).await?;
    let change = json!({"current": Person::PASSWORD, "new": "another one"});
    alice.http.post_json("/api/auth/password", &change).await?.expect(200)?;
    spent.end(arena, Instant::now(), "a change of the password").await?;
    kept.are_open("by the change of the password that it asked for");

    alice.http.delete("/api/auth/account").await?.expect(200)?;
    kept.end(arena, Instant::now(), "the deletion of the account").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_in_again_in_a_browser_closes_the_sockets_of_its_former_session() -> Result<()> {
    let arena = Arena::shared().await?;
    let browser = arena.visitor()?;
    let account = json!({"username": arena.unique("alice"), "password": "open sesame"});
    let former = browser.post_json("/register", &account).await?.expect(200)?;
    let former = former["token"].as_str().context("a token")?.to_owned();
    let sockets = Everywhere::with(arena, &former).await?;
    browser.post_json("/login", &account).await?.expect(200)?;
    sockets.end(arena, Instant::now(), "logging in again").await?;
    let by_cookie = arena.gateway(1).cookie(&browser.cookie_header()).enters().await?;
    by_cookie.hears("storeUsername", |_| true).await?;
    Ok(())
}
