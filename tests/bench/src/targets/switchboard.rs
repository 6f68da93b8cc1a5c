//! Switchboard: two gateways, one message-api; accounts and rooms are put into the database
//! directly, sessions into Redis by message-api's own code.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use chat_core::{ConversationId, User, UserId, Username};
use local_stack::{Options, Servers, Source, Stack};
use message_api::{
    sessions::Sessions,
    tokens::{JwtSecrets, Tokens},
};
use redis_link::Redis;
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::{Kind, Target, backing, sink::Sink};
use crate::usage::{Process, Role};

/// Users that a stack begins with.
const USERS: usize = 2_000;
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Who is registered at a running stack.
pub(crate) struct Accounts {
    database: String,
    sessions: Sessions,
    tokens: Tokens,
    /// Name and token.
    users: Vec<(String, String)>,
}

impl Accounts {
    /// Nobody yet.
    fn of(options: &Options, database: &str, redis: &str) -> Result<Self> {
        let redis = Redis::single(redis, &options.redis_prefix).map_err(|why| anyhow!(why))?;
        let sessions = Sessions::new(&redis, DAY);
        let tokens = Tokens::new(&JwtSecrets::fixed(options.jwt_secret.clone()), DAY);
        Ok(Self { database: database.to_owned(), sessions, tokens, users: Vec::new() })
    }

    /// Makes users until there are so many, and logs them in.
    pub(crate) async fn register(&mut self, count: usize) -> Result<()> {
        let first = self.users.len();
        if first >= count {
            return Ok(());
        }
        let mut database = MySqlConnection::connect(&self.database).await?;
        let rows: Vec<_> = (first..count).map(|n| format!("('u{n}', UTC_TIMESTAMP(3))")).collect();
        let statement = format!("INSERT INTO users (name, created_at) VALUES {}", rows.join(", "));
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut database).await?;
        let made = "SELECT id, name FROM users ORDER BY id LIMIT ? OFFSET ?";
        let rows: Vec<(u64, String)> = sqlx::query_as(made)
            .bind(u64::try_from(count - first)?)
            .bind(u64::try_from(first)?)
            .fetch_all(&mut database)
            .await?;
        for (id, name) in rows {
            let user = User { id: UserId(id), name: Username::parse(&name)? };
            let begun = self.sessions.begin(&user, |_| {}).await?;
            let token = self.tokens.issue(&begun.session)?.expose_secret().to_owned();
            self.users.push((name, token));
        }
        Ok(())
    }

    pub(crate) fn name(&self, user: usize) -> String {
        self.users[user % self.users.len()].0.clone()
    }

    pub(crate) fn token(&self, user: usize) -> &str {
        &self.users[user % self.users.len()].1
    }

    /// Makes rooms; returns their ids.
    pub(crate) async fn rooms(&self, count: usize) -> Result<Vec<String>> {
        let mut database = MySqlConnection::connect(&self.database).await?;
        let rooms: Vec<_> = (0..count).map(|_| ConversationId::random()).collect();
        for some in rooms.chunks(500) {
            let row = |room: &ConversationId| {
                let (raw, title) = (room.raw(), format!("bench {room}"));
                format!(
                    "({raw}, 1, 1, '{title}', '{title}', 'u0', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))"
                )
            };
            let rows: Vec<_> = some.iter().map(row).collect();
            let statement = format!(
                "INSERT INTO conversations (id, kind, is_listed, title, title_key, created_by, \
                 created_at, last_activity_at) VALUES {}",
                rows.join(", ")
            );
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut database).await?;
        }
        Ok(rooms.iter().map(ToString::to_string).collect())
    }
}

/// Starts a stack of its own database and prefix on the shared servers. Its traces go to the sink.
pub(crate) async fn start(kind: Kind, servers: &Servers, sink: Option<Sink>) -> Result<Target> {
    let env = sink.as_ref().map_or_else(Vec::new, Sink::env);
    let options = Options {
        api_env: env.clone(),
        gateway_env: env,
        database: Source::At(servers.database_url().to_owned()),
        redis: Source::At(servers.redis_url().to_owned()),
        ..Options::alone("bench")
    };
    let stack = Stack::up(&options).await?;
    let urls = stack.urls();
    let address = |n| -> Result<SocketAddr> {
        let url = urls.gateway(n);
        url.trim_start_matches("http://").parse().with_context(|| url.clone())
    };
    let addresses = (1..=urls.gateways()).map(address).collect::<Result<_>>()?;
    let mut accounts = Accounts::of(&options, urls.database(), urls.redis())?;
    accounts.register(USERS).await?;
    let process = |role, part: &local_stack::Part| -> Result<Process> {
        Ok(Process { role, pid: part.pid().context("a part has ended")? })
    };
    let mut processes = backing(servers);
    processes.push(process(Role::Api, stack.api(1))?);
    for n in 1..=urls.gateways() {
        processes.push(process(Role::Front, stack.gateway(n))?);
    }
    Ok(Target {
        kind,
        processes,
        addresses,
        accounts: Some(accounts),
        rooms_made: 0,
        stack: Some(stack),
        sink,
        _children: Vec::new(),
    })
}
