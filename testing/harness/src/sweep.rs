//! Ends what killed test runs left: databases of tests that are old and that nobody is connected to.

use std::time::{Duration, SystemTime};

use shop_testbed::{PREFIX, Server};
use sqlx::PgConnection;
use uuid::Uuid;

/// No test lives as long.
const OLD: Duration = Duration::from_secs(2 * 60 * 60);

/// Drops what is left over. Templates stay: they are few, small and used again.
pub(crate) async fn old_databases(server: &Server, connection: &mut PgConnection) {
    let idle: Result<Vec<String>, _> = sqlx::query_scalar(
        "select datname from pg_database d
          where starts_with(datname, $1) and not exists (select 1 from pg_stat_activity a where a.datid = d.oid)",
    )
    .bind(PREFIX)
    .fetch_all(connection)
    .await;
    for name in idle.unwrap_or_default() {
        if made(&name).is_some_and(|made| made.elapsed().is_ok_and(|age| age > OLD)) {
            // Another sweeper may have been faster.
            let _gone = server.drop(&name).await;
        }
    }
}

/// When a database of tests was made: its name ends in a UUID of version 7, which begins with the time.
fn made(name: &str) -> Option<SystemTime> {
    let (seconds, nanos) = Uuid::try_parse(name.rsplit('_').next()?).ok()?.get_timestamp()?.to_unix();
    Some(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_time_can_be_old() {
        let now = format!("{PREFIX}db_{}", Uuid::now_v7().simple());
        assert!(made(&now).unwrap().elapsed().unwrap() < OLD);
        let long_ago = format!("{PREFIX}db_01890a5d-ac96-774b-bcce-b302099a8057");
        assert!(made(&long_ago).unwrap().elapsed().unwrap() > OLD);
        assert_eq!(made(&format!("{PREFIX}template_0123456789abcdef")), None);
        assert_eq!(made("postgres"), None);
    }
}
