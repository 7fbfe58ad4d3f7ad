//! Facts about credentials that are not in the log yet: kept with the change, appended later.

use super::{Columns, SecretsStore, execute, over, reading};
use crate::secrets::{SecretsError, Unrecorded};

pub(super) const ADD: &str = "INSERT INTO unrecorded (id, fact) VALUES ($1, $2)";

/// Makes a change of some statements, and adds the fact about it in the same transaction.
macro_rules! change {
    ($store:expr, $fact:expr, $($statement:expr $(, $bound:expr)*);+) => {
        $crate::secrets::store::over!($store, pool => {
            let mut change = pool.begin().await.map_err($crate::secrets::store::writing)?;
            $($crate::secrets::store::execute!(&mut *change, $statement $(, $bound)*)?;)+
            if let Some(fact) = $fact {
                let add = $crate::secrets::store::unrecorded::ADD;
                let json = $crate::secrets::store::unrecorded::json(fact)?;
                $crate::secrets::store::execute!(&mut *change, add, fact.id.to_string(), json)?;
            }
            change.commit().await.map_err($crate::secrets::store::writing)
        })
    };
}

pub(super) use change;

pub(super) fn json(fact: &Unrecorded) -> Result<String, SecretsError> {
    serde_json::to_string(fact)
        .map_err(|_| SecretsError::Damaged("a fact cannot be written as JSON"))
}

impl SecretsStore {
    /// The facts that wait, oldest first: ids are in the order of time.
    pub(in crate::secrets) async fn unrecorded(&self) -> Result<Vec<Unrecorded>, SecretsError> {
        let read = |json: String| {
            serde_json::from_str(&json)
                .map_err(|_| SecretsError::Damaged("a fact that waits cannot be read"))
        };
        let select = "SELECT fact FROM unrecorded ORDER BY id";
        over!(self, pool => {
            let rows = sqlx::query(select).fetch_all(pool).await.map_err(reading)?;
            rows.iter().map(|row| row.text("fact").and_then(read)).collect()
        })
    }

    /// Forgets a fact that is in the log now.
    pub(in crate::secrets) async fn recorded(&self, fact: &Unrecorded) -> Result<(), SecretsError> {
        let delete = "DELETE FROM unrecorded WHERE id = $1";
        over!(self, pool => execute!(pool, delete, fact.id.to_string()))
    }
}
