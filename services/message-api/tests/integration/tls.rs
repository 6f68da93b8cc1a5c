//! gRPC over TLS, with certificates of both sides.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use switchboard_proto::{
    AUTHORIZATION,
    v1::{self, chat_service_client::ChatServiceClient},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{
    Request,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    process::{Program, SERVICE_TOKEN, command, refuses_to_start},
    support::World,
};

/// An authority with its certificates, in a directory of its own.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

impl Authority {
    fn new(world: &World, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signs");
        let directory = std::env::temp_dir().join(format!("{}-{name}", world.prefix));
        std::fs::create_dir(&directory).expect("a directory");
        let authority = Self { issuer, directory };
        std::fs::write(authority.ca(), authority.issuer.pem()).expect("writes");
        authority
    }

    fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A certificate for this name, and its key.
    fn issues(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        let file = |what: &str| self.directory.join(format!("{name}.{what}.pem"));
        std::fs::write(file("cert"), certificate.pem()).expect("writes");
        std::fs::write(file("key"), key.serialize_pem()).expect("writes");
        (file("cert"), file("key"))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("reads")
}

/// Calls with these; an error is how it failed.
async fn calls(program: &Program, tls: Option<ClientTlsConfig>) -> Result<(), String> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint =
        Endpoint::from_shared(format!("{scheme}://{}", program.grpc())).expect("an address");
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls).map_err(|e| format!("{e:?}"))?;
    }
    let mut client = ChatServiceClient::new(endpoint.connect_lazy());
    let mut request = Request::new(v1::GetHeadsRequest::default());
    let bearer = format!("Bearer {SERVICE_TOKEN}").parse().expect("ASCII");
    request.metadata_mut().insert(AUTHORIZATION, bearer);
    client.get_heads(request).await.map(drop).map_err(|status| format!("{status:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_certificates_pass() {
    let world = World::empty();
    let ours = Authority::new(&world, "ours");
    let foreign = Authority::new(&world, "foreign");
    let (cert, key) = ours.issues("message-api.test", ExtendedKeyUsagePurpose::ServerAuth);
    let program = Program::run(
        command(&world)
            .env("GRPC_TLS_CERT_FILE", cert)
            .env("GRPC_TLS_KEY_FILE", key)
            .env("GRPC_TLS_CLIENT_CA_FILE", ours.ca()),
    );
    let trusting = |authority: &Authority, name: &str| {
        let ca = Certificate::from_pem(read(&authority.ca()));
        ClientTlsConfig::new().ca_certificate(ca).domain_name(name)
    };
    let showing = |tls: ClientTlsConfig, authority: &Authority| {
        let (cert, key) = authority.issues("billing", ExtendedKeyUsagePurpose::ClientAuth);
        tls.identity(Identity::from_pem(read(&cert), read(&key)))
    };
    let good = showing(trusting(&ours, "message-api.test"), &ours);
    calls(&program, Some(good)).await.expect("the right one passes");
    let without = trusting(&ours, "message-api.test");
    calls(&program, Some(without)).await.expect_err("no certificate");
    let from_elsewhere = showing(trusting(&ours, "message-api.test"), &foreign);
    calls(&program, Some(from_elsewhere)).await.expect_err("a certificate of another CA");
    let wrong_name = showing(trusting(&ours, "elsewhere.test"), &ours);
    let refused = calls(&program, Some(wrong_name)).await.expect_err("another name");
    assert!(refused.contains("NotValidForName"), "{refused}");
    let wrong_ca = showing(trusting(&foreign, "message-api.test"), &ours);
    let refused = calls(&program, Some(wrong_ca)).await.expect_err("a server of another CA");
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    calls(&program, None).await.expect_err("no TLS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_client_ca_any_client_may_come() {
    let world = World::empty();
    let ours = Authority::new(&world, "ours");
    let (cert, key) = ours.issues("message-api.test", ExtendedKeyUsagePurpose::ServerAuth);
    let program =
        Program::run(command(&world).env("GRPC_TLS_CERT_FILE", cert).env("GRPC_TLS_KEY_FILE", key));
    let ca = Certificate::from_pem(read(&ours.ca()));
    let tls = ClientTlsConfig::new().ca_certificate(ca).domain_name("message-api.test");
    calls(&program, Some(tls)).await.expect("passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_come_to_a_halt_are_not_waited_for() {
    let world = World::empty();
    let ours = Authority::new(&world, "ours");
    let (cert, key) = ours.issues("message-api.test", ExtendedKeyUsagePurpose::ServerAuth);
    let program =
        Program::run(command(&world).env("GRPC_TLS_CERT_FILE", cert).env("GRPC_TLS_KEY_FILE", key));
    let mut halted = Vec::new();
    for n in 0..400 {
        let mut stream = TcpStream::connect(program.grpc()).await.expect("connects");
        // Half of a greeting, or nothing.
        let start = &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..n % 12];
        stream.write_all(start).await.expect("is taken");
        halted.push(stream);
    }
    let began = Instant::now();
    let ca = Certificate::from_pem(read(&ours.ca()));
    let tls = ClientTlsConfig::new().ca_certificate(ca).domain_name("message-api.test");
    calls(&program, Some(tls.clone())).await.expect("passes meanwhile");
    for mut stream in halted {
        let mut heard = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut heard));
        // A reset is an end too.
        let _ = end.await.expect("it is closed");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    calls(&program, Some(tls)).await.expect("passes afterwards");
}

#[test]
fn files_that_do_not_fit_stop_the_start_with_one_sentence_that_names_the_setting() {
    let world = World::empty();
    let ours = Authority::new(&world, "ours");
    let (cert, key) = ours.issues("message-api.test", ExtendedKeyUsagePurpose::ServerAuth);
    let (_, other_key) = ours.issues("other.test", ExtendedKeyUsagePurpose::ServerAuth);
    let nowhere = PathBuf::from("/nonexistent");
    let (cert_name, key_name, ca_name) =
        ("GRPC_TLS_CERT_FILE", "GRPC_TLS_KEY_FILE", "GRPC_TLS_CLIENT_CA_FILE");
    for (settings, named) in [
        (vec![(cert_name, &cert)], key_name),
        (vec![(key_name, &key)], cert_name),
        (vec![(ca_name, &cert)], cert_name),
        (vec![(cert_name, &nowhere), (key_name, &key)], cert_name),
        (vec![(cert_name, &key), (key_name, &key)], cert_name),
        (vec![(cert_name, &cert), (key_name, &cert)], key_name),
        (vec![(cert_name, &cert), (key_name, &other_key)], key_name),
        (vec![(cert_name, &cert), (key_name, &key), (ca_name, &nowhere)], ca_name),
        (vec![(cert_name, &cert), (key_name, &key), (ca_name, &key)], ca_name),
    ] {
        refuses_to_start(command(&world).envs(settings), named);
    }
}
