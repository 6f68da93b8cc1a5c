//! The pages, and accounts by form.

use anyhow::Result;
use harness::{Answer, Arena};
use serde_json::json;

const PASSWORD: &str = "open sesame";

#[track_caller]
fn is_page(answer: &Answer, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.text.contains(part), "{}", answer.text);
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
}

const REGISTER: &str = "<h1>Register</h1>";
const LOG_IN: &str = "<h1>Log in</h1>";
const CHAT: &str = "/start.js";

#[track_caller]
fn leads_to(answer: &Answer, place: &str) {
    assert_eq!((answer.status, answer.header("location")), (303, place), "{}", answer.text);
}

#[tokio::test]
async fn a_browser_registers_sees_its_page_logs_out_and_logs_in_again() -> Result<()> {
    let arena = Arena::shared().await?;
    let (browser, name) = (arena.visitor()?, arena.unique("alice"));
    is_page(&browser.get("/register").await?, 200, REGISTER);
    is_page(&browser.get("/login").await?, 200, LOG_IN);
    leads_to(&browser.get("/io").await?, "/login");
    leads_to(&browser.get("/").await?, "/login");

    let account = [("username", &*name), ("password", PASSWORD)];
    leads_to(&browser.post_form("/register", &account).await?, "/io");
    let (io, root) = (browser.get("/io").await?, browser.get("/").await?);
    is_page(&io, 200, CHAT);
    assert!(io.header("set-cookie").starts_with("session="), "its use prolongs the session");
    assert_eq!(root.text, io.text);

    leads_to(&browser.post_form("/logout", &[]).await?, "/login");
    leads_to(&browser.get("/io").await?, "/login");
    leads_to(&browser.post_form("/login", &account).await?, "/io");
    is_page(&browser.get("/io").await?, 200, CHAT);
    Ok(())
}

#[tokio::test]
async fn a_refused_form_comes_back_with_the_reason_and_the_name_as_text() -> Result<()> {
    let arena = Arena::shared().await?;
    let (browser, alice) = (arena.visitor()?, arena.newcomer("alice").await?);
    let evil = "\"><script>alert('x')</script>";
    for (path, form, name, password, status) in [
        ("/register", REGISTER, &*alice.name, PASSWORD, 409),
        ("/register", REGISTER, evil, PASSWORD, 400),
        ("/register", REGISTER, "bob", "abc", 400),
        ("/register", REGISTER, "", "", 400),
        ("/login", LOG_IN, &alice.name, "wrong password", 401),
        ("/login", LOG_IN, "nobody-at-all", PASSWORD, 401),
        ("/login", LOG_IN, evil, PASSWORD, 401),
    ] {
        let fields = [("username", name), ("password", password)];
        let answer = browser.post_form(path, &fields).await?;
        is_page(&answer, status, form);
        assert!(!answer.text.contains("role=\"alert\"></p>"), "no reason in {}", answer.text);
        assert!(!answer.text.contains("<script>alert"), "{}", answer.text);
        assert!(answer.header("set-cookie").is_empty());
    }
    let unknown = browser.post_form("/login", &[("username", "nobody"), ("password", "x")]).await?;
    let form = [("username", &*alice.name), ("password", "x")];
    let wrong = browser.post_form("/login", &form).await?;
    assert_eq!(unknown.text.replace("nobody", &alice.name), wrong.text);
    let missing = browser.post_form("/login", &[("username", "alice")]).await?;
    is_page(&missing, 400, LOG_IN);
    Ok(())
}

#[tokio::test]
async fn a_page_names_files_that_a_browser_may_keep() -> Result<()> {
    let arena = Arena::shared().await?;
    let browser = arena.visitor()?;
    let page = browser.get("/login").await?;
    let style = page.text.split('"').find(|text| text.ends_with("/style.css")).expect("a style");
    let file = browser.get(style).await?.expect(200)?;
    assert_eq!(file.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    let again = browser.request(reqwest::Method::GET, style)?;
    let again = browser.send(again.header("if-none-match", file.header("etag"))).await?;
    assert_eq!((again.status, &*again.text), (304, ""));
    // As replicas of other versions name it, and as nobody does.
    let of_another = browser.get("/web/another/style.css").await?.expect(200)?;
    assert_eq!((of_another.header("cache-control"), &of_another.text), ("no-cache", &file.text));
    assert_eq!(browser.get("/web/another/package.json").await?.status, 404);
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
