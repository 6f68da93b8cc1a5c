//! Uploads: what is taken, what is refused, how it is served.

use anyhow::Result;
use harness::{Answer, Arena, Http};
use reqwest::Method;
use serde_json::json;

use crate::{asks, enters, enters_plainly};

const MIB: usize = 1024 * 1024;

/// A PNG file of so many bytes.
fn png(size: usize) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".to_vec();
    file.resize(size.max(file.len()), 0);
    file
}

/// One part of a form: its field, the name and type that its sender claims, the content.
type Part<'a> = (&'a str, &'a str, &'a str, &'a [u8]);

async fn uploads(http: &Http, parts: &[Part<'_>]) -> Result<Answer> {
    let mut body = Vec::new();
    for (field, name, kind, content) in parts {
        let head = format!(
            "--b0undary\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             content-type: {kind}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b0undary--\r\n");
    let request = http.request(Method::POST, "/api/upload/files")?;
    let request = request.header("content-type", "multipart/form-data; boundary=b0undary");
    http.send(request.body(body)).await
}

#[tokio::test]
async fn what_is_uploaded_is_served_under_its_true_type_and_goes_with_a_chat() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(arena, &alice, 1).await?, enters_plainly(arena, &bob, 2).await?);
    let file = png(70_000);
    // A name and a type that lie, and a way out of the directory.
    let part = ("files", "../../etc/x.html", "text/html", &*file);
    let answer = uploads(&alice.http, &[("caption", "c", "text/plain", b"hi"), part]).await?;
    let answer = answer.expect(200)?;
    assert!(answer["message"].is_string());
    let urls = answer["files"].as_array().cloned().unwrap_or_default();
    assert_eq!(urls.len(), 1);
    let url = urls[0].as_str().unwrap_or_default();
    assert!(url.starts_with("/media/"), "{url}");

    let visitor = arena.visitor()?;
    let response = visitor.request(Method::GET, url)?.send().await?;
    let header = |name: &str| response.headers()[name].to_str().unwrap_or_default().to_owned();
    assert_eq!(response.status(), 200);
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("content-length"), "70000");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").contains("sandbox"));
    assert!(header("content-disposition").starts_with("inline; filename="));
    assert!(!header("content-disposition").contains("html"));
    assert_eq!(header("cache-control"), "public, max-age=86400, immutable");
    assert_eq!(response.bytes().await?, file);
    visitor.get("/media/AAAAAAAAAAAAAAAAAAAAAA").await?.expect(404)?;
    visitor.get("/media/..%2f..%2fetc%2fpasswd").await?.expect(404)?;

    let send = json!({"user": bob.name, "message": "look", "media": [url]});
    let sent = alices.asks("send-message", send).await?;
    assert_eq!(sent["chat"]["media"], json!([url]));
    assert_eq!(sent["chat"]["mediaIds"], json!([url]));
    assert_eq!(bobs.hears("chat", |_| true).await?["data"], sent);
    let stolen = json!({"user": alice.name, "message": "mine", "media": [url]});
    let stolen = asks(&bobs, "send-message", stolen, "a").await?;
    assert_eq!(stolen["error"]["code"], "invalid_media");

    alices.asks("delete-chat", json!({"id": sent["chat"]["id"]})).await?;
    visitor.get(url).await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn an_image_that_fills_memories_is_refused_and_leaves_nothing() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let mut bomb = png(30_000);
    bomb[16..24].copy_from_slice(b"\0\0\x3e\x80\0\0\x3e\x80");
    let answer = uploads(&alice.http, &[("files", "a.png", "image/png", &bomb)]).await?;
    let answer = answer.expect(413)?;
    assert_eq!(answer["code"], "payload_too_large");
    let sentence = answer["error"].as_str().unwrap_or_default();
    assert!(sentence.contains("50 megapixels") && sentence.contains("16000 x 16000"), "{sentence}");
    // Nothing before the first scan tells how large it is.
    let hidden = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xda\0\x02";
    let answer = uploads(&alice.http, &[("files", "a.jpg", "image/jpeg", hidden)]).await?;
    assert_eq!(answer.expect(415)?["code"], "unsupported_media");
    Ok(())
}

#[tokio::test]
async fn only_images_videos_and_audio_are_taken_whatever_they_are_called() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    for content in [
        &svg[..],
        b"<!doctype html><script>alert(1)</script> padded, long enough",
        b"%PDF-1.7 padded, so that it is long enough",
        b"",
        b"\x89PNG",
    ] {
        let answer = uploads(&alice.http, &[("files", "a.png", "image/png", content)]).await?;
        assert_eq!(answer.expect(415)?["code"], "unsupported_media");
    }
    Ok(())
}

#[tokio::test]
async fn too_many_too_large_and_none_are_refused() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let small = png(100);
    let part = ("files", "a.png", "image/png", &*small);
    let answer = uploads(&alice.http, &[part; 4]).await?.expect(200)?;
    assert_eq!(answer["files"].as_array().map(Vec::len), Some(4));
    for parts in [&[part; 5][..], &[], &[("other", "a.png", "image/png", &*small)]] {
        let answer = uploads(&alice.http, parts).await?.expect(400)?;
        assert_eq!(answer["errors"][0]["code"], "invalid_payload");
    }
    let largest = png(10 * MIB);
    uploads(&alice.http, &[("files", "a.png", "image/png", &largest)]).await?.expect(200)?;
    let larger = png(10 * MIB + 1);
    let answer = uploads(&alice.http, &[("files", "a.png", "image/png", &larger)]).await?;
    assert_eq!(answer.expect(413)?["code"], "payload_too_large");
    let answer = alice.http.post_json("/api/upload/files", &json!({"files": []})).await?;
    answer.expect(400)?;
    Ok(())
}

#[tokio::test]
async fn strangers_upload_nothing() -> Result<()> {
    let arena = Arena::shared().await?;
    // As much as anybody may send: even so the answer arrives.
    let file = png(10 * MIB);
    let part = ("files", "a.png", "image/png", &*file);
    for http in [arena.visitor()?, arena.visitor()?.bearing("rubbish")] {
        let answer = uploads(&http, &[part; 4]).await?.expect(401)?;
        assert_eq!(answer.json, json!({"error": "Unauthorized"}));
    }
    Ok(())
}
