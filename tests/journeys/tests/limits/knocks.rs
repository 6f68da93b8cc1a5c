//! Log-ins and registrations, over REST and two replicas of message-api.

use anyhow::{Context, Result};
use harness::Arena;
use journeys::rest::{PASSWORD, unique};
use local_stack::Options;
use serde_json::json;

use super::{Behind, arena, limited, log_in, register, site, too_much, with};

const WRONG: &str = "not this one";

async fn two_apis(name: &str, api: &[(&str, &str)]) -> Result<Arena> {
    let options = Options { apis: 2, gateways: 0, ..Arena::options(name)? };
    Arena::own(with(options, api, &[])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_try_few_wrong_passwords_of_an_account_at_all_replicas_together()
-> Result<()> {
    let arena = two_apis("guesses", &[("WRONG_PASSWORDS", "4")]).await?;
    let (one, two) = (site(&arena, 1), site(&arena, 2));
    let (alice, bob, nobody) = (unique("alice"), unique("bob"), unique("nobody"));
    for name in [&alice, &bob] {
        assert_eq!(register(&one, "198.51.100.1", name).await.status, 201);
    }
    let here = "203.0.113.7";
    for name in [&alice, &nobody] {
        for (n, site) in [&one, &two, &one, &two].into_iter().enumerate() {
            // What the client claims itself changes nothing.
            let claimed = format!("192.0.2.{n}, {here}");
            assert_eq!(log_in(site, &claimed, name, WRONG).await.status, 401, "{name}");
        }
        for site in [&one, &two] {
            too_much(&log_in(site, here, name, WRONG).await);
            too_much(&log_in(site, here, &name.to_uppercase(), PASSWORD).await);
        }
    }
    // Others here, and the same elsewhere, notice nothing.
    assert_eq!(log_in(&two, here, &bob, PASSWORD).await.status, 200);
    assert_eq!(log_in(&two, "203.0.113.8", &alice, PASSWORD).await.status, 200);
    // A right password counts for nothing, however often.
    for _ in 0..8 {
        assert_eq!(log_in(&one, here, &bob, PASSWORD).await.status, 200);
    }
    assert!(limited(&arena.stack.urls().api_admin(1), "password").await? >= 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_says_it_in_its_own_words() -> Result<()> {
    let settings =
        [("WRONG_PASSWORDS", "1"), ("REGISTRATIONS_PER_ADDRESS", "1"), ("PASSWORD_MIN", "4")];
    let arena = arena("words", &settings, &[]).await?;
    let (site, alice, here) = (site(&arena, 1), unique("alice"), "203.0.113.7");
    assert_eq!(register(&site, here, &alice).await.status, 201);
    assert_eq!(log_in(&site, here, &alice, WRONG).await.status, 401);
    let entry = json!({"username": alice, "password": PASSWORD});
    let ask = |method: &str, path: &str| site.ask(method, path).behind(here).json(&entry);

    for path in ["/api/login", "/api/register", "/api/auth/login", "/api/auth/register"] {
        let answer = ask("POST", path).await;
        too_much(&answer);
        assert_eq!(answer.text_of("code"), "rate_limited", "{path}");
        assert!(answer.text_of("error").contains("try again later"), "{path}");
    }
    too_much(&ask("DELETE", "/api/auth/account").await);
    for path in ["/login", "/register", "/auth/register"] {
        let answer = ask("POST", path).await;
        too_much(&answer);
        assert_eq!(answer.text_of("status"), "rate limited", "{path}");
        assert!(answer.text_of("error").contains("try again later"), "{path}");
    }
    for path in ["/login", "/register"] {
        let form = site.post(path).behind(here);
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body(format!("username={alice}&password=correct+horse")).await;
        too_much(&answer);
        assert!(answer.text.contains("try again later"), "{}", answer.text);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_from_everywhere_are_slowed_and_lock_nobody_out() -> Result<()> {
    let settings = [("WRONG_PASSWORDS", "5"), ("WRONG_PASSWORDS_PER_ACCOUNT", "10")];
    let arena = two_apis("everywhere", &settings).await?;
    let (one, two) = (site(&arena, 1), site(&arena, 2));
    let (alice, home) = (unique("alice"), "198.51.100.1");
    assert_eq!(register(&one, home, &alice).await.status, 201);
    for stranger in 0..5 {
        let stranger = format!("203.0.113.{stranger}");
        for site in [&one, &two] {
            assert_eq!(log_in(site, &stranger, &alice, WRONG).await.status, 401);
        }
    }
    // Now whoever is not known as the owner has one try.
    for stranger in 10..15 {
        let stranger = format!("203.0.113.{stranger}");
        assert_eq!(log_in(&one, &stranger, &alice, WRONG).await.status, 401);
        too_much(&log_in(&two, &stranger, &alice, WRONG).await);
    }
    // At home a typing error is forgiven as ever.
    for _ in 0..3 {
        assert_eq!(log_in(&two, home, &alice, WRONG).await.status, 401);
    }
    assert_eq!(log_in(&one, home, &alice, PASSWORD).await.status, 200);
    // Elsewhere the owner needs the one try, and is known from then on.
    let away = "192.0.2.1";
    assert_eq!(log_in(&one, away, &alice, PASSWORD).await.status, 200);
    for _ in 0..4 {
        assert_eq!(log_in(&two, away, &alice, WRONG).await.status, 401);
    }
    assert_eq!(log_in(&one, away, &alice, PASSWORD).await.status, 200);
    let narrowed = limited(&arena.stack.urls().api_admin(1), "account").await?;
    assert!(narrowed >= 5, "{narrowed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_knock_only_so_often_whatever_it_wants() -> Result<()> {
    let settings = [("LOGINS_PER_ADDRESS", "6"), ("REGISTRATIONS_PER_ADDRESS", "3")];
    let arena = two_apis("address", &settings).await?;
    let (one, two) = (site(&arena, 1), site(&arena, 2));
    let names: Vec<_> = (0..4).map(|n| unique(&format!("alice{n}"))).collect();
    let network = |n| format!("2001:db8:1:2:{n}::7");
    for (n, site) in [&one, &two, &one].into_iter().enumerate() {
        assert_eq!(register(site, &network(n), &names[n]).await.status, 201);
    }
    too_much(&register(&two, &network(9), &names[3]).await);
    for n in 0..6 {
        let site = if n % 2 == 0 { &one } else { &two };
        assert_eq!(log_in(site, &network(n), &names[n % 3], PASSWORD).await.status, 200);
    }
    for site in [&one, &two] {
        too_much(&log_in(site, &network(7), &names[0], PASSWORD).await);
    }
    let next_door = "2001:db8:1:3::7";
    assert_eq!(register(&one, next_door, &names[3]).await.status, 201);
    assert_eq!(log_in(&one, next_door, &names[0], PASSWORD).await.status, 200);
    let counted = limited(&arena.stack.urls().api_admin(2), "registrations").await;
    assert_eq!(counted.context("registrations")?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_many_networks_of_ipv6_may_knock_four_times_as_often_and_no_more() -> Result<()> {
    let arena = two_apis("site", &[("LOGINS_PER_ADDRESS", "2")]).await?;
    let (one, two) = (site(&arena, 1), site(&arena, 2));
    let mut statuses = Vec::new();
    for n in 0..12 {
        let site = if n % 2 == 0 { &one } else { &two };
        let from = format!("2001:db8:1:{n:x}::7");
        statuses.push(log_in(site, &from, &unique("nobody"), WRONG).await.status);
    }
    assert_eq!(statuses, [[401; 8].as_slice(), &[429; 4]].concat());
    let elsewhere = log_in(&one, "2001:db8:2:1::7", &unique("nobody"), WRONG).await;
    assert_eq!(elsewhere.status, 401, "{}", elsewhere.text);
    Ok(())
}
