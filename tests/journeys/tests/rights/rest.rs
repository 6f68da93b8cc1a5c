//! Every route of the OpenAPI document, by every kind of caller, in a room and in a direct.

use anyhow::{Context, Result};
use chat_core::rights::{Place, Verb, Who};
use harness::{Answer, Person};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{PLACES, Scene, is_of_the_direct, table};

/// Where a route refuses otherwise than the table says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum But {
    Nothing,
    /// It takes no guests.
    ForUsers,
    /// 000's POST: all refusals are 400.
    In000sWords,
    /// 000's lobby has no other messages: those of elsewhere are 404 for everybody.
    InTheLobby,
    /// The messages of a direct are seen one by one: 400 for its own.
    OneByOne,
}

use But::{ForUsers, In000sWords, InTheLobby, Nothing, OneByOne};

const ROUTES: &[(&str, &str, Verb, But)] = &[
    ("POST", "/auth/register", Verb::Register, Nothing),
    ("GET", "/api/conversations/", Verb::ListRooms, ForUsers),
    ("POST", "/api/conversations/", Verb::CreateRoom, Nothing),
    ("GET", "/api/conversations/{id}", Verb::History, ForUsers),
    ("POST", "/api/conversations/{id}", Verb::Post, ForUsers),
    ("GET", "/api/conversations/{id}/{messageid}", Verb::History, ForUsers),
    ("PATCH", "/api/conversations/{id}/{messageid}", Verb::Edit, ForUsers),
    ("DELETE", "/api/conversations/{id}/{messageid}", Verb::Delete, ForUsers),
    ("GET", "/api/v1/messages", Verb::History, InTheLobby),
    ("POST", "/api/v1/messages", Verb::Post, In000sWords),
    ("PATCH", "/api/v1/messages/{id}", Verb::Edit, InTheLobby),
    ("POST", "/api/auth/register", Verb::Register, Nothing),
    ("POST", "/api/auth/login", Verb::LogIn, Nothing),
    ("POST", "/api/auth/password", Verb::ChangePassword, Nothing),
    ("DELETE", "/api/auth/account", Verb::DeleteAccount, Nothing),
    ("POST", "/api/upload/files", Verb::Upload, Nothing),
    ("GET", "/media/{id}", Verb::Fetch, Nothing),
    ("POST", "/register", Verb::Register, Nothing),
    ("POST", "/login", Verb::LogIn, Nothing),
    ("POST", "/logout", Verb::EndSession, Nothing),
    ("GET", "/logout", Verb::EndSession, Nothing),
    ("POST", "/api/register", Verb::Register, Nothing),
    ("POST", "/api/login", Verb::LogIn, Nothing),
    ("GET", "/api/verify", Verb::Authenticate, ForUsers),
    ("POST", "/api/verify", Verb::Authenticate, ForUsers),
    ("GET", "/api/rooms", Verb::ListRooms, Nothing),
    ("GET", "/api/inbox", Verb::Inbox, Nothing),
    ("POST", "/api/inbox/{id}/seen", Verb::Read, ForUsers),
];

/// A PNG of one pixel, as far as its beginning tells.
const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

fn expected(verb: Verb, but: But, place: Place, who: Who) -> u16 {
    // A service's token is nothing here.
    let who = if who == Who::Service { Who::Nobody } else { who };
    let is_user = !matches!(who, Who::Nobody | Who::Guest);
    match but {
        ForUsers if !is_user => 401,
        InTheLobby if verb == Verb::Edit && !is_user => 401,
        InTheLobby if verb == Verb::Edit && place == Place::Direct => 404,
        // It names no conversation: it is of the lobby whatever is elsewhere.
        InTheLobby if verb == Verb::History => 200,
        In000sWords => table(verb, Place::Open, who).map_or(400, |()| 200),
        OneByOne if place == Place::Direct => {
            table(verb, place, who).map_or_else(|code| code.http(), |()| 400)
        }
        _ => table(verb, place, who).map_or_else(|code| code.http(), |()| 200),
    }
}

impl Scene {
    async fn body(&self, method: &str, path: &str, place: Place, who: Who) -> Result<Value> {
        let person = self.person(who);
        let fresh = || json!({"username": self.arena.unique("fresh"), "password": "open sesame"});
        Ok(match (method, path) {
            ("POST", "/auth/register" | "/api/auth/register" | "/register" | "/api/register") => {
                fresh()
            }
            ("POST", "/api/auth/login" | "/login" | "/api/login") => {
                json!({"username": self.author.name, "password": Person::PASSWORD})
            }
            ("POST", "/api/auth/password") => {
                json!({"current": Person::PASSWORD, "new": Person::PASSWORD})
            }
            ("POST", "/api/conversations/") => json!({"title": self.arena.unique("made")}),
            ("POST" | "PATCH", path) if path.starts_with("/api/conversations/") => {
                json!({"text": "hi"})
            }
            ("POST" | "PATCH", path) if path.starts_with("/api/v1/messages") => match who {
                Who::Nobody | Who::Service => json!({"content": "hi"}),
                Who::Guest => json!({"author": self.arena.unique("guest"), "content": "hi"}),
                _ => json!({"author": person.map(|person| &person.name), "content": "hi"}),
            },
            ("POST", "/api/inbox/{id}/seen") => json!({"id": self.said(place).await?.to_string()}),
            _ => Value::Null,
        })
    }

    /// Asks as this caller would.
    async fn asks(&self, method: &str, path: &str, place: Place, who: Who) -> Result<Answer> {
        let is_of_the_lobby = path.starts_with("/api/v1/") && place == Place::Open;
        let there = if is_of_the_lobby { "lobby" } else { self.conversation(place) };
        let mut url = path.to_owned();
        if path.ends_with("{messageid}") || path == "/api/v1/messages/{id}" {
            let id = self.said_at(there).await?.to_string();
            let parameter = if path.ends_with("{messageid}") { "{messageid}" } else { "{id}" };
            url = url.replace(parameter, &id);
        }
        if path == "/media/{id}" {
            let form = uploaded(&self.author).await?;
            url = form;
        }
        url = url.replace("{id}", there);
        let body = self.body(method, path, place, who).await?;
        // What ends a session or an account is tried with one that is for that.
        let spent;
        let person = match self.person(who) {
            Some(_) if path == "/logout" || path == "/api/auth/account" => {
                spent = self.arena.newcomer("spent").await?;
                Some(&spent)
            }
            person => person,
        };
        let http = match (person, who) {
            // Without the cookies that some routes give.
            (Some(person), _) => self.arena.visitor()?.bearing(&person.token),
            (None, Who::Service) => self.arena.visitor()?.bearing(&self.service_token),
            (None, _) => self.arena.visitor()?,
        };
        let mut request = http.request(method.parse::<Method>()?, &url)?;
        if path == "/api/upload/files" {
            request = with_file(request);
        } else if !body.is_null() {
            request = request.json(&body);
        }
        http.send(request).await
    }
}

fn with_file(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    let head = "--x\r\ncontent-disposition: form-data; name=\"files\"; filename=\"a\"\r\n\r\n";
    let body = [head.as_bytes(), PNG, b"\r\n--x--\r\n"].concat();
    request.header("content-type", "multipart/form-data; boundary=x").body(body)
}

async fn uploaded(who: &Person<'_>) -> Result<String> {
    let request = with_file(who.http.request(Method::POST, "/api/upload/files")?);
    let answer = who.http.send(request).await?.expect(200)?;
    Ok(answer["files"][0].as_str().context("a URL")?.to_owned())
}

#[tokio::test]
async fn every_documented_route_is_in_the_table() -> Result<()> {
    let scene = Scene::set().await?;
    let document = scene.arena.visitor()?.get("/openapi.json").await?.expect(200)?;
    let mut documented = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for method in item.as_object().context("operations")?.keys() {
            if ["get", "put", "post", "delete", "patch", "head", "options"].contains(&&**method) {
                documented.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    for (method, path) in &documented {
        let is_known = ROUTES.iter().any(|(m, p, ..)| m == method && p == path);
        assert!(is_known, "{method} {path} is in no row of the table of rights");
    }
    for (method, path, ..) in ROUTES {
        let pair = ((*method).to_owned(), (*path).to_owned());
        assert!(documented.contains(&pair), "{method} {path} is no route");
    }
    Ok(())
}

#[tokio::test]
async fn every_route_answers_every_caller_as_the_table_says() -> Result<()> {
    let scene = Scene::set().await?;
    scene.said(Place::Direct).await?;
    for &(method, path, verb, but) in ROUTES {
        let but = if path == "/api/inbox/{id}/seen" { OneByOne } else { but };
        for place in PLACES {
            for &who in Who::ALL {
                let what = format!("{method} {path} {place:?} {who:?}");
                let answer = scene.asks(method, path, place, who).await.context(what.clone())?;
                let status = if answer.status == 201 { 200 } else { answer.status };
                let is_guest = matches!(who, Who::Nobody | Who::Guest | Who::Service);
                let expected = match but {
                    OneByOne if is_guest => 401,
                    _ => expected(verb, but, place, who),
                };
                assert_eq!(status, expected, "{what}: {answer:?}");
                if place == Place::Direct && (!is_of_the_direct(who) || answer.status >= 400) {
                    scene.gives_nothing_away(&what, &answer.text);
                }
            }
        }
    }
    Ok(())
}

/// Every way of REST by which something of a conversation can be named, tried on a direct.
#[tokio::test]
async fn a_stranger_finds_nothing_of_a_direct_by_any_parameter() -> Result<()> {
    let scene = Scene::set().await?;
    let (direct, room) = (scene.direct.clone(), scene.room.clone());
    let (first, last) = (scene.said(Place::Direct).await?, scene.said(Place::Direct).await?);
    let here = scene.said(Place::Open).await?;
    for path in [
        format!("/api/conversations/{direct}?N=1000"),
        format!("/api/conversations/{direct}?before={last}"),
        format!("/api/conversations/{direct}/?before={here}"),
        format!("/api/conversations/{room}?before={last}"),
        format!("/api/conversations/{room}/{first}"),
        format!("/api/conversations/lobby/{first}"),
        format!("/api/conversations/{direct}/{here}"),
        format!("/api/v1/messages?before={last}&limit=1000"),
        "/api/inbox?directs=200".to_owned(),
        "/api/conversations/?limit=1000".to_owned(),
        "/api/rooms".to_owned(),
    ] {
        let answer = scene.stranger.http.get(&path).await?;
        // What was said in the room by the same author may be read there, and only there.
        let is_hidden = !path.contains(&format!("/{room}?"));
        assert!(!answer.text.contains(&scene.direct_text(first).await?), "{path}");
        if is_hidden {
            let is_list = ["/api/inbox", "/api/conversations/?", "/api/rooms", "/api/v1/"];
            let is_list = is_list.iter().any(|list| path.starts_with(list));
            assert!(is_list || answer.status == 404, "{path}: {}", answer.text);
        }
    }
    Ok(())
}

impl Scene {
    /// The text of a message of the direct, as its member reads it.
    async fn direct_text(&self, id: u64) -> Result<String> {
        let path = format!("/api/conversations/{}/{id}", self.direct);
        let row = self.member.http.get(&path).await?.expect(200)?;
        Ok(row["text"].as_str().context("a text")?.to_owned())
    }
}
