//! What is lost when something that we need goes away: nothing that was acknowledged.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chat_core::{
    Caller, ChangeKind, Chat, Code, ConversationId, Credential, Event, Message, SessionId, Topic,
    event::Notice, process::Shutdown,
};
use message_api::{chat::Rules, publisher::Publisher, sessions::Sessions};
use redis_link::Redis;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, MySqlConnection, mysql::MySqlConnectOptions};
use tokio::task::JoinSet;

use crate::support::{TTL, World, new_message, refusal, seqs_to, username};

/// Where nobody listens.
const NOWHERE: &str = "redis://127.0.0.1:1";

#[tokio::test]
async fn without_redis_posting_works_and_nobody_is_called_logged_out() {
    let world = World::new().await;
    let alice = world.replica().user("alice").await;
    let sessions = Sessions::new(&Redis::single(NOWHERE, "x").expect("a URL"), TTL);
    let replica = world.replica_with(sessions, true);
    replica.says(&alice, ConversationId::LOBBY, "hi").await;
    let rules = &replica.rules;
    let session = rules.authenticate(Credential::Session("secret".into())).await;
    assert_eq!(refusal(session), Code::Unavailable);
    let ids = vec![SessionId::of_secret("secret")];
    assert_eq!(refusal(rules.live_sessions(ids).await), Code::Unavailable);
    for _ in 0..2 {
        let refused = rules.register(username("bob"), None).await;
        assert_eq!(refusal(refused), Code::Unavailable, "a name is not lost to a failed attempt");
    }
}

#[tokio::test]
async fn without_mysql_everything_is_unavailable_and_soon() {
    let mut world = World::empty();
    world.database = world.database.clone().port(1);
    let replica = world.replica();
    let began = std::time::Instant::now();
    let greta = crate::support::guest("greta");
    let posted = replica.tries(&greta, ConversationId::LOBBY, "hi", None).await;
    assert_eq!(refusal(posted), Code::Unavailable);
    assert_eq!(refusal(replica.rules.heads(vec![ConversationId::LOBBY]).await), Code::Unavailable);
    assert!(began.elapsed().as_secs() < 10);
}

/// Kills the connections to a database, again and again.
async fn assassin(options: MySqlConnectOptions, stop: Arc<AtomicBool>) -> usize {
    let name = options.get_database().expect("a name").to_owned();
    let mut connection: MySqlConnection =
        options.database("information_schema").connect().await.expect("connects");
    let mut killed = 0;
    loop {
        let victims: Vec<u64> = sqlx::query_scalar(
            "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist WHERE db = ?",
        )
        .bind(&name)
        .fetch_all(&mut connection)
        .await
        .expect("victims");
        for victim in victims {
            // It may have ended by itself.
            killed += usize::from(
                connection.execute(AssertSqlSafe(format!("KILL {victim}"))).await.is_ok(),
            );
        }
        if stop.load(Ordering::Relaxed) {
            return killed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Kills all connections to a database once.
async fn kill_all(options: &MySqlConnectOptions) -> usize {
    assassin(options.clone(), Arc::new(AtomicBool::new(true))).await
}

#[tokio::test]
async fn a_connection_that_was_closed_while_nobody_posted_costs_no_post() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    for text in ["first", "second", "third"] {
        replica.says(&alice, ConversationId::LOBBY, text).await;
        assert!(kill_all(&world.database).await > 0);
    }
    let texts = replica.texts(&alice, ConversationId::LOBBY).await;
    assert_eq!(texts, ["first", "second", "third"]);
}

/// Sends each message until it is acknowledged, as a client with a key does.
async fn stubborn(rules: Arc<Rules>, who: Caller, at: ConversationId) -> Vec<Message> {
    let mut acknowledged = Vec::new();
    for n in 0..40 {
        let text = format!("{} {n}", who.name());
        loop {
            match rules.post(&who, new_message(at, &text, Some(&n.to_string())), None).await {
                Ok(message) => break acknowledged.push(message),
                Err(refusal) => assert_eq!(refusal.code(), Code::Unavailable, "{refusal}"),
            }
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_lose_nothing_acknowledged_and_repeat_nothing() {
    let world = World::new().await;
    let replica = world.replica();
    let alice = replica.user("alice").await;
    let room = replica.room(&alice, "room").await;
    let mut callers = Vec::new();
    for n in 0..8 {
        callers.push(replica.user(&format!("user{n}")).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut killer = JoinSet::new();
    killer.spawn(assassin(world.database.clone(), Arc::clone(&stop)));
    let mut senders = JoinSet::new();
    for who in callers {
        senders.spawn(stubborn(Arc::clone(&replica.rules), who, room));
    }
    let acknowledged: Vec<_> = senders.join_all().await.into_iter().flatten().collect();
    stop.store(true, Ordering::Relaxed);
    assert!(killer.join_all().await[0] > 0, "connections were killed");
    let changes = replica.all_changes(room, 500).await;
    assert_eq!(changes.iter().map(|change| change.seq).collect::<Vec<_>>(), seqs_to(8 * 40));
    for message in acknowledged {
        let index = usize::try_from(message.seq.0 - 1).expect("small");
        assert_eq!(changes[index].kind, ChangeKind::Posted(Box::new(message)));
    }
}

#[tokio::test]
async fn what_is_published_reaches_the_channel_of_its_topic() {
    let world = World::empty();
    let client = redis::Client::open(format!("{}?protocol=resp3", world.redis_url)).expect("URL");
    let (push, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let config = redis::AsyncConnectionConfig::new().set_push_sender(push);
    let mut subscriber =
        client.get_multiplexed_async_connection_with_config(&config).await.expect("connects");
    let channel = format!("{}:everyone", world.prefix);
    subscriber.subscribe(&channel).await.expect("subscribes");
    let tasks = Shutdown::new();
    let redis = Redis::single(&world.redis_url, &world.prefix).expect("URL");
    let publisher = Publisher::start(&redis, &tasks);
    let event = Event::Notice(Notice::SessionEnded(SessionId::of_secret("s")));
    for _ in 0..3 {
        publisher.publish(vec![Topic::Everyone], event.clone());
    }
    drop(publisher);
    assert!(tasks.finished(TTL).await, "the publisher ends once all is out");
    for _ in 0..3 {
        let payload = loop {
            let push = heard.recv().await.expect("a push");
            if push.kind == redis::PushKind::Message {
                break redis::from_redis_value::<Vec<u8>>(push.data[1].clone()).expect("bytes");
            }
        };
        let decoded: switchboard_proto::v1::Event =
            prost::Message::decode(payload.as_slice()).expect("protobuf");
        assert_eq!(Event::try_from(decoded).as_ref(), Ok(&event));
    }
    drop(subscriber);
}
