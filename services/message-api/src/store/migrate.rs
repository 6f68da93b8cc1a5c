//! The schema, brought up to date by one replica at a time.

use anyhow::{Context, bail};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection,
    mysql::MySqlConnectOptions,
};

use super::StoreError;

/// Makes the database if there is none, then applies what it lacks. Any number of replicas may do
/// so at once.
pub async fn migrate(options: &MySqlConnectOptions) -> anyhow::Result<()> {
    let mut connection = connect(options).await?;
    // sqlx's own lock waits for -1 seconds, which MariaDB answers with NULL: no lock at all.
    let locked: Option<i64> = sqlx::query_scalar(
        "SELECT GET_LOCK(CONCAT('switchboard:', LEFT(SHA2(DATABASE(), 256), 40)), 120)",
    )
    .fetch_one(&mut connection)
    .await
    .context("taking the migration lock")?;
    if locked != Some(1) {
        bail!("another replica has been migrating the database for two minutes");
    }
    forget_interrupted(&mut connection).await?;
    let mut migrator = sqlx::migrate!();
    // An older replica must still start while a newer one is being rolled out.
    migrator.set_locking(false).set_ignore_missing(true);
    migrator.run(&mut connection).await.context("migrating the database")?;
    // Closing the connection gives the lock back.
    connection.close().await.context("closing the migration's connection")
}

async fn connect(options: &MySqlConnectOptions) -> anyhow::Result<MySqlConnection> {
    match options.connect().await.map_err(StoreError::from) {
        Err(error) if error.is_no_such_database() => {
            create_database(options).await.context("creating the database")?;
            Ok(options.connect().await?)
        }
        other => Ok(other?),
    }
}

async fn create_database(options: &MySqlConnectOptions) -> sqlx::Result<()> {
    let name = options.get_database().unwrap_or_default().replace('`', "``");
    let mut connection = options.clone().database("information_schema").connect().await?;
    let statement =
        format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}

/// A replica that was killed in the middle leaves a migration marked as begun, which sqlx would
/// refuse for ever. Every migration of ours can be applied again over its own half.
async fn forget_interrupted(connection: &mut MySqlConnection) -> anyhow::Result<()> {
    let tables: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name = '_sqlx_migrations'",
    )
    .fetch_one(&mut *connection)
    .await?;
    if tables > 0 {
        connection.execute("DELETE FROM _sqlx_migrations WHERE success = FALSE").await?;
    }
    Ok(())
}
