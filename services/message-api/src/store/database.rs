//! The pool, and what every connection of it is told.

use std::{fs, path::Path, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, MySqlConnection, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode},
};
use url::Url;

/// How long a request waits for a free connection.
const ACQUIRE: Duration = Duration::from_secs(3);

/// How long a connection that is given back may take to show that it still works. Without this
/// one to a server that has vanished would count as used until TCP gives up, a quarter of an hour.
const RELEASE: Duration = Duration::from_secs(1);

/// Statements that a connection keeps prepared: all that there are (see shapes.rs).
const STATEMENTS: usize = 256;

/// What may follow `?` in a URL. Anything else would be passed over in silence, and a misspelt
/// `ssl-mode` would mean a connection that nobody checks.
const PARAMETERS: [&str; 14] = [
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "collation",
    "statement-cache-capacity",
    "socket",
    "timezone",
    "time-zone",
];

/// Parses a URL. The error is a sentence without the URL, since that holds a password.
pub fn options(url: &str) -> Result<MySqlConnectOptions, String> {
    if !url.starts_with("mysql://") && !url.starts_with("mariadb://") {
        return Err("it must begin with mysql://".into());
    }
    let parsed = Url::parse(url).map_err(|e| e.to_string())?;
    let unknown = parsed.query_pairs().find(|(name, _)| !PARAMETERS.contains(&&**name));
    if let Some((name, _)) = unknown {
        return Err(format!("it has the unknown parameter `{name}`"));
    }
    let options = MySqlConnectOptions::from_str(url).map_err(|e| e.to_string())?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err("it names no database (mysql://user:password@host:3306/database)".into());
    }
    let options = options.charset("utf8mb4").timezone(Some("+00:00".to_owned()));
    // What people write stands in statements, and must not stand in logs.
    let options = options.disable_statement_logging();
    Ok(options.statement_cache_capacity(STATEMENTS))
}

/// The same, to a server whose certificate must be for its host, and of the CA in this PEM file or of
/// one that the whole web trusts. The error is one sentence.
pub fn verified(options: MySqlConnectOptions, ca: &Path) -> Result<MySqlConnectOptions, String> {
    let pem = fs::read_to_string(ca).map_err(|e| format!("can't read {}: {e}", ca.display()))?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(format!("{} holds no certificate in PEM", ca.display()));
    }
    match options.get_ssl_mode() {
        // What a URL has that says nothing of it.
        MySqlSslMode::Preferred | MySqlSslMode::VerifyIdentity => {
            Ok(options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(ca))
        }
        MySqlSslMode::VerifyCa => Ok(options.ssl_ca(ca)),
        MySqlSslMode::Disabled | MySqlSslMode::Required => Err(
            "DATABASE_URL has an ssl-mode that checks no certificate: leave it out, or use VERIFY_IDENTITY"
                .into(),
        ),
    }
}

/// A pool that connects when it is first used.
#[must_use]
pub fn pool(options: MySqlConnectOptions, connections: u32) -> MySqlPool {
    MySqlPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .max_lifetime(Duration::from_secs(30 * 60))
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .after_release(|connection, _| Box::pin(still_works(connection)))
        .connect_lazy_with(options)
}

/// READ COMMITTED: a transaction that holds a conversation sees what was committed before it got
/// it. Strict: what does not fit is refused, never cut. Nothing waits or runs without a bound.
async fn prepare(connection: &mut MySqlConnection) -> sqlx::Result<()> {
    connection.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    connection
        .execute(
            "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), \
             innodb_lock_wait_timeout = 4, lock_wait_timeout = 8",
        )
        .await?;
    let version: String =
        sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut *connection).await?;
    let bound = if version.contains("MariaDB") {
        "SET SESSION max_statement_time = 8"
    } else {
        "SET SESSION max_execution_time = 8000"
    };
    connection.execute(bound).await?;
    Ok(())
}

/// Anything but `Ok(true)` closes the connection.
async fn still_works(connection: &mut MySqlConnection) -> sqlx::Result<bool> {
    match tokio::time::timeout(RELEASE, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

/// Says so when the server may lose what it has acknowledged.
pub async fn check_durability(pool: &MySqlPool) -> sqlx::Result<()> {
    let flush: u64 =
        sqlx::query_scalar("SELECT CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS UNSIGNED)")
            .fetch_one(pool)
            .await?;
    if flush != 1 {
        tracing::warn!(
            innodb_flush_log_at_trx_commit = flush,
            "MySQL may lose acknowledged messages in a crash: set it to 1"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_must_be_mysqls_and_name_a_database() {
        assert!(options("mysql://u:p@localhost/chat").is_ok());
        for bad in ["postgres://localhost/chat", "mysql://localhost", "mysql://localhost/", "x"] {
            assert!(options(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_misspelt_parameter_is_named_and_the_url_is_not() {
        for (misspelt, name) in
            [("ssl_mode=VERIFY_IDENTITY", "`ssl_mode`"), ("charset=utf8mb4&tls=1", "`tls`")]
        {
            let error = options(&format!("mysql://u:s3cret@localhost/chat?{misspelt}"));
            let error = error.expect_err(misspelt);
            assert!(error.contains(name) && !error.contains("s3cret"), "{error}");
        }
        let mode = |url: &str| options(url).map(|options| options.get_ssl_mode());
        let verified = mode("mysql://u:p@localhost/chat?ssl-mode=VERIFY_IDENTITY");
        assert!(matches!(verified, Ok(MySqlSslMode::VerifyIdentity)));
        assert!(mode("mysql://u:p@localhost/chat?ssl-mode=perhaps").is_err());
    }
}
