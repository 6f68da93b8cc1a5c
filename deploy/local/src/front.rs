//! The front door: HAProxy with `deploy/haproxy.cfg`, and the list of this stack's servers.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
};

use anyhow::{Context, Result};

use crate::{
    addresses::Addresses,
    home::Home,
    part::{Launch, Plan, Probe},
    place,
};

/// How to start it in this home.
pub(crate) fn plan(home: &Home, address: SocketAddr, addresses: &Addresses) -> Result<Plan> {
    let list = home.path().join("servers.cfg");
    fs::write(&list, servers(addresses)).context("can't write the list of servers")?;
    let launch = Launch::new("haproxy")
        .args(["-db", "-f"]) // In the foreground.
        .args([place::checkout().join("deploy/haproxy.cfg"), "-f".into(), list])
        .env("FRONT_BIND", bind(address))
        // As for the services: all who come to a stack on one machine come from one address.
        .env("FRONT_CONNECTIONS_PER_ADDRESS", "1000000");
    let probe = Probe::Http(address, "/front-door/healthz");
    Ok(Plan { name: "front".to_owned(), launch, probe, worth_showing: |_| true })
}

/// The three groups of servers that `haproxy.cfg` sends requests to.
fn servers(addresses: &Addresses) -> String {
    let gateways = (1..).zip(&addresses.gateways);
    let gateways: String =
        gateways.map(|(n, at)| server("gateway", n, at.http, at.admin)).collect();
    let apis = (1..).zip(&addresses.apis);
    let apis: String = apis.map(|(n, at)| server("api", n, at.http, at.admin)).collect();
    format!(
        "# Written at every start.
backend websockets from for-websockets
{gateways}
backend polling from for-polling
{gateways}
backend api from for-rest
{apis}"
    )
}

fn server(kind: &str, number: usize, http: SocketAddr, admin: SocketAddr) -> String {
    let name = format!("{kind}-{number}");
    format!("    server {name} {http} port {} cookie {name}\n", admin.port())
}

/// `localhost` may mean either family, so both are served where the machine has both.
fn bind(address: SocketAddr) -> String {
    let port = address.port();
    match TcpListener::bind(format!("[::1]:{port}")) {
        Ok(_) => format!("{address},[::1]:{port}"),
        Err(_) => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        addresses::{ApiAddresses, GatewayAddresses},
        ports::{PortBook, loopback},
    };

    #[test]
    fn every_replica_is_listed_with_its_readiness_port_and_cookie() {
        let gateway =
            |n: u16| GatewayAddresses { http: loopback(3000 + n), admin: loopback(9000 + n) };
        let (http, grpc, admin) = (loopback(3100), loopback(3101), loopback(9101));
        let text = servers(&Addresses {
            front: None,
            gateways: vec![gateway(1), gateway(2)],
            apis: vec![ApiAddresses { http, grpc, admin }],
            book: PortBook::default(),
        });
        let line = "server gateway-2 127.0.0.1:3002 port 9002 cookie gateway-2";
        assert_eq!(text.matches(line).count(), 2, "{text}");
        assert!(text.contains("server api-1 127.0.0.1:3100 port 9101"), "{text}");
    }
}
