//! The pages, and accounts by form.

use anyhow::Result;
use harness::{Answer, Arena};
use serde_json::json;

const PASSWORD: &str = "open sesame";

#[track_caller]
fn is_page(answer: &Answer, status: u16, title: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.text.contains(&format!("<h1>{title}</h1>")), "{}", answer.text);
    for strange in ["<script", "<style", "style=", "//", "onload", "onclick"] {
        assert!(!answer.text.contains(strange), "{strange} in {}", answer.text);
    }
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[track_caller]
fn leads_to(answer: &Answer, place: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, place), "{}", answer.text);
}

#[tokio::test]
async fn a_browser_registers_sees_its_page_logs_out_and_logs_in_again() -> Result<()> {
    let arena = Arena::shared().await?;
    let (browser, name) = (arena.visitor()?, arena.unique("alice"));
    is_page(&browser.get("/register").await?, 200, "Register");
    is_page(&browser.get("/login").await?, 200, "Log in");
    leads_to(&browser.get("/io").await?, "/login");

    let account = [("username", &*name), ("password", PASSWORD)];
    leads_to(&browser.post_form("/register", &account).await?, "/io");
    let io = browser.get("/io").await?;
    is_page(&io, 200, "One to one");
    assert!(io.text.contains(&name));

    leads_to(&browser.post_form("/logout", &[]).await?, "/login");
    leads_to(&browser.get("/io").await?, "/login");
    leads_to(&browser.post_form("/login", &account).await?, "/io");
    is_page(&browser.get("/io").await?, 200, "One to one");
    Ok(())
}

#[tokio::test]
async fn a_refused_form_comes_back_with_the_reason_and_the_name_as_text() -> Result<()> {
    let arena = Arena::shared().await?;
    let (browser, alice) = (arena.visitor()?, arena.newcomer("alice").await?);
    let evil = "\"><script>alert('x')</script>";
    for (path, title, name, password, status) in [
        ("/register", "Register", &*alice.name, PASSWORD, 409),
        ("/register", "Register", evil, PASSWORD, 400),
        ("/register", "Register", "bob", "abc", 400),
        ("/register", "Register", "", "", 400),
        ("/login", "Log in", &alice.name, "wrong password", 401),
        ("/login", "Log in", "nobody-at-all", PASSWORD, 401),
        ("/login", "Log in", evil, PASSWORD, 401),
    ] {
        let form = [("username", name), ("password", password)];
        let answer = browser.post_form(path, &form).await?;
        is_page(&answer, status, title);
        assert!(answer.text.contains("role=\"alert\""), "{}", answer.text);
        assert!(answer.header("set-cookie").is_empty());
    }
    let unknown = browser.post_form("/login", &[("username", "nobody"), ("password", "x")]).await?;
    let form = [("username", &*alice.name), ("password", "x")];
    let wrong = browser.post_form("/login", &form).await?;
    assert_eq!(unknown.text.replace("nobody", &alice.name), wrong.text);
    let missing = browser.post_form("/login", &[("username", "alice")]).await?;
    is_page(&missing, 400, "Log in");
    Ok(())
}

#[tokio::test]
async fn the_forms_session_opens_sockets_and_ends_with_log_out_everywhere() -> Result<()> {
    let arena = Arena::shared().await?;
    let (browser, name) = (arena.visitor()?, arena.unique("alice"));
    browser.post_form("/register", &[("username", &name), ("password", PASSWORD)]).await?;
    let knock = |n| arena.gateway(n).cookie(&browser.cookie_header());
    let (one, two) = (knock(1).enters().await?, knock(2).namespace("/one-to-one").enters().await?);
    for socket in [&one, &two] {
        let welcome = socket.hears("storeUsername", |_| true).await?;
        assert_eq!(welcome["username"], *name);
    }
    browser.get("/logout").await?.expect(200)?;
    one.sees_the_end().await?;
    two.sees_the_end().await?;
    Ok(())
}

#[tokio::test]
async fn programs_get_json_in_the_same_places() -> Result<()> {
    let arena = Arena::shared().await?;
    let (program, name) = (arena.visitor()?, arena.unique("alice"));
    let account = json!({"username": name, "password": PASSWORD});
    let answer = program.post_json("/register", &account).await?.expect(200)?;
    assert_eq!((&answer["status"], &answer["username"]), (&json!("success"), &json!(name)));
    assert!(answer["token"].is_string());
    let again = program.post_json("/register", &account).await?.expect(409)?;
    assert_eq!(again["status"], "username taken");
    let out = program.post_json("/logout", &json!({})).await?.expect(200)?;
    assert_eq!(out.json, json!({"status": "success"}));
    Ok(())
}
