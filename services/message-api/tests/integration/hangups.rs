//! Who stops waiting for an answer stops nothing of what was begun: it comes to its end, whole.

use std::{future::Future, pin::pin, task::Poll, time::Duration};

use chat_core::{Chat, Credential, Event, Login, Media, Notice};
use sqlx::ConnectOptions;
use switchboard_proto::v1;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    process::{Program, command},
    support::{Replica, World, password, title, username},
};

/// More than any verb here waits for something.
const WAITS: usize = 16;

/// Asks, and hangs up once it has waited for so many things. The last has been answered by then, most
/// likely, and nobody has looked at the answer.
async fn hang_up(waits: usize, asked: impl Future) {
    let (mut asked, mut waited) = (pin!(asked), 0);
    std::future::poll_fn(|context| {
        if asked.as_mut().poll(context).is_ready() || waited == waits {
            return Poll::Ready(());
        }
        waited += 1;
        Poll::Pending
    })
    .await;
    sleep(Duration::from_millis(3)).await;
}

fn notices(replica: &mut Replica) -> Vec<Notice> {
    let notice = |event| if let Event::Notice(notice) = event { Some(notice) } else { None };
    replica.published().into_iter().filter_map(|publication| notice(publication.event)).collect()
}

async fn alice(replica: &Replica, number: usize) -> Login {
    let name = username(&format!("alice{number}"));
    replica.rules.register(name, Some(password("pass"))).await.expect("registers")
}

async fn lives(replica: &Replica, login: &Login) -> bool {
    replica.rules.authenticate(Credential::Token(login.token.clone())).await.is_ok()
}

async fn lets_in(replica: &Replica, login: &Login, word: &str) -> bool {
    replica.rules.log_in(login.session.user.name.clone(), password(word)).await.is_ok()
}

#[tokio::test]
async fn an_account_is_deleted_wholly_or_not_at_all() {
    let world = World::new().await;
    let mut replica = world.replica();
    for waits in 0..WAITS {
        let login = alice(&replica, waits).await;
        replica.published();
        hang_up(waits, replica.rules.delete_account(&login.session.user)).await;
        replica.settles().await;
        let told = notices(&mut replica);
        let is_there = lets_in(&replica, &login, "pass").await;
        assert_eq!(lives(&replica, &login).await, is_there, "hung up after {waits}");
        let ended = Notice::SessionEnded(login.session.id.clone());
        let deleted = Notice::UserDeleted(login.session.user.clone());
        let all = if is_there { vec![] } else { vec![ended, deleted] };
        assert_eq!(told, all, "hung up after {waits}");
    }
}

#[tokio::test]
async fn a_password_is_changed_and_ends_the_others_or_neither() {
    let world = World::new().await;
    let mut replica = world.replica();
    for waits in 0..WAITS {
        let own = alice(&replica, waits).await;
        let name = own.session.user.name.clone();
        let other = replica.rules.log_in(name, password("pass")).await.expect("logs in");
        replica.published();
        let (current, new) = (password("pass"), password("another"));
        hang_up(waits, replica.rules.change_password(&own.session, current, new)).await;
        replica.settles().await;
        let told = notices(&mut replica);
        let is_old = lets_in(&replica, &own, "pass").await;
        assert_eq!(lets_in(&replica, &own, "another").await, !is_old);
        assert_eq!(lives(&replica, &other).await, is_old, "hung up after {waits}");
        assert!(lives(&replica, &own).await);
        let ended = Notice::SessionEnded(other.session.id);
        assert_eq!(told, if is_old { vec![] } else { vec![ended] }, "hung up after {waits}");
    }
}

#[tokio::test]
async fn a_session_that_ends_is_told() {
    let world = World::new().await;
    let mut replica = world.replica();
    for waits in 0..WAITS {
        let login = alice(&replica, waits).await;
        replica.published();
        hang_up(waits, replica.rules.end_session(login.session.id.clone())).await;
        replica.settles().await;
        let told = notices(&mut replica);
        let ended = Notice::SessionEnded(login.session.id.clone());
        let is_alive = lives(&replica, &login).await;
        assert_eq!(told, if is_alive { vec![] } else { vec![ended] }, "hung up after {waits}");
    }
}

#[tokio::test]
async fn a_room_that_is_made_is_told() {
    let world = World::new().await;
    let mut replica = world.replica();
    let host = replica.user("host").await;
    replica.published();
    for waits in 0..WAITS {
        let name = format!("room {waits}");
        hang_up(waits, replica.rules.create_room(&host, title(&name))).await;
        replica.settles().await;
        let told = notices(&mut replica).len();
        let is_made = replica.rules.create_room(&host, title(&name)).await.is_err();
        replica.published();
        assert_eq!(told, usize::from(is_made), "hung up after {waits}");
    }
}

#[tokio::test]
async fn no_account_is_left_to_nobody() {
    let world = World::new().await;
    let mut replica = world.replica();
    for waits in 0..WAITS {
        let name = username(&format!("bob{waits}"));
        hang_up(waits, replica.rules.register(name.clone(), Some(password("pass")))).await;
        replica.settles().await;
        let told = notices(&mut replica).len();
        let is_made = replica.rules.log_in(name, password("pass")).await.is_ok();
        assert_eq!(told, usize::from(is_made), "hung up after {waits}");
    }
}

#[tokio::test]
async fn every_file_that_is_kept_counts() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let library = world.library(&replica);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01".to_vec();
    png.resize(1 << 20, 0xa5);
    for waits in 0..WAITS {
        hang_up(waits, library.put(&alice, png.clone().into())).await;
    }
    replica.settles().await;
    assert_eq!(kept(&world), counted(&world).await);
}

/// Files on the disk.
fn kept(world: &World) -> usize {
    std::fs::read_dir(world.files()).map_or(0, Iterator::count)
}

/// Files that the database knows.
async fn counted(world: &World) -> usize {
    let mut database = world.database.connect().await.expect("connects");
    let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM media").fetch_one(&mut database);
    usize::try_from(count.await.expect("counts")).expect("few")
}

/// Sends this over REST, and closes the connection after so long.
async fn cut(program: &Program, request: &[u8], after: Duration) {
    let mut connection = TcpStream::connect(&program.http).await.expect("connects");
    connection.write_all(request).await.expect("sends");
    sleep(after).await;
}

fn upload(token: &str) -> Vec<u8> {
    let mut body = b"--B\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a\"\r\n\r\n\
        \x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01"
        .to_vec();
    body.resize(1 << 20, 0xa5);
    body.extend(b"\r\n--B--\r\n");
    let length = body.len();
    let head = format!(
        "POST /api/upload/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.into_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_a_connection_leaves_nothing_half_done_at_the_end_of_the_process_either() {
    let world = World::empty();
    let files = format!("file://{}", world.files().display());
    let program = Program::run(command(&world).env("MEDIA_URL", files));
    let mut client = program.client();
    let mut tokens = Vec::new();
    for number in 0..40 {
        let (username, password) = (format!("user{number}"), Some("pass".to_owned()));
        let request = v1::RegisterRequest { username: username.clone(), password };
        let login = client.register(request).await.expect("registers").into_inner().login;
        tokens.push((username, login.expect("a login").token));
    }
    for number in 0..40 {
        let after = Duration::from_micros(200) * number;
        cut(&program, &upload(&tokens[0].1), after).await;
    }
    for (number, (name, token)) in (0_u32..).zip(&tokens) {
        let after = Duration::from_micros(200) * (number / 2).pow(2);
        if number % 2 == 0 {
            let request = format!(
                "DELETE /api/auth/account HTTP/1.1\r\nHost: x\r\n\
                 Authorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
            );
            cut(&program, request.as_bytes(), after).await;
        } else {
            let user = v1::User { id: 0, name: name.clone() };
            let asked = client.delete_account(v1::DeleteAccountRequest { user: Some(user) });
            // Too late or not: whoever asks goes away.
            let _ = timeout(after, asked).await;
        }
    }
    drop(client);
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
    assert_eq!(kept(&world), counted(&world).await, "every file counts");

    let program = Program::start(&world);
    let client = reqwest::Client::new();
    let (mut deleted, url) = (0, |path| format!("http://{}{path}", program.http));
    for (name, token) in &tokens {
        let shown = client.get(url("/api/verify")).bearer_auth(token).send().await;
        let entry = format!(r#"{{"username": "{name}", "password": "pass"}}"#);
        let entered = client.post(url("/api/auth/login")).body(entry).send().await;
        let outcome = [shown, entered].map(|answer| answer.expect("an answer").status().as_u16());
        assert!(outcome == [200, 200] || outcome == [401, 401], "{name}: {outcome:?}");
        deleted += usize::from(outcome == [401, 401]);
    }
    assert!(deleted > 0, "some were deleted in time");
}
