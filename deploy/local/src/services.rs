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
    strait::{Link, Straits},
};

/// All who come to a stack on one machine come from the same address, and most of them are tests:
/// what is limited by address or by person is not, unless somebody asks for it.
const NO_LIMITS_ON_REST: [&str; 8] = [
    "CONNECTIONS_PER_ADDRESS",
    "LOGINS_PER_ADDRESS",
    "REGISTRATIONS_PER_ADDRESS",
    "WRONG_PASSWORDS",
    "WRONG_PASSWORDS_PER_ACCOUNT",
    "MESSAGES_PER_SECOND",
    "QUERIES_PER_SECOND",
    "ROOMS_PER_HOUR",
];
const NO_LIMITS_ON_SOCKETS: [&str; 5] = [
    "CONNECTIONS_PER_ADDRESS",
    "SOCKETS_PER_USER",
    "MESSAGES_PER_SECOND",
    "FLEETING_PER_SECOND",
    "QUERIES_PER_SECOND",
];

/// Every message-api. Uploads lie in the stack's own directory, for all of them.
pub(crate) fn apis(
    options: &Options,
    home: &Home,
    backing: &Backing,
    straits: &Straits,
    addresses: &Addresses,
) -> Result<Vec<Plan>> {
    let service = service("message-api", options, &options.api_env)?;
    let service = unlimited(service, &NO_LIMITS_ON_REST)
        .env("JWT_SECRET", &options.jwt_secret)
        .env("MEDIA_URL", format!("file://{}", home.path().join("media").display()));
    let plan = |(number, at): (usize, &ApiAddresses)| {
        let database = straits.through(Link::ApiToDatabase(number), &backing.database_url)?;
        let redis = straits.through(Link::ApiToRedis(number), &backing.redis_url)?;
        let launch = service
            .clone()
            .env("DATABASE_URL", database)
            .env("REDIS_URL", redis)
            .envs(&backing.redis_env)
            .env("HTTP_ADDR", at.http.to_string())
            .env("GRPC_ADDR", at.grpc.to_string())
            .env("ADMIN_ADDR", at.admin.to_string())
            .envs(&options.api_env);
        Ok(plan("message-api", number, launch, at.admin))
    };
    (1..).zip(&addresses.apis).map(plan).collect()
}

/// Every gateway. It knows all message-apis; the nth begins with the nth, counted round.
pub(crate) fn gateways(
    options: &Options,
    backing: &Backing,
    straits: &Straits,
    addresses: &Addresses,
) -> Result<Vec<Plan>> {
    let service = service("socket-gateway", options, &options.gateway_env)?;
    let service = unlimited(service, &NO_LIMITS_ON_SOCKETS);
    let scheme = if has(&options.gateway_env, "MESSAGE_API_CA_FILE") { "https" } else { "http" };
    let plan = |(number, at): (usize, &GatewayAddresses)| {
        let redis = straits.through(Link::GatewayToRedis(number), &backing.redis_url)?;
        let apis = apis_of(number, straits, scheme, &addresses.apis)?;
        let launch = service
            .clone()
            .env("REDIS_URL", redis)
            .envs(&backing.redis_env)
            .env("MESSAGE_API_GRPC_URL", apis.join(","))
            .env("HTTP_ADDR", at.http.to_string())
            .env("ADMIN_ADDR", at.admin.to_string())
            .envs(&options.gateway_env);
        Ok(plan("gateway", number, launch, at.admin))
    };
    (1..).zip(&addresses.gateways).map(plan).collect()
}

/// All message-apis as a gateway sees them.
fn apis_of(
    gateway: usize,
    straits: &Straits,
    scheme: &str,
    apis: &[ApiAddresses],
) -> Result<Vec<String>> {
    let url = |(api, at): (usize, &ApiAddresses)| {
        straits.through(Link::GatewayToApi(gateway, api), &format!("{scheme}://{}", at.grpc))
    };
    let mut urls = (1..).zip(apis).map(url).collect::<Result<Vec<_>>>()?;
    let first = (gateway - 1) % urls.len();
    urls.rotate_left(first);
    Ok(urls)
}

/// What both are told alike, before what one of them is told `more`.
fn service(program: &str, options: &Options, more: &[(String, String)]) -> Result<Launch> {
    let launch = Launch::new(place::program(program)?)
        .env("ENVIRONMENT", "development")
        .env("REDIS_PREFIX", &options.redis_prefix)
        .env("TRUSTED_HOPS", if options.front { "1" } else { "0" });
    Ok(match has(more, "SERVICE_TOKEN_FILE") {
        true => launch,
        false => launch.env("SERVICE_TOKEN", &options.service_token),
    })
}

fn unlimited(launch: Launch, settings: &[&str]) -> Launch {
    settings.iter().fold(launch, |launch, name| launch.env(name, "0"))
}

fn has(settings: &[(String, String)], name: &str) -> bool {
    settings.iter().any(|(known, _)| known == name)
}

fn plan(kind: &str, number: usize, launch: Launch, admin: SocketAddr) -> Plan {
    let name = format!("{kind}-{number}");
    Plan { name, launch, probe: Probe::Http(admin, "/readyz"), worth_showing: |_| true }
}
