//! What goes wrong: who, and how.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::Arena;
use local_stack::{Link, Part, Weather};

/// A slow link's delay, each way.
const SLOW: Duration = Duration::from_millis(150);

/// What is hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependency {
    MySql,
    Redis,
    Api,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Killed.
    Dead,
    /// Connected, but nothing comes through.
    Silent,
    /// Everything comes late.
    Slow,
}

/// One of the three alone, and each two together.
pub(crate) const EACH_AND_EACH_PAIR: [&[Dependency]; 6] = [
    &[Dependency::MySql],
    &[Dependency::Redis],
    &[Dependency::Api],
    &[Dependency::MySql, Dependency::Redis],
    &[Dependency::MySql, Dependency::Api],
    &[Dependency::Redis, Dependency::Api],
];

impl Dependency {
    fn part(self, arena: &Arena) -> Result<&Part> {
        match self {
            Self::MySql => arena.stack.mariadb().context("a private MariaDB"),
            Self::Redis => arena.stack.redis().context("a private Redis"),
            Self::Api => Ok(arena.stack.api(1)),
        }
    }

    const fn is_behind(self, link: Link) -> bool {
        matches!(
            (self, link),
            (Self::MySql, Link::ApiToDatabase(_))
                | (Self::Redis, Link::ApiToRedis(_) | Link::GatewayToRedis(_))
                | (Self::Api, Link::GatewayToApi(..))
        )
    }

    fn weather(self, arena: &Arena, weather: Weather) {
        arena.stack.straits().set_all(|link| self.is_behind(link), weather);
    }

    pub(crate) async fn suffers(self, arena: &Arena, way: Way) -> Result<()> {
        match way {
            Way::Dead => drop(self.part(arena)?.kill().await?),
            Way::Silent => self.weather(arena, Weather::Silent),
            Way::Slow => self.weather(arena, Weather::Slow(SLOW)),
        }
        Ok(())
    }

    /// Does not wait until it is ready: that is the product's business.
    pub(crate) fn recovers(self, arena: &Arena, way: Way) -> Result<()> {
        match way {
            Way::Dead => self.part(arena)?.spawn()?,
            Way::Silent | Way::Slow => self.weather(arena, Weather::Fair),
        }
        Ok(())
    }
}
