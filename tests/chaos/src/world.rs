//! One seed, from its stack to its report.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use chat_core::ConversationId;
use harness::{Arena, Http, granted};
use local_stack::Options;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    audit::{Evidence, Finding, Kind, Role, Stored, audit, rest},
    books::{Books, Diary},
    clients::{
        Chatto, Conversations, Me, Messenger, OneToOne, Outlet, Phase, Rest, Tinychat, live,
    },
    faults::{self, Ledger},
    health::Health,
    report::Sums,
    schedule::{self, Target},
};

/// How long everything may take to come right after the last fault.
const CONVERGES_WITHIN: Duration = Duration::from_secs(40);

/// What is sampled, and stopped at the end.
const SERVICES: [Target; 4] =
    [Target::Gateway(1), Target::Gateway(2), Target::Api(1), Target::Api(2)];

/// What to do with one seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// It decides everything.
    pub seed: u64,
    /// How long faults happen.
    pub seconds: u64,
    /// Only these, if any.
    pub kinds: Vec<schedule::Kind>,
    /// What the gateways are told to do wrong.
    pub sabotage: Option<String>,
}

/// Runs one seed. What is wrong is printed, and the logs are kept.
pub async fn run(plan: &Plan) -> Result<Sums> {
    let mut world = World::make(plan).await?;
    let faults = schedule::draw(plan.seed, plan.seconds, &plan.kinds);
    println!("seed {}:", plan.seed);
    faults.iter().for_each(|fault| println!("  {fault}"));

    world.wait(|findings| !findings.iter().any(|f| f.kind == Kind::Stuck)).await?;
    world.phase.send_replace(Phase::Storm);
    println!("  storm from {:.1} s", world.books.now().as_secs_f32());
    faults::storm(&world.arena, &world.books, &world.ledger, &faults).await;
    faults::heal(&world.arena, &world.ledger).await?;
    println!("  healed at {:.1} s", world.books.now().as_secs_f32());
    world.phase.send_replace(Phase::Settle);
    let unsettled = world.wait(<[Finding]>::is_empty).await?;
    println!("  settled at {:.1} s", world.books.now().as_secs_f32());
    world.phase.send_replace(Phase::Farewell);
    world.wait_for_leavers().await;
    let findings = world.wait(<[Finding]>::is_empty).await?;
    println!("  over at {:.1} s", world.books.now().as_secs_f32());
    world.close(plan.seed, unsettled, findings).await
}

struct World {
    arena: Arc<Arena>,
    books: Arc<Books>,
    ledger: Arc<Ledger>,
    health: Arc<Health>,
    cast: BTreeMap<String, Role>,
    phase: watch::Sender<Phase>,
    clients: JoinSet<()>,
    samplers: JoinSet<()>,
    rng: StdRng,
    rooms: Vec<String>,
    leavers: usize,
}

impl World {
    async fn make(plan: &Plan) -> Result<Self> {
        let name = format!("chaos-{}", plan.seed);
        let mut gateway_env = vec![("WRITE_DEADLINE".to_owned(), "5".to_owned())];
        gateway_env.extend(plan.sabotage.clone().map(|what| ("SABOTAGE".to_owned(), what)));
        let options = Options {
            gateways: 2,
            apis: 2,
            straits: true,
            gateway_env,
            ..Arena::options_with_own_servers(&name)?
        };
        let mut world = Self {
            arena: Arc::new(Arena::own(options).await?),
            books: Books::open(),
            ledger: Arc::default(),
            health: Arc::default(),
            cast: BTreeMap::new(),
            phase: watch::Sender::new(Phase::Gather),
            clients: JoinSet::new(),
            samplers: JoinSet::new(),
            rng: StdRng::seed_from_u64(plan.seed ^ 0x00c1_1e47),
            rooms: vec!["lobby".to_owned()],
            leavers: 0,
        };
        for target in SERVICES {
            let (health, books) = (Arc::clone(&world.health), Arc::clone(&world.books));
            world.samplers.spawn(health.watch(Arc::clone(&world.arena), books, target));
        }
        world.fill().await?;
        Ok(world)
    }

    /// Everybody comes in.
    async fn fill(&mut self) -> Result<()> {
        let founder = self.arena.newcomer("founder").await?;
        let socket = founder.enters(1).await?;
        for name in ["tea", "coffee"] {
            let room = granted(socket.asks("create room", json!({ "name": name })).await?)?;
            let id = room["room"]["_id"].as_str().context("a room has an id")?;
            self.rooms.push(id.to_owned());
        }
        socket.leaves();
        for n in 0..5 {
            let mut me = self.registers(&format!("chatto-{n}")).await?;
            // All in one room, most in another.
            me.rooms = vec![self.rooms[1].clone(), self.rooms[n % 2 * 2].clone()];
            me.rooms.rotate_left(n % 2);
            let rooms = me.rooms.iter().map(|room| raw(room)).collect::<Result<_>>()?;
            self.enters(me, Chatto::default(), Role::Chatto(rooms));
        }
        for n in 0..3 {
            let mut me = self.registers(&format!("live-{n}")).await?;
            me.rooms = vec![self.rooms[n].clone()];
            let role = Role::Conversations(raw(&me.rooms[0])?);
            self.enters(me, Conversations::default(), role);
        }
        for n in 0..3 {
            let mut me = self.registers(&format!("rest-{n}")).await?;
            me.rooms = vec![self.rooms[n].clone()];
            self.enters(me, Rest, Role::Rest);
        }
        self.fill_directs().await?;
        let me = self.registers("tiny").await?.silent();
        self.enters(me, Tinychat::default(), Role::Tinychat(ConversationId::LOBBY.raw()));
        Ok(())
    }

    /// Two pairs in 003, and a pair of 003 with 002.
    async fn fill_directs(&mut self) -> Result<()> {
        let pairs = [("ann", "ben"), ("cat", "dan"), ("eve", "old")];
        let mut everybody: Vec<_> = pairs.into_iter().flat_map(|(a, b)| [a, b]).collect();
        let mut people = Vec::new();
        for name in everybody.clone() {
            people.push(self.registers(name).await?);
        }
        everybody.extend(["chatto-0", "chatto-1", "tiny"]);
        for me in people {
            let pair = pairs.iter().find(|(a, b)| [*a, *b].contains(&me.name.as_str()));
            let (a, b) = pair.context("everybody has a peer")?;
            let peer = if me.name == *a { *b } else { *a };
            if me.name == "old" {
                self.enters(me, OneToOne::with(peer), Role::OneToOne(peer.to_owned()));
                continue;
            }
            let others = everybody.iter().filter(|other| **other != me.name);
            let others: Vec<_> = others.map(|other| (*other).to_owned()).collect();
            let dialect = Messenger::with(peer, &others);
            self.enters(me, dialect, Role::Messenger(peer.to_owned(), others));
        }
        Ok(())
    }

    async fn registers(&mut self, name: &str) -> Result<Me> {
        let http = Http::at(&self.arena.stack.urls().api(1))?;
        let body = json!({ "username": name, "password": crate::clients::PASSWORD });
        let answer = http.post_json("/api/register", &body).await?.expect(201)?;
        let token = answer["token"].as_str().context("a token")?.to_owned();
        let urls = self.arena.stack.urls();
        let outlet = Outlet {
            gateways: vec![urls.gateway(1), urls.gateway(2)],
            apis: vec![urls.api(1), urls.api(2)],
            phase: self.phase.subscribe(),
            books: Arc::clone(&self.books),
        };
        let mut me = Me::new(name, token, outlet, self.rng.random());
        me.is_leaver = self.rng.random_bool(0.4);
        Ok(me)
    }

    fn enters(&mut self, me: Me, dialect: impl crate::clients::Dialect + 'static, role: Role) {
        self.books.write(&me.name, |_| ());
        self.leavers += usize::from(me.is_leaver);
        self.cast.insert(me.name.clone(), role);
        self.clients.spawn(live(dialect, me));
    }

    /// Audits again and again until it pleases, or the time is up; answers what is wrong then.
    async fn wait(&mut self, pleases: impl Fn(&[Finding]) -> bool) -> Result<Vec<Finding>> {
        let deadline = Instant::now() + CONVERGES_WITHIN;
        loop {
            let findings = self.audit().await?;
            if pleases(&findings) || Instant::now() > deadline {
                return Ok(findings);
            }
            ensure!(self.clients.try_join_next().is_none_or(|end| end.is_ok()), "a client fell");
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// What they do first may take a while; those who don't get away are ghosts.
    async fn wait_for_leavers(&self) {
        let deadline = Instant::now() + CONVERGES_WITHIN;
        let gone = || self.books.read().values().filter(|diary| diary.gone).count();
        while gone() < self.leavers && Instant::now() < deadline {
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn audit(&self) -> Result<Vec<Finding>> {
        let stored = Stored::read(self.arena.stack.urls().database()).await?;
        let diaries = self.books.read();
        Ok(audit(&self.evidence(&diaries, &stored)))
    }

    fn evidence<'a>(
        &'a self,
        diaries: &'a BTreeMap<String, Diary>,
        stored: &'a Stored,
    ) -> Evidence<'a> {
        let (cast, ledger, health) = (&self.cast, &*self.ledger, &*self.health);
        Evidence { diaries, cast, stored, ledger, health }
    }

    /// Everything stops in order; what is wrong after all, or was before the farewell, is told.
    async fn close(
        mut self,
        seed: u64,
        unsettled: Vec<Finding>,
        mut findings: Vec<Finding>,
    ) -> Result<Sums> {
        // What those who have left were missing is not forgotten.
        let known: BTreeSet<_> = findings.iter().map(|finding| finding.what.clone()).collect();
        findings.extend(unsettled.into_iter().filter(|early| !known.contains(&early.what)));
        self.samplers.shutdown().await;
        let stored = Stored::read(self.arena.stack.urls().database()).await?;
        let rooms = self.rooms.iter().map(|room| Ok((room.clone(), raw(room)?)));
        let rooms: Vec<_> = rooms.collect::<Result<_>>()?;
        for n in 1..=2 {
            let api = self.arena.stack.urls().api(n);
            findings.extend(rest::audit(&api, "rest-0", &rooms, &stored).await?);
        }
        findings.extend(self.stop_services().await?);
        self.phase.send_replace(Phase::Over);
        let diaries = self.books.read();
        let sums = Sums::of(&self.evidence(&diaries, &stored), &findings);
        if !sums.balance() {
            let directory = self.keep(seed, &findings)?;
            findings.iter().take(40).for_each(|finding| println!("  {finding}"));
            println!("  {} findings; all, and the logs: {}", findings.len(), directory.display());
        }
        self.clients.shutdown().await;
        Ok(sums)
    }

    /// SIGTERM to each service; whoever does not end with 0 is told.
    async fn stop_services(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for target in SERVICES {
            let part = faults::part(&self.arena, target)?;
            let status = part.stop().await?;
            if !status.success() {
                let what = format!("at the end {}", part.obituary(status));
                findings.push(Finding { kind: Kind::BadEnd, what });
            }
        }
        Ok(findings)
    }

    /// The findings and every part's log lines, in `.local/chaos/<seed>`.
    fn keep(&self, seed: u64, findings: &[Finding]) -> Result<PathBuf> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let directory = checkout.context("a checkout")?.join(".local/chaos").join(seed.to_string());
        fs::create_dir_all(&directory)?;
        for part in self.arena.stack.parts() {
            let path = directory.join(format!("{}.log", part.name()));
            fs::write(path, part.log_lines().join("\n"))?;
        }
        let lines: Vec<_> = findings.iter().map(Finding::to_string).collect();
        let done: Vec<_> = self.ledger.done().iter().map(|done| format!("{done:?}")).collect();
        fs::write(directory.join("findings"), lines.join("\n"))?;
        fs::write(directory.join("faults"), done.join("\n"))?;
        fs::write(directory.join("diaries"), format!("{:#?}", self.books.read()))?;
        Ok(directory)
    }
}

/// A room's id as stored.
fn raw(room: &str) -> Result<u64> {
    Ok(room.parse::<ConversationId>().map_err(|e| anyhow::anyhow!("{e}"))?.raw())
}
