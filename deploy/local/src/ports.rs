//! Ports on the loopback interface: the fixed ones of `make run`, or free ones for tests.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Result, bail};
use rand::RngExt;

/// Free ports come from below the range that the kernel uses for outgoing connections: while a
/// part is down for a moment, no such connection can take its port.
const FREE: std::ops::Range<u16> = 20_000..32_000;

/// Which ports a stack uses.
#[derive(Clone, Debug)]
pub enum Ports {
    /// Any that are free: several stacks run side by side.
    Free,
    /// Always the same.
    Fixed(FixedPorts),
}

/// The first port of each kind; the second gateway has the next one, the second message-api
/// has the next but nine.
#[derive(Clone, Debug)]
pub struct FixedPorts {
    /// The front door.
    pub front: u16,
    /// The first gateway.
    pub gateway: u16,
    /// The first gateway's health, readiness, metrics.
    pub gateway_admin: u16,
    /// The first message-api's REST.
    pub api: u16,
    /// The first message-api's gRPC.
    pub grpc: u16,
    /// The first message-api's health, readiness, metrics.
    pub api_admin: u16,
}

impl Default for FixedPorts {
    fn default() -> Self {
        Self {
            front: 3000,
            gateway: 3001,
            gateway_admin: 9001,
            api: 3100,
            grpc: 3101,
            api_admin: 9100,
        }
    }
}

/// The kinds of ports a stack has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Front,
    Gateway,
    GatewayAdmin,
    Api,
    Grpc,
    ApiAdmin,
}

impl FixedPorts {
    /// The first port of the kind, the step to the next, and the setting that moves them.
    const fn of(&self, kind: Kind) -> (u16, usize, &'static str) {
        match kind {
            Kind::Front => (self.front, 1, "FRONT_PORT"),
            Kind::Gateway => (self.gateway, 1, "GATEWAY_PORT"),
            Kind::GatewayAdmin => (self.gateway_admin, 1, "GATEWAY_ADMIN_PORT"),
            Kind::Api => (self.api, 10, "API_PORT"),
            Kind::Grpc => (self.grpc, 10, "GRPC_PORT"),
            Kind::ApiAdmin => (self.api_admin, 10, "API_ADMIN_PORT"),
        }
    }
}

/// The ports given out so far. Free ones are reserved as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct PortBook {
    fixed: BTreeSet<u16>,
    reservations: Vec<File>,
}

impl PortBook {
    /// The address of the `nth` (from 0) part of a kind.
    pub(crate) fn address(&mut self, ports: &Ports, kind: Kind, nth: usize) -> Result<SocketAddr> {
        match ports {
            Ports::Free => self.free(),
            Ports::Fixed(fixed) => self.fixed(fixed, kind, nth),
        }
    }

    fn fixed(&mut self, fixed: &FixedPorts, kind: Kind, nth: usize) -> Result<SocketAddr> {
        let (first, step, setting) = fixed.of(kind);
        let port = u16::try_from(usize::from(first) + nth * step).ok();
        let Some(port) = port else {
            bail!("port {first} is too high for so many parts; choose another with {setting}");
        };
        if !self.fixed.insert(port) {
            bail!("port {port} would be used twice; choose another with {setting}");
        }
        if !is_free(port) {
            bail!("port {port} is taken by another program; choose another with {setting}=<port>");
        }
        Ok(loopback(port))
    }

    /// A port that no other stack on this machine was given.
    pub(crate) fn free(&mut self) -> Result<SocketAddr> {
        let user = rustix::process::getuid().as_raw();
        let desk = std::env::temp_dir().join(format!("switchboard-ports-{user}"));
        fs::create_dir_all(&desk)?;
        for _ in 0..1_000 {
            let port = rand::rng().random_range(FREE);
            let reservation = File::create(desk.join(port.to_string()))?;
            if reservation.try_lock().is_ok() && is_free(port) {
                self.reservations.push(reservation);
                return Ok(loopback(port));
            }
        }
        bail!("found no free port in {FREE:?}");
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(loopback(port)).is_ok()
}

pub(crate) const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_setting_that_changes_it() {
        let taken = TcpListener::bind(loopback(0)).unwrap();
        let api = taken.local_addr().unwrap().port();
        let ports = Ports::Fixed(FixedPorts { api, ..FixedPorts::default() });
        let error = PortBook::default().address(&ports, Kind::Api, 0).unwrap_err().to_string();
        assert!(error.contains(&api.to_string()) && error.contains("API_PORT"), "{error}");
    }

    #[test]
    fn no_port_is_given_out_twice() {
        let (mut one, mut two) = (PortBook::default(), PortBook::default());
        let mut given = BTreeSet::new();
        for _ in 0..50 {
            assert!(given.insert(one.free().unwrap()) && given.insert(two.free().unwrap()));
        }
    }

    #[test]
    fn overlapping_fixed_ports_are_refused() {
        let mut book = PortBook::default();
        let first = book.free().unwrap().port();
        let fixed = FixedPorts { gateway: first, api: first, ..FixedPorts::default() };
        let ports = Ports::Fixed(fixed);
        book.address(&ports, Kind::Gateway, 0).unwrap();
        let error = book.address(&ports, Kind::Api, 0).unwrap_err().to_string();
        assert!(error.contains("used twice"), "{error}");
    }
}
