//! The programs under measurement. All speak Socket.IO and the same events, so that one generator
//! drives them all.
//!
//! | module | what it starts |
//! |---|---|
//! | `switchboard` | two gateways and one message-api on the shared MariaDB and Redis |
//! | `sink` | takes traces, and counts them |
//! | `peers` | Node, Node with eiows, socketioxide: two processes each on the same Redis and MariaDB; the bare server |

pub(crate) mod peers;
mod sink;
pub(crate) mod switchboard;

use std::{net::SocketAddr, rc::Rc};

use anyhow::{Result, ensure};
use local_stack::Servers;
use tokio::runtime::Runtime;

use self::{peers::Child, sink::Sink, switchboard::Accounts};
use crate::{
    swarm::Door,
    usage::{Process, Role},
};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Kind {
    Switchboard,
    /// The same, with 1 % of its traces kept and sent.
    Traced,
    Node,
    Eiows,
    Socketioxide,
    Bare,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Switchboard => "Switchboard",
            Self::Traced => "Switchboard, traced",
            Self::Node => "Node",
            Self::Eiows => "Node + eiows",
            Self::Socketioxide => "socketioxide",
            Self::Bare => "bare epoll",
        }
    }
}

/// Which events a client uses. Peers serve all in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// Rooms: `join room`, `chat message`, `typing` (004, in its own namespace).
    Rooms,
    /// `send:message` to everybody (000, in its own namespace).
    Relay,
    /// `send-message` to a user (003).
    Direct,
    /// Who is online (002, in its own namespace).
    OneToOne,
    /// The default namespace, as a guest.
    Guest,
}

/// A running program with all its processes.
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) processes: Vec<Process>,
    /// One for each process that holds sockets.
    addresses: Vec<SocketAddr>,
    accounts: Option<Accounts>,
    rooms_made: u64,
    stack: Option<local_stack::Stack>,
    /// Where its traces end.
    sink: Option<Sink>,
    _children: Vec<Child>,
}

impl Target {
    /// Starts it. If its traces are kept, they are taken on that core.
    pub(crate) fn start(
        kind: Kind,
        servers: &Servers,
        runtime: &Runtime,
        sink_core: usize,
    ) -> Result<Self> {
        match kind {
            Kind::Switchboard => runtime.block_on(switchboard::start(kind, servers, None)),
            Kind::Traced => {
                let sink = Sink::start(sink_core)?;
                runtime.block_on(switchboard::start(kind, servers, Some(sink)))
            }
            _ => peers::start(kind, servers, runtime),
        }
    }

    /// How many processes hold sockets.
    pub(crate) fn fronts(&self) -> usize {
        self.addresses.len()
    }

    /// The processes that hold sockets.
    pub(crate) fn front(&self, n: usize) -> Option<Process> {
        self.processes.iter().copied().filter(|process| process.role == Role::Front).nth(n)
    }

    /// The way in for a user, at the `n`th front, counted round.
    pub(crate) fn door(&self, leg: Leg, n: usize, user: usize) -> Rc<Door> {
        let address = self.addresses[n % self.addresses.len()];
        let Some(accounts) = &self.accounts else {
            let auth = format!("{{\"user\":\"{}\"}}", user_name(user));
            return Rc::new(Door { address, path: "/socket.io/", namespace: "/", auth });
        };
        let (path, namespace) = match leg {
            Leg::Rooms => ("/socket.io/", "/chatto"),
            Leg::Relay => ("/socket.io/", "/tinychat"),
            Leg::Direct => ("/ws/", "/chat"),
            Leg::OneToOne => ("/socket.io/", "/one-to-one"),
            Leg::Guest => ("/socket.io/", "/"),
        };
        let auth = match leg {
            Leg::Guest => String::new(),
            _ => format!("{{\"token\":\"{}\"}}", accounts.token(user)),
        };
        Rc::new(Door { address, path, namespace, auth })
    }

    /// Sees to it that there are so many different users.
    pub(crate) fn register(&mut self, count: usize, runtime: &Runtime) -> Result<()> {
        match &mut self.accounts {
            Some(accounts) => runtime.block_on(accounts.register(count)),
            None => Ok(()),
        }
    }

    /// The name by which that user goes.
    pub(crate) fn user(&self, user: usize) -> String {
        match &self.accounts {
            Some(accounts) => accounts.name(user),
            None => user_name(user),
        }
    }

    /// Ids of so many new rooms.
    pub(crate) fn rooms(&mut self, count: usize, runtime: &Runtime) -> Result<Vec<String>> {
        if let Some(accounts) = &self.accounts {
            return runtime.block_on(accounts.rooms(count));
        }
        let first = self.rooms_made;
        self.rooms_made += count as u64;
        Ok((first..self.rooms_made).map(|n| format!("{n:016x}")).collect())
    }

    /// Switchboard's stack.
    pub(crate) const fn stack(&self) -> Option<&local_stack::Stack> {
        self.stack.as_ref()
    }

    /// Ends all its processes. One whose traces were not taken was not measured.
    pub(crate) fn stop(self, runtime: &Runtime) -> Result<()> {
        if let Some(stack) = &self.stack {
            runtime.block_on(stack.stop())?;
        }
        let is_silent = self.sink.is_some_and(|sink| sink.spans() == 0);
        ensure!(!is_silent, "{} sent no traces", self.kind.name());
        Ok(())
    }
}

/// Users as peers name them.
fn user_name(user: usize) -> String {
    format!("u{user}")
}

/// Redis and MariaDB, as far as they are ours.
fn backing(servers: &Servers) -> Vec<Process> {
    let of = |role, part: Option<&local_stack::Part>| {
        part.and_then(local_stack::Part::pid).map(|pid| Process { role, pid })
    };
    let both = [of(Role::Redis, servers.redis()), of(Role::Database, servers.mariadb())];
    both.into_iter().flatten().collect()
}
