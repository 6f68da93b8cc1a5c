//! A database and a Redis prefix for each test, and replicas on them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chat_core::{
    Caller, Change, Chat, ClientId, Code, ConversationId, Limits, Message, MessageText, Password,
    Result, Seq, Title, Username, Via,
    event::Event,
    model::{NewMessage, Span},
    process::Shutdown,
};
use message_api::{
    chat::Rules,
    doorkeeper::{Doorkeeper, Knocks},
    issuers::Issuers,
    media::{Library, Place},
    passwords::Passwords,
    publisher::{Publication, Publisher},
    sessions::Sessions,
    store::{Store, database, group_commit::GroupCommit, migrate::migrate},
    tokens::{JwtSecrets, Tokens},
};
use redis_link::Redis;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, mysql::MySqlConnectOptions};
use tokio::sync::mpsc;

/// How long the tests' sessions live, unless they say otherwise.
pub(crate) const TTL: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "the test runner gives its servers this way")]
pub(crate) fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `make test`, which starts the servers"))
}

/// What all replicas of one test share. Its database goes with it.
pub(crate) struct World {
    pub(crate) database: MySqlConnectOptions,
    pub(crate) redis_url: String,
    pub(crate) prefix: String,
    server: MySqlConnectOptions,
    name: String,
}

impl World {
    /// An empty database that does not exist yet.
    pub(crate) fn empty() -> Self {
        let name = format!("test_{}", ConversationId::random());
        let options = database::options(&setting("DATABASE_URL")).expect("DATABASE_URL");
        Self {
            database: options.clone().database(&name),
            redis_url: setting("REDIS_URL"),
            prefix: name.clone(),
            server: options.database("information_schema"),
            name,
        }
    }

    /// A migrated database.
    pub(crate) async fn new() -> Self {
        let world = Self::empty();
        migrate(&world.database).await.expect("migrates");
        world
    }

    /// The database as a URL, for a process.
    pub(crate) fn database_url(&self) -> String {
        self.database.to_url_lossy().to_string()
    }

    pub(crate) fn sessions(&self, ttl: Duration) -> Sessions {
        Sessions::new(&self.redis(), ttl)
    }

    fn redis(&self) -> Redis {
        Redis::single(&self.redis_url, &self.prefix).expect("REDIS_URL")
    }

    /// Everybody may make rooms.
    fn door(&self) -> Doorkeeper {
        let no_limits =
            Knocks { logins: 0, registrations: 0, wrong: 0, wrong_for_account: 0, rooms: 0 };
        Doorkeeper::new(&self.redis(), no_limits)
    }

    /// The files of all replicas, as one of them keeps them.
    pub(crate) fn library(&self, replica: &Replica) -> Library {
        self.library_with(replica, u64::MAX)
    }

    /// The same, of so many bytes for each user.
    pub(crate) fn library_with(&self, replica: &Replica, quota: u64) -> Library {
        let url = format!("file://{}", self.files().display());
        let place = Place::open(&url).expect("opens");
        Library::new(replica.rules.store.clone(), place, quota, &replica.tasks)
    }

    /// Where they lie.
    pub(crate) fn files(&self) -> PathBuf {
        std::env::temp_dir().join(&self.name)
    }

    /// One of several message-apis on the same database.
    pub(crate) fn replica(&self) -> Replica {
        self.replica_with(self.sessions(TTL), true)
    }

    pub(crate) fn replica_with(&self, sessions: Sessions, guests: bool) -> Replica {
        self.replica_believing(sessions, guests, Issuers::default())
    }

    /// The same, which believes tokens of others.
    pub(crate) fn replica_believing(
        &self,
        sessions: Sessions,
        guests: bool,
        issuers: Issuers,
    ) -> Replica {
        let (lanes, tasks) = (Shutdown::new(), Shutdown::new());
        let store = Store::new(database::pool(self.database.clone(), 12));
        let (publisher, published) = Publisher::new();
        let rules = Rules {
            group_commit: GroupCommit::start(&store, &publisher, &lanes),
            tokens: Tokens::new(&JwtSecrets::fixed("a secret of the tests, 32 bytes!"), TTL),
            issuers,
            passwords: Passwords::new(2).expect("hashes"),
            store,
            sessions,
            publisher,
            door: Arc::new(self.door()),
            guests,
            tasks: tasks.clone(),
        };
        Replica { rules: Arc::new(rules), published, tasks }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Most tests store no files.
        let _ = std::fs::remove_dir_all(self.files());
        let (server, name) = (self.server.clone(), self.name.clone());
        let clean = async move {
            let mut connection = server.connect().await?;
            connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS `{name}`"))).await?;
            connection.close().await
        };
        let dropped = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(clean)
        });
        if !std::thread::panicking() {
            dropped.join().expect("runs").expect("drops the database");
        }
    }
}

/// One message-api without its servers.
pub(crate) struct Replica {
    pub(crate) rules: Arc<Rules>,
    published: mpsc::Receiver<Publication>,
    tasks: Shutdown,
}

impl Replica {
    pub(crate) async fn user(&self, name: &str) -> Caller {
        let login = self.rules.register(username(name), None).await.expect("registers");
        Caller::User(login.session.user)
    }

    pub(crate) async fn room(&self, caller: &Caller, title: &str) -> ConversationId {
        self.rules.create_room(caller, self::title(title)).await.expect("makes a room").id
    }

    pub(crate) async fn says(&self, who: &Caller, at: ConversationId, text: &str) -> Message {
        self.tries(who, at, text, None).await.expect("posts")
    }

    pub(crate) async fn tries(
        &self,
        who: &Caller,
        at: ConversationId,
        text: &str,
        key: Option<&str>,
    ) -> Result<Message> {
        self.rules.post(who, new_message(at, text, key), None).await
    }

    /// Everything since the beginning, by pages of this size.
    pub(crate) async fn all_changes(&self, at: ConversationId, page: u32) -> Vec<Change> {
        let mut all: Vec<Change> = Vec::new();
        loop {
            let since = all.last().map_or(Seq::START, |change| change.seq);
            let some = self.rules.changes(at, since, page).await.expect("changes");
            let is_last = some.len() < page as usize;
            all.extend(some);
            if is_last {
                return all;
            }
        }
    }

    /// The newest texts, oldest first.
    pub(crate) async fn texts(&self, who: &Caller, at: ConversationId) -> Vec<String> {
        let page = self.rules.history(who, at, Span::Newest, 1_000).await.expect("history");
        page.messages.into_iter().map(|message| message.text).collect()
    }

    /// What has been handed to the publisher since the last look.
    pub(crate) fn published(&mut self) -> Vec<Publication> {
        std::iter::from_fn(|| self.published.try_recv().ok()).collect()
    }

    /// Waits until what was begun has come to its end.
    pub(crate) async fn settles(&self) {
        assert!(self.tasks.finished(TTL).await, "changes go on");
    }

    /// The seqs of those.
    pub(crate) fn published_seqs(&mut self) -> Vec<Seq> {
        let seq = |publication: Publication| match publication.event {
            Event::Change(change) => Some(change.seq),
            _ => None,
        };
        self.published().into_iter().filter_map(seq).collect()
    }
}

pub(crate) fn username(raw: &str) -> Username {
    Username::parse(raw).expect("a name")
}

pub(crate) fn guest(raw: &str) -> Caller {
    Caller::Guest(username(raw))
}

pub(crate) fn password(raw: &str) -> Password {
    Password::parse(raw, &Limits::default()).expect("a password")
}

pub(crate) fn title(raw: &str) -> Title {
    Title::parse(raw).expect("a title")
}

pub(crate) fn text(raw: &str) -> MessageText {
    MessageText::parse(raw, &Limits::default()).expect("a text")
}

pub(crate) fn new_message(
    conversation: ConversationId,
    raw: &str,
    key: Option<&str>,
) -> NewMessage {
    NewMessage {
        conversation,
        text: text(raw),
        media: Vec::new(),
        client_id: key.map(|key| ClientId::parse(key).expect("a key")),
        via: Via::Service,
    }
}

/// The seqs 1 to n.
pub(crate) fn seqs_to(n: u64) -> Vec<Seq> {
    (1..=n).map(Seq).collect()
}

/// The code of a refusal.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T>) -> Code {
    result.expect_err("must be refused").code()
}
