//! `switchboard-local run`, as `make run` starts it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, ensure};

/// A run in a directory of its own.
struct Run {
    process: Child,
    directory: PathBuf,
}

impl Run {
    /// Starts it on free ports.
    fn start(name: &str) -> Result<Self> {
        let free: Vec<_> =
            (0..6).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let ports =
            free.iter().map(|port| Ok(port.local_addr()?.port())).collect::<Result<Vec<_>>>()?;
        let names = ["FRONT", "GATEWAY", "GATEWAY_ADMIN", "API", "GRPC", "API_ADMIN"];
        let ports = names.iter().zip(ports);
        let env: Vec<_> =
            ports.map(|(name, port)| (format!("{name}_PORT"), port.to_string())).collect();
        drop(free);
        Self::start_with(name, &env)
    }

    fn start_with(name: &str, env: &[(String, String)]) -> Result<Self> {
        let name = format!("test-{name}-{}", std::process::id());
        let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.local");
        let process = Command::new(env!("CARGO_BIN_EXE_switchboard-local"))
            .args(["run", "--gateways=1", "--name", &name])
            .envs(env.iter().cloned())
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self { process, directory: local.join(name) })
    }

    /// Reads on until it says this.
    fn says(&mut self, what: &str) -> Result<()> {
        let mut output = BufReader::new(self.process.stdout.take().context("read once")?);
        let mut said = String::new();
        while output.read_line(&mut said)? > 0 {
            if said.contains(what) {
                self.process.stdout = Some(output.into_inner());
                return Ok(());
            }
        }
        anyhow::bail!("it never said {what:?} but:\n{said}")
    }

    fn signal(&self, signal: &str, pid: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, pid]).status()?;
        ensure!(status.success(), "kill {signal} {pid}");
        Ok(())
    }

    /// Waits for its end. What did it still write?
    fn ends(&mut self) -> Result<(ExitStatus, String, String)> {
        let (mut output, mut errors) = (String::new(), String::new());
        if let Some(mut pipe) = self.process.stdout.take() {
            pipe.read_to_string(&mut output)?;
        }
        self.process.stderr.take().context("read once")?.read_to_string(&mut errors)?;
        Ok((self.process.wait()?, output, errors))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn one_interrupt_stops_everything_from_front_to_back() -> Result<()> {
    let mut run = Run::start("interrupt")?;
    run.says("Switchboard runs")?;
    run.signal("-INT", &run.process.id().to_string())?;
    let (status, output, errors) = run.ends()?;
    assert!(status.success(), "{errors}");
    let gateway = output.find("gateway-1 ").context("the gateway says good-bye")?;
    let api = output.rfind("message-api-1 ").context("message-api says good-bye")?;
    assert!(gateway < api, "{output}");
    Ok(())
}

#[test]
fn a_part_that_dies_is_named_and_everything_stops() -> Result<()> {
    let mut run = Run::start("crash")?;
    run.says("Switchboard runs")?;
    let note = fs::read_to_string(run.directory.join("pids/gateway-1"))?;
    run.signal("-KILL", note.split(' ').next().context("a pid")?)?;
    let (status, _, errors) = run.ends()?;
    assert_eq!(status.code(), Some(1));
    assert!(errors.contains("gateway-1 has ended (signal: 9"), "{errors}");
    assert!(errors.contains("its last lines:"), "{errors}");
    Ok(())
}

#[test]
fn a_taken_port_is_named_before_anything_starts() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let mut run = Run::start_with("taken", &[("FRONT_PORT".to_owned(), port.clone())])?;
    let (status, output, errors) = run.ends()?;
    assert_eq!((status.code(), output.as_str()), (Some(1), ""));
    assert!(errors.contains(&port) && errors.contains("FRONT_PORT"), "{errors}");
    Ok(())
}
