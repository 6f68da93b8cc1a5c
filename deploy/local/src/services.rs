//! How the two services are started.

use std::net::SocketAddr;

use anyhow::Result;

use crate::{
    addresses::{Addresses, ApiAddresses, GatewayAddresses},
    backing::Backing,
    home::Home,
    options::Options,
    part::{Launch, Plan, Probe},
    place,
};

/// Every message-api. Uploads lie in the stack's own directory, for all of them.
pub(crate) fn apis(
    options: &Options,
    home: &Home,
    backing: &Backing,
    addresses: &Addresses,
) -> Result<Vec<Plan>> {
    let service = service("message-api", options, backing)?
        .env("DATABASE_URL", &backing.database_url)
        .env("JWT_SECRET", &options.jwt_secret)
        .env("MEDIA_URL", format!("file://{}", home.path().join("media").display()));
    let plan = |(number, at): (usize, &ApiAddresses)| {
        let launch = service
            .clone()
            .env("HTTP_ADDR", at.http.to_string())
            .env("GRPC_ADDR", at.grpc.to_string())
            .env("ADMIN_ADDR", at.admin.to_string())
            .envs(&options.api_env);
        plan("message-api", number, launch, at.admin)
    };
    Ok((1..).zip(&addresses.apis).map(plan).collect())
}

/// Every gateway. The nth asks the nth message-api, counted round.
pub(crate) fn gateways(
    options: &Options,
    backing: &Backing,
    addresses: &Addresses,
) -> Result<Vec<Plan>> {
    let service = service("socket-gateway", options, backing)?;
    let pairs = addresses.gateways.iter().zip(addresses.apis.iter().cycle());
    let plan = |(number, (at, api)): (usize, (&GatewayAddresses, &ApiAddresses))| {
        let launch = service
            .clone()
            .env("MESSAGE_API_GRPC_URL", format!("http://{}", api.grpc))
            .env("HTTP_ADDR", at.http.to_string())
            .env("ADMIN_ADDR", at.admin.to_string())
            .envs(&options.gateway_env);
        plan("gateway", number, launch, at.admin)
    };
    Ok((1..).zip(pairs).map(plan).collect())
}

/// What both are told alike.
fn service(program: &str, options: &Options, backing: &Backing) -> Result<Launch> {
    Ok(Launch::new(place::program(program)?)
        .env("ENVIRONMENT", "development")
        .env("REDIS_URL", &backing.redis_url)
        .env("REDIS_PREFIX", &options.redis_prefix)
        .env("SERVICE_TOKEN", &options.service_token))
}

fn plan(kind: &str, number: usize, launch: Launch, admin: SocketAddr) -> Plan {
    let name = format!("{kind}-{number}");
    Plan { name, launch, probe: Probe::Http(admin, "/readyz"), worth_showing: |_| true }
}
