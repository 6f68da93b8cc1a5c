//! A private MariaDB: own data directory, own port, as durable as in production.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use rustix::process::getuid;

use crate::{
    certificates::Identity,
    home::{Home, enter},
    part::{Launch, Plan, Probe, path_with_sbin},
    ports::PortBook,
};

/// Small, but as durable as production: a commit is on the disk when it is acknowledged.
const SETTINGS: [&str; 11] = [
    "--bind-address=127.0.0.1",
    "--socket=mariadb.sock",
    "--pid-file=mariadb.pid",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
    "--max-connections=500",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_bin",
    "--log-warnings=1",
];

/// Run at every start: the one account that connects by TCP.
const ACCOUNT: &str = "\
CREATE USER IF NOT EXISTS 'switchboard'@'%' IDENTIFIED BY 'switchboard';
GRANT ALL ON *.* TO 'switchboard'@'%' WITH GRANT OPTION;
";

/// How to start it in this home, and the URL of the database. With `tls` it speaks nothing else.
pub(crate) fn plan(
    home: &Home,
    local: &Path,
    ports: &mut PortBook,
    tls: Option<&Identity>,
) -> Result<(Plan, String)> {
    let data = home.path().join("mariadb");
    if !data.exists() {
        copy(&template(local)?, &data)?;
    }
    let account = home.path().join("account.sql");
    fs::write(&account, ACCOUNT)?;
    let port = ports.free()?.port();
    let url = format!("mysql://switchboard:switchboard@127.0.0.1:{port}/switchboard");
    let mut launch = Launch::new("mariadbd")
        .args(["--no-defaults", &format!("--port={port}")])
        .args([prefixed("--datadir=", &data), prefixed("--init-file=", &account)])
        .args(SETTINGS);
    if getuid().is_root() {
        launch = launch.args(["--user=root"]); // It refuses to be root unasked.
    }
    if let Some(identity) = tls {
        let file = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::write(&path, text).map(|()| path)
        };
        let certificate = file("mariadb.pem", &identity.certificate)?;
        let key = file("mariadb.key", &identity.key)?;
        launch = launch
            .args([prefixed("--ssl-cert=", &certificate), prefixed("--ssl-key=", &key)])
            .args(["--require-secure-transport=ON"]);
    }
    let probe = Probe::Mysql(server_url(&url)?);
    Ok((
        Plan {
            name: "mariadb".to_owned(),
            launch,
            probe,
            worth_showing: |line| line.contains("[ERROR]"),
        },
        url,
    ))
}

/// The server of a database's URL, no database chosen.
pub(crate) fn server_url(database_url: &str) -> Result<String> {
    let mut url = url::Url::parse(database_url).context("DATABASE_URL")?;
    url.set_path("");
    Ok(url.into())
}

/// A fresh data directory, made once for each version of MariaDB.
fn template(local: &Path) -> Result<PathBuf> {
    let version = Command::new("mariadbd")
        .args(["--no-defaults", "--version"])
        .env("PATH", path_with_sbin())
        .output()
        .context("can't run mariadbd: run `make setup`")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version = version.split_whitespace().skip_while(|word| *word != "Ver").nth(1);
    let version = version.context("mariadbd does not tell its version")?;
    let template = local.join(format!("mariadb-{version}"));
    let _one_at_a_time = enter(local)?;
    if !template.exists() {
        let unfinished = local.join("mariadb-unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        install(&unfinished)?;
        fs::rename(&unfinished, &template)?;
    }
    Ok(template)
}

fn install(data: &Path) -> Result<()> {
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--skip-test-db", "--skip-name-resolve"]);
    command.args(["--auth-root-authentication-method=normal", "--innodb-log-file-size=32M"]);
    if getuid().is_root() {
        command.arg("--user=root");
    }
    run(command.arg(prefixed("--datadir=", data)))
}

/// Copies a directory so that it is there whole or not at all.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let unfinished = to.with_extension("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(&unfinished))?;
    fs::rename(&unfinished, to).context("can't rename")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.env("PATH", path_with_sbin()).output();
    let output = output.with_context(|| format!("can't run {:?}", command.get_program()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&said));
    }
    Ok(())
}

fn prefixed(option: &str, path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(option);
    text.push(path);
    text
}
