//! Who may look.

use std::time::{Duration, Instant};

use anyhow::Result;
use harness::Arena;
use journeys::{product, rest::Site};
use serde_json::json;
use tokio::time::sleep;

fn refused() -> serde_json::Value {
    let sentence = "show the token of a service: `authorization: Bearer <token>`";
    json!({"error": sentence, "code": "unauthorised"})
}

#[tokio::test(flavor = "multi_thread")]
async fn in_production_only_the_token_of_a_service_opens_it() -> Result<()> {
    let mut options = Arena::options("status-tokens")?;
    let file = std::env::temp_dir().join(format!("{}-tokens", options.redis_prefix));
    std::fs::write(&file, "dashboard the-token-of-a-dashboard\n")?;
    options.api_env.push(("ENVIRONMENT".into(), "production".into()));
    options.api_env.push(("SERVICE_TOKENS_FILE".into(), file.display().to_string()));
    let token = options.service_token.clone();
    let arena = Arena::own(options).await?;
    let site = Site::at(arena.stack.urls().api(1));

    let nobody = site.get("/status.json").await;
    nobody.is(401, refused());
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"switchboard\""));
    let alice = site.newcomer("alice").await;
    site.get("/status.json").cookie(&alice.cookie).await.is(401, refused());
    site.get("/status.json").bearer(&alice.token).await.is(401, refused());
    site.get("/status.json").cookie(&alice.cookie).bearer(&alice.token).await.is(401, refused());
    for wrong in ["", "x", &token[1..], &format!("{token}x"), "dashboard"] {
        site.get("/status.json").bearer(wrong).await.is(401, refused());
    }
    let basic = format!("Basic {token}");
    site.get("/status.json").header("authorization", basic).await.is(401, refused());
    site.get(&format!("/status.json?token={token}")).await.is(401, refused());
    site.get("/status.json").header("authorization", b"Bearer \xff").await.is(401, refused());

    for good in [&*token, "the-token-of-a-dashboard"] {
        assert_eq!(site.get("/status.json").bearer(good).await.status, 200, "{good}");
    }
    // Taken away, it opens nothing within seconds.
    std::fs::write(&file, "# nobody\n")?;
    let taken = Instant::now();
    while site.get("/status.json").bearer("the-token-of-a-dashboard").await.status != 401 {
        assert!(taken.elapsed() < Duration::from_secs(10), "it still opens");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(site.get("/status.json").bearer(&token).await.status, 200);
    std::fs::remove_file(&file)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_development_anybody_may_look_but_not_with_a_token_that_is_none() {
    let product = product().await;
    let site = product.site();
    let alice = site.newcomer("alice").await;
    assert_eq!(site.get("/status.json").await.status, 200);
    assert_eq!(site.get("/status.json").cookie(&alice.cookie).await.status, 200);
    assert_eq!(site.get("/status.json").bearer(product.service_token()).await.status, 200);
    site.get("/status.json").bearer(&alice.token).await.is(401, refused());
    assert_eq!(site.post("/status.json").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_look_the_board_is_read_twice_a_second() {
    let site = product().await.site();
    let began = Instant::now();
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let asked = (0..20).map(|_| async { site.get("/status.json").await });
        for answer in futures_util::future::join_all(asked).await {
            assert_eq!(answer.status, 200);
            answers.insert(answer.text_of("at"));
        }
    }
    let most = began.elapsed().as_millis() / 500 + 2;
    assert!((answers.len() as u128) <= most, "{} answers, {most} at most", answers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_not_guessed_at_without_end_and_the_right_one_stays_right() -> Result<()> {
    let mut options = Arena::options("status-guesses")?;
    options.api_env.push(("ENVIRONMENT".into(), "production".into()));
    options.api_env.push(("TRUSTED_HOPS".into(), "1".into()));
    let token = options.service_token.clone();
    let arena = Arena::own(options).await?;
    let site = Site::at(arena.stack.urls().api(1));
    let shown = async |from: &str, token: &str| {
        let ask = site.get("/status.json").header("x-forwarded-for", from);
        ask.bearer(token).await
    };
    assert_eq!(shown("203.0.113.1", &token).await.status, 200);
    for from in ["203.0.113.1", "203.0.113.2"] {
        let mut refused = 0;
        let last = loop {
            let answer = shown(from, &format!("guess number {refused}")).await;
            if answer.status != 401 {
                break answer;
            }
            refused += 1;
            assert!(refused < 100, "{from} may guess for ever");
        };
        assert!((25..=35).contains(&refused), "{from}: {refused} guesses");
        last.is(
            429,
            json!({"error": "too many wrong tokens from your address, try again later", "code": "rate_limited"}),
        );
        let wait: u32 = last.header("retry-after").expect("a time").parse()?;
        assert!((1..=60).contains(&wait), "{wait} s");
    }
    // Who was there before stays; whoever guesses does not even hear that one was right; nobody
    // else is touched, and who shows nothing is told what to show.
    assert_eq!(shown("203.0.113.1", &token).await.status, 200);
    assert_eq!(shown("203.0.113.2", &token).await.status, 429);
    assert_eq!(shown("203.0.113.3", &token).await.status, 200);
    let nothing = site.get("/status.json").header("x-forwarded-for", "203.0.113.2");
    nothing.await.is(401, refused());
    Ok(())
}
