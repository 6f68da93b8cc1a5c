//! The whole product on one machine, part by part.

use std::{
    process::ExitStatus,
    sync::{Arc, OnceLock},
};

use anyhow::{Result, ensure};
use futures_util::future::{select_all, try_join_all};

use crate::{
    addresses::Addresses,
    backing::{Backing, with_database},
    front,
    home::Home,
    janitor::Janitor,
    options::Options,
    part::Part,
    place, services,
    strait::Straits,
};

/// MariaDB, Redis, message-api, gateways, front door. Dropping it kills them all.
#[derive(Debug)]
pub struct Stack {
    // Fields drop in this order: front to back, and the janitor when nobody writes any more.
    front: Option<Part>,
    gateways: Vec<Part>,
    apis: Vec<Part>,
    straits: Straits,
    backing: Backing,
    janitor: OnceLock<Janitor>,
    addresses: Addresses,
    redis_prefix: String,
    service_token: String,
    jwt_secret: String,
    forget: bool,
}

impl Stack {
    /// Brings it up; returns once every part is ready.
    pub async fn up(options: &Options) -> Result<Self> {
        let stack = Self::prepare(options)?;
        stack.start().await?;
        Ok(stack)
    }

    /// Chooses ports and directories; starts nothing.
    pub fn prepare(options: &Options) -> Result<Self> {
        ensure!(options.apis > 0, "a stack needs at least one message-api");
        // The directory first: leftovers of a killed run may hold the ports.
        let home = Arc::new(match options.lasting {
            true => Home::lasting(&place::local(), &options.name)?,
            false => Home::temporary(&place::local(), &options.name)?,
        });
        let mut addresses = Addresses::choose(options)?;
        let sources = (&options.database, &options.redis, options.redis_kind);
        let tls = options.database_tls.as_ref();
        let mut backing =
            Backing::prepare(sources, tls, &home, &mut addresses.book, &options.logs)?;
        if let Some(name) = &options.database_name {
            backing.database_url = with_database(&backing.database_url, name)?;
        }
        let part = |plan| Part::new(plan, &home, &options.logs);
        let front = addresses.front.map(|at| front::plan(&home, at, &addresses)).transpose()?;
        let straits = Straits::plan(options, &backing, &addresses)?;
        let gateways = services::gateways(options, &backing, &straits, &addresses)?;
        let apis = services::apis(options, &home, &backing, &straits, &addresses)?;
        Ok(Self {
            front: front.map(part),
            gateways: gateways.into_iter().map(part).collect(),
            apis: apis.into_iter().map(part).collect(),
            straits,
            backing,
            janitor: OnceLock::new(),
            addresses,
            redis_prefix: options.redis_prefix.clone(),
            service_token: options.service_token.clone(),
            jwt_secret: options.jwt_secret.clone(),
            forget: options.forget,
        })
    }

    /// Starts every part, each kind once the kinds that it needs are ready.
    pub async fn start(&self) -> Result<()> {
        self.backing.start().await?;
        if self.forget
            && let Some(janitor) = Janitor::hire(&self.backing, &self.redis_prefix)?
        {
            let _ = self.janitor.set(janitor);
        }
        self.straits.open()?;
        try_join_all(self.apis.iter().map(Part::start)).await?;
        try_join_all(self.gateways.iter().map(Part::start)).await?;
        try_join_all(self.front.iter().map(Part::start)).await?;
        Ok(())
    }

    /// Stops every part that runs, in the reverse order, each before the next.
    pub async fn stop(&self) -> Result<()> {
        let parts: Vec<_> = self.parts().collect();
        for part in parts.into_iter().rev().filter(|part| part.pid().is_some()) {
            part.stop().await?;
        }
        Ok(())
    }

    /// Waits until any part ends by itself.
    pub async fn first_end(&self) -> Result<(&Part, ExitStatus)> {
        let ends = self.parts().map(|part| Box::pin(async move { (part, part.exited().await) }));
        let ((part, status), ..) = select_all(ends).await;
        Ok((part, status?))
    }

    /// Every part, in the order in which they start.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.backing.parts().chain(&self.apis).chain(&self.gateways).chain(&self.front)
    }

    /// The private MariaDB; none when the database was given.
    #[must_use]
    pub const fn mariadb(&self) -> Option<&Part> {
        self.backing.mariadb.as_ref()
    }

    /// The private Redis, or the first of its cluster; none when it was given.
    #[must_use]
    pub fn redis(&self) -> Option<&Part> {
        self.backing.redis.first()
    }

    /// The front door, if there is one.
    #[must_use]
    pub const fn front(&self) -> Option<&Part> {
        self.front.as_ref()
    }

    /// What lies between the parts, if it was asked for.
    #[must_use]
    pub const fn straits(&self) -> &Straits {
        &self.straits
    }

    /// message-api number `n`, from 1.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn api(&self, n: usize) -> &Part {
        &self.apis[n - 1]
    }

    /// Gateway number `n`, from 1.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn gateway(&self, n: usize) -> &Part {
        &self.gateways[n - 1]
    }

    /// Where all of it is.
    #[must_use]
    pub fn urls(&self) -> Urls<'_> {
        Urls(self)
    }
}

/// Where the parts of a stack are; numbers count from 1.
#[derive(Clone, Copy, Debug)]
pub struct Urls<'a>(&'a Stack);

impl Urls<'_> {
    /// Everything on one origin, if there is a front door.
    #[must_use]
    pub fn front(&self) -> Option<String> {
        self.0.addresses.front.map(|at| format!("http://{at}"))
    }

    /// A gateway's sockets.
    #[must_use]
    pub fn gateway(&self, n: usize) -> String {
        format!("http://{}", self.0.addresses.gateways[n - 1].http)
    }

    /// A gateway's health, readiness, metrics.
    #[must_use]
    pub fn gateway_admin(&self, n: usize) -> String {
        format!("http://{}", self.0.addresses.gateways[n - 1].admin)
    }

    /// How many gateways there are.
    #[must_use]
    pub const fn gateways(&self) -> usize {
        self.0.addresses.gateways.len()
    }

    /// REST.
    #[must_use]
    pub fn api(&self, n: usize) -> String {
        format!("http://{}", self.0.addresses.apis[n - 1].http)
    }

    /// gRPC.
    #[must_use]
    pub fn grpc(&self, n: usize) -> String {
        format!("http://{}", self.0.addresses.apis[n - 1].grpc)
    }

    /// A message-api's health, readiness, metrics.
    #[must_use]
    pub fn api_admin(&self, n: usize) -> String {
        format!("http://{}", self.0.addresses.apis[n - 1].admin)
    }

    /// MySQL or MariaDB, with the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.0.backing.database_url
    }

    /// Redis; of a cluster its masters, with commas between.
    #[must_use]
    pub fn redis(&self) -> &str {
        &self.0.backing.redis_url
    }

    /// More settings that Redis needs: `REDIS_CLUSTER`, `REDIS_CA_FILE`.
    #[must_use]
    pub fn redis_env(&self) -> &[(String, String)] {
        &self.0.backing.redis_env
    }

    /// All of it as environment variables, for a command that shall use the stack.
    #[must_use]
    pub fn as_env(&self) -> Vec<(String, String)> {
        let mut env = vec![
            ("API_URL".to_owned(), self.api(1)),
            ("API_GRPC_URL".to_owned(), self.grpc(1)),
            ("API_ADMIN_URL".to_owned(), self.api_admin(1)),
            ("DATABASE_URL".to_owned(), self.database().to_owned()),
            ("REDIS_URL".to_owned(), self.redis().to_owned()),
            ("REDIS_PREFIX".to_owned(), self.0.redis_prefix.clone()),
            ("SERVICE_TOKEN".to_owned(), self.0.service_token.clone()),
            ("JWT_SECRET".to_owned(), self.0.jwt_secret.clone()),
            ("GATEWAYS".to_owned(), self.gateways().to_string()),
        ];
        env.extend_from_slice(self.redis_env());
        env.extend(self.front().map(|url| ("FRONT_URL".to_owned(), url)));
        for n in 1..=self.gateways() {
            env.push((format!("GATEWAY_{n}_URL"), self.gateway(n)));
            env.push((format!("GATEWAY_{n}_ADMIN_URL"), self.gateway_admin(n)));
        }
        env
    }
}
