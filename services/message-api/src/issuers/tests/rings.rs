//! Keys that change, and issuers that are away or worse, by a real server.

use chat_core::Code;
use harness::issuer::{Server, Serves};
use tokio::time::{Instant, sleep};

use super::*;

const PACE: Pace = Pace {
    every: Duration::from_secs(600),
    quiet: Duration::from_millis(400),
    patience: Duration::from_secs(3),
    good_for: Duration::from_secs(600),
};

struct Scene {
    issuers: Issuers,
    server: Server,
    tasks: Shutdown,
}

impl Scene {
    async fn new(serves: Serves, pace: Pace) -> Self {
        let (server, tasks) = (Server::start(serves).await.expect("a server"), Shutdown::new());
        let issuers = Issuers::start(&[issuer(&server.url())], pace, &tasks).expect("starts");
        Self { issuers, server, tasks }
    }

    async fn tries(&self, token: &str) -> Result<Identity, Code> {
        let verified = self.issuers.verify(&token.into()).await.expect("it is of this issuer");
        verified.map_err(|refusal| refusal.code())
    }

    async fn opens(&self, key: &SigningKey) -> Result<(), Code> {
        self.tries(&key.token(&claims()).expect("signs")).await.map(|_| ())
    }

    /// Waits until it opens, or is refused like this.
    async fn until(&self, key: &SigningKey, expected: Result<(), Code>) {
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            let now = self.opens(key).await;
            if now == expected {
                return;
            }
            assert!(Instant::now() < limit, "still {now:?}, never {expected:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.tasks.begin();
    }
}

fn key(kid: &str) -> SigningKey {
    SigningKey::ed25519(kid).expect("a key")
}

#[tokio::test]
async fn tokens_of_nobody_listed_are_not_looked_at() {
    let key = key("k");
    let scene = Scene::new(Serves::keys([&key]), PACE).await;
    let of = async |token: &str| scene.issuers.verify(&token.into()).await.is_some();
    for iss in [json!("https://other.example"), json!([NAME]), json!(null), json!("")] {
        let token = key.token(&with(claims(), "iss", iss)).expect("signs");
        assert!(!of(&token).await);
    }
    let huge = key.token(&with(claims(), "more", json!("x".repeat(16_384)))).expect("signs");
    for other in ["", "x", "..", "a.b.c", &huge] {
        assert!(!of(other).await);
    }
    assert_eq!(scene.opens(&key).await, Ok(()));
    assert!(
        Issuers::default().verify(&key.token(&claims()).expect("signs").into()).await.is_none()
    );
}

#[tokio::test]
async fn a_new_key_is_known_at_its_first_token_and_an_old_one_ends_with_the_list() {
    let (old, new) = (key("old"), key("new"));
    let scene = Scene::new(Serves::keys([&old]), PACE).await;
    assert_eq!(scene.opens(&old).await, Ok(()), "the first look is waited for");
    assert_eq!(scene.opens(&new).await, Err(Code::InvalidToken));
    scene.server.serves(Serves::keys([&old, &new]));
    sleep(PACE.quiet * 2).await;
    assert_eq!(scene.opens(&new).await, Ok(()));
    assert_eq!(scene.opens(&old).await, Ok(()));
    scene.server.serves(Serves::keys([&new]));
    // The next unknown key makes it look.
    scene.until(&key("third"), Err(Code::InvalidToken)).await;
    scene.until(&old, Err(Code::InvalidToken)).await;
    assert_eq!(scene.opens(&new).await, Ok(()));
}

#[tokio::test]
async fn a_list_that_became_empty_ends_all_keys() {
    let known = key("k");
    let pace = Pace { every: Duration::from_millis(100), ..PACE };
    let scene = Scene::new(Serves::keys([&known]), pace).await;
    assert_eq!(scene.opens(&known).await, Ok(()));
    scene.server.serves(Serves::keys([]));
    scene.until(&known, Err(Code::InvalidToken)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_keys_make_no_flood() {
    let known = key("k");
    let scene = Scene::new(Serves::keys([&known]), PACE).await;
    assert_eq!(scene.opens(&known).await, Ok(()));
    let began = Instant::now();
    let mut tries = 0_u64;
    while began.elapsed() < PACE.quiet * 5 {
        let many = (0..50).map(|n| {
            let forged = known.called(Some(&format!("{tries}-{n}")));
            async { forged }
        });
        let many = futures_util::future::join_all(many).await;
        let all = many.iter().map(|forged| scene.opens(forged));
        for refused in futures_util::future::join_all(all).await {
            assert_eq!(refused, Err(Code::InvalidToken));
        }
        assert_eq!(scene.opens(&known).await, Ok(()), "others notice nothing");
        tries += 50;
    }
    let asked = scene.server.asked();
    let most = 2 + began.elapsed().as_millis().div_ceil(PACE.quiet.as_millis());
    assert!(asked >= 3 && u128::from(asked) <= most, "{asked} looks for {tries} tokens");
}

#[tokio::test]
async fn an_issuer_that_is_away_keeps_its_keys_for_a_while() {
    let known = key("k");
    let pace = Pace {
        every: Duration::from_millis(100),
        quiet: Duration::from_millis(100),
        good_for: Duration::from_secs(3),
        ..PACE
    };
    let scene = Scene::new(Serves::keys([&known]), pace).await;
    assert_eq!(scene.opens(&known).await, Ok(()));
    scene.server.serves(Serves::Status(503));
    // Now it can't be told whether there is such a key.
    scene.until(&key("other"), Err(Code::Unavailable)).await;
    assert_eq!(scene.opens(&known).await, Ok(()));
    scene.until(&known, Err(Code::Unavailable)).await;
    scene.server.serves(Serves::keys([&known]));
    scene.until(&known, Ok(())).await;
    assert_eq!(scene.opens(&key("other")).await, Err(Code::InvalidToken));
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_is_waited_for() {
    let known = key("k");
    for bad in [
        Serves::Status(404),
        Serves::Body("<html>".into()),
        Serves::Body(format!("{{\"keys\": [], \"more\": \"{}\"}}", "x".repeat(131_072))),
        Serves::entries(vec![json!({}); 65]),
    ] {
        let scene = Scene::new(bad, PACE).await;
        assert_eq!(scene.opens(&known).await, Err(Code::Unavailable));
        scene.server.serves(Serves::keys([&known]));
        scene.until(&known, Ok(())).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let known = key("k");
    let elsewhere = Server::start(Serves::keys([&known])).await.expect("a server");
    let scene = Scene::new(Serves::Redirect(elsewhere.url()), PACE).await;
    assert_eq!(scene.opens(&known).await, Err(Code::Unavailable));
    while scene.server.asked() < 3 {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_and_a_silent_issuer_holds_nobody() {
    let known = key("k");
    let scene = Scene::new(Serves::Endless, PACE).await;
    assert_eq!(scene.opens(&known).await, Err(Code::Unavailable));
    while scene.server.asked() < 3 {
        sleep(Duration::from_millis(20)).await;
    }
    // What the kernel keeps between the two is taken too.
    let taken = scene.server.written() / scene.server.asked();
    assert!(taken < 16 * 1024 * 1024, "{taken} bytes");

    let patience = Duration::from_millis(300);
    let scene = Scene::new(Serves::Silence, Pace { patience, ..PACE }).await;
    let began = Instant::now();
    assert_eq!(scene.opens(&known).await, Err(Code::Unavailable));
    assert!(began.elapsed() < patience * 5, "it took {:?}", began.elapsed());
}
