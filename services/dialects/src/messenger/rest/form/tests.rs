//! Forms as strangers send them: each is read as it was meant, or refused in few words.

use std::future::Future;

use axum::{extract::DefaultBodyLimit, http::HeaderMap};
use chat_core::UserId;
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::address::Address;

/// The longest sentence of a refusal.
const SENTENCE: usize = 300;

/// What a browser sends where there is no boundary of its own.
const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

type Outcome = Result<Vec<Bytes>, ChatError>;

fn runs<T>(asked: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(asked)
}

/// Reads a form that comes in these chunks; and how many bytes of it were taken.
async fn files(content_type: &str, chunks: Vec<Bytes>) -> (Outcome, usize) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let body = Body::from_stream(stream::iter(chunks).map(move |chunk| {
        counter.fetch_add(chunk.len(), Ordering::Relaxed);
        Ok::<_, std::io::Error>(chunk)
    }));
    let request = Request::post("/").header("content-type", content_type).body(body);
    let mut request = request.expect("a request");
    DefaultBodyLimit::max(super::super::files::UPLOAD_MAX).apply(&mut request);
    let all = async {
        let from = Address::of([127, 0, 0, 1].into(), &HeaderMap::new(), 0);
        let nobody = Owner { user: UserId(0), from };
        let (mut form, mut files) = (Form::of(request).await?, Vec::new());
        while let Some((file, _place)) = form.next_file(nobody).await? {
            files.push(file);
        }
        Ok(files)
    };
    (all.await, taken.load(Ordering::Relaxed))
}

fn outcome(boundary: &str, chunks: Vec<Bytes>) -> (Outcome, usize) {
    runs(files(&format!("multipart/form-data; boundary={boundary}"), chunks))
}

fn chunks(body: &[u8], size: usize) -> Vec<Bytes> {
    body.chunks(size.max(1)).map(Bytes::copy_from_slice).collect()
}

fn part(boundary: &str, headers: &str, content: &[u8]) -> Vec<u8> {
    [format!("--{boundary}\r\n{headers}\r\n\r\n").as_bytes(), content, b"\r\n"].concat()
}

fn form(boundary: &str, parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut body: Vec<u8> =
        parts.iter().flat_map(|(headers, content)| part(boundary, headers, content)).collect();
    body.extend(format!("--{boundary}--\r\n").as_bytes());
    body
}

fn refused(outcome: &Outcome) {
    let Err(error) = outcome else { return };
    assert!(error.code().http() < 500, "{error}");
    assert!(error.message().len() <= SENTENCE, "{error}");
}

/// A header of a part that holds a file, and of one that does not.
fn headers() -> impl Strategy<Value = (String, bool)> {
    let names = vec!["a.png", "../../etc/passwd", "C:\\a", "%00", "\u{202e}gnp.exe", "a\\\"b", ""];
    (select(names), any::<bool>(), any::<bool>()).prop_map(|(name, is_file, is_wide)| {
        let field = if is_file { "files" } else { "text" };
        let star = if is_wide { "; filename*=UTF-8''%e2%82%ac%00.png" } else { "" };
        let headers = format!(
            "Content-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"{star}\r\n\
             Content-Type: text/html"
        );
        (headers, is_file)
    })
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let near =
        vec!["\r\n--", "\r\n\r\n", "--", "\r", "\n", "\r\n--x", "\r\n----WebKitFormBoundary"];
    let piece = prop_oneof![
        vec(any::<u8>(), 0..40),
        select(near).prop_map(|near| near.as_bytes().to_vec()),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whole_forms_are_read_as_they_were_meant(
        parts in vec((headers(), content()), 0..6),
        boundary in "[0-9A-Za-z]{8,60}",
        size in 1_usize..200,
    ) {
        let wanted: Vec<_> = parts.iter().filter(|((_, is_file), _)| *is_file).collect();
        let sent: Vec<_> =
            parts.iter().map(|((headers, _), content)| (headers.clone(), content.clone())).collect();
        let (read, _) = outcome(&boundary, chunks(&form(&boundary, &sent), size));
        if wanted.len() > MEDIA_MAX {
            prop_assert_eq!(read.expect_err("too many").code(), Code::InvalidPayload);
        } else {
            let wanted: Vec<_> = wanted.into_iter().map(|(_, content)| content.clone()).collect();
            prop_assert_eq!(read.expect("a whole form"), wanted);
        }
    }

    #[test]
    fn whatever_is_done_to_a_form_it_is_read_or_refused(
        parts in vec((headers(), content()), 0..4),
        cut in any::<prop::sample::Index>(),
        inserted in vec(any::<u8>(), 0..4),
        keeps in any::<bool>(),
        size in 1_usize..200,
    ) {
        let sent: Vec<_> =
            parts.into_iter().map(|((headers, _), content)| (headers, content)).collect();
        let mut body = form(BOUNDARY, &sent);
        let rest = body.split_off(cut.index(body.len()));
        body.extend(inserted);
        if keeps {
            body.extend(rest);
        }
        refused(&outcome(BOUNDARY, chunks(&body, size)).0);
    }

    #[test]
    fn whatever_bytes_come_as_a_form_they_are_read_or_refused(
        kind in "[ -~]{0,40}",
        boundary in "[ -~]{0,80}",
        body in vec(any::<u8>(), 0..200),
        size in 1_usize..60,
    ) {
        let kinds =
            [kind, format!("multipart/form-data; boundary={boundary}"), format!("multipart/form-data; {boundary}")];
        for kind in kinds {
            refused(&runs(files(&kind, chunks(&body, size))).0);
        }
    }
}

/// Refused, and no more of it read than may stand between files.
fn is_given_up(what: &str, start: &str, filling: &str) {
    let chunk = filling.repeat(8 * 1024 / filling.len());
    let mut all = vec![Bytes::from(start.to_owned())];
    all.resize(4_000, Bytes::from(chunk));
    let began = Instant::now();
    let (read, taken) = outcome("b", all);
    let error = read.expect_err(what);
    assert!(error.message().contains("65536 bytes"), "{what}: {error}");
    assert!(taken <= BETWEEN + 32 * 1024, "{what}: {taken} bytes were read");
    assert!(began.elapsed() < Duration::from_secs(2), "{what}: {:?}", began.elapsed());
}

#[test]
fn what_never_comes_to_a_file_is_given_up() {
    let other = "--b\r\ncontent-disposition: form-data; name=\"text\"\r\n\r\n";
    is_given_up("before the first part", "", "x");
    is_given_up("boundaries that are none", "", "\r\n--c");
    is_given_up("a header without end", "--b\r\nx-long: ", "y");
    is_given_up("headers without end", "--b\r\n", "a: b\r\n");
    is_given_up("a part of another name", other, "z");
    is_given_up("10,000 parts of another name", "", &format!("{other}z\r\n"));
    let file = "--b\r\ncontent-disposition: form-data; name=\"files\"\r\n\r\nx\r\n";
    is_given_up("after a file", &format!("{file}--b\r\nx-long: "), "y");
}

#[test]
fn files_have_an_end_and_their_places_come_back() {
    let headers = "content-disposition: form-data; name=\"files\"";
    let large = form("b", &[(headers.to_owned(), vec![7; FILE_MAX])]);
    for _ in 0..17 {
        let (read, _) = outcome("b", chunks(&large, 1 << 20));
        assert_eq!(read.expect("as large as a file may be")[0].len(), FILE_MAX);
    }
    let larger = form("b", &[(headers.to_owned(), vec![7; FILE_MAX + 1])]);
    let error = outcome("b", chunks(&larger, 1 << 20)).0.expect_err("larger");
    assert_eq!(error.code(), Code::PayloadTooLarge);
    let many: Vec<_> = (0..10_000).map(|_| (headers.to_owned(), b"x".to_vec())).collect();
    let (read, taken) = outcome("b", chunks(&form("b", &many), 4_096));
    assert!(read.expect_err("too many").message().contains("at most 4 files"));
    assert!(taken <= BETWEEN, "{taken} bytes were read");
}

#[test]
fn names_say_nothing_that_counts() {
    let with =
        |headers: &str| outcome("b", chunks(&form("b", &[(headers.to_owned(), b"x".into())]), 7)).0;
    for taken in [
        "content-disposition: form-data; name=files",
        "content-disposition: form-data; name=\"files\"; filename=\"../../x\"",
        "content-disposition: form-data; name=\"files\"; filename*=UTF-8''a%00b%0d%0ac",
        "content-disposition: form-data; name=\"files\"; filename=\"a\u{1f600}\"",
        "content-disposition: form-data; name=\"files\"\r\ncontent-length: 999999999999",
        "content-disposition: form-data; name=\"files\"\r\ncontent-transfer-encoding: base64",
    ] {
        assert_eq!(with(taken).expect(taken), [&b"x"[..]], "{taken}");
    }
    for none in [
        "content-disposition: form-data; name=\"Files\"",
        "content-disposition: form-data; name=\"files\0\"",
        "content-disposition: form-data; name=\"fi\nles\"",
        "content-disposition: form-data",
        "content-type: multipart/mixed; boundary=c",
    ] {
        let read = with(none);
        refused(&read);
        assert!(read.is_err() || read == Ok(Vec::new()), "{none}: {read:?}");
    }
}
