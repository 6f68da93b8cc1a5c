//! `--health`: a program asks a running one how it is, so that an image needs no other program.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

/// How long it may take to connect, and then to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer that is read.
const ANSWER_MAX: u64 = 64 * 1_024;

/// The flag that asks instead of serving.
#[derive(Clone, Debug, Args)]
pub struct HealthCheck {
    /// Ask a running one how it is, and exit with 0 if it answers well: the one behind ADMIN_ADDR
    /// on this machine, or an `http://host:port/path`
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    pub health: Option<String>,
}

impl HealthCheck {
    /// If it was asked for: the exit code, once the outcome is printed.
    #[must_use]
    pub fn outcome(&self, admin: SocketAddr) -> Option<ExitCode> {
        let url = match self.health.as_deref()? {
            "" => format!("http://{}/healthz", reachable(admin)),
            url => url.to_owned(),
        };
        Some(match ask(&url) {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => {
                eprintln!("{url}: {sentence}");
                ExitCode::FAILURE
            }
        })
    }
}

/// Where an address that is served can be reached from here.
fn reachable(mut admin: SocketAddr) -> SocketAddr {
    if admin.ip().is_unspecified() {
        admin.set_ip(match admin.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    admin
}

/// Success is a status of 2xx. The error is a sentence.
fn ask(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").ok_or("it must begin with http://")?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let port = |name: &str| if name.ends_with(']') || !name.contains(':') { ":80" } else { "" };
    let addresses = format!("{host}{}", port(host)).to_socket_addrs();
    let address = addresses.map_err(|e| e.to_string())?.next().ok_or("it has no address")?;
    let answer = exchange(address, host, path).map_err(|e| e.to_string())?;
    let line = answer.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some(status) if line.starts_with("HTTP/1.") && status.starts_with('2') => Ok(()),
        Some(_) => Err(format!("answered {line}")),
        None => Err("no answer of HTTP".into()),
    }
}

fn exchange(address: SocketAddr, host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// Answers one request; its URL.
    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let lines = BufReader::new(&stream).lines().map(|line| line.expect("a request"));
            let request: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            assert_eq!(request[0], "GET /readyz HTTP/1.1");
            stream.write_all(answer.as_bytes()).expect("answers");
        });
        format!("http://{address}/readyz")
    }

    #[test]
    fn only_a_good_answer_is_healthy() {
        assert_eq!(ask(&answering("HTTP/1.1 200 OK\r\n\r\nok")), Ok(()));
        let red = ask(&answering("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        assert_eq!(red, Err("answered HTTP/1.1 503 Service Unavailable".into()));
        assert_eq!(ask(&answering("hello")), Err("no answer of HTTP".into()));
    }

    #[test]
    fn what_can_not_be_asked_is_told() {
        assert!(ask("https://localhost/").expect_err("refused").contains("http://"));
        let closed = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr();
        let url = format!("http://{}/healthz", closed.expect("an address"));
        assert!(ask(&url).expect_err("refused").contains("refused"));
    }

    #[test]
    fn an_unspecified_address_is_asked_on_this_machine() {
        let reached = |given: &str| reachable(given.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:9001"), "127.0.0.1:9001");
        assert_eq!(reached("[::]:9001"), "[::1]:9001");
        assert_eq!(reached("10.1.2.3:9001"), "10.1.2.3:9001");
    }
}
