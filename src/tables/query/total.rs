//! Sums beyond 64 bits. Both databases add up whole numbers of 64 bits, so they add up the two halves
//! of each, which stay far within, and the halves are put together here: one partner whose amounts are
//! too many or too large to add up otherwise must not keep everybody else's from being added up.

use crate::tables::{error::TablesError, row::Reader};

/// How many bits the lower half has.
const LOW_BITS: u32 = 32;

/// The lower half of a number.
const LOW: u32 = u32::MAX;

/// The two columns that say the sum of an expression, under a name by which [`total`] reads it.
pub(super) fn sum(expression: &str, name: &str) -> String {
    format!(
        "CAST(COALESCE(SUM(({expression}) >> {LOW_BITS}), 0) AS BIGINT) AS {name}_high, \
         CAST(COALESCE(SUM(({expression}) & {LOW}), 0) AS BIGINT) AS {name}_low"
    )
}

/// A sum out of its two columns.
pub(super) fn total(row: &Reader<'_>, name: &str) -> Result<i128, TablesError> {
    let half = |half: &str| row.number(&format!("{name}_{half}")).map(i128::from);
    Ok((half("high")? << LOW_BITS) + half("low")?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::tables::{Tables, db::Query};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_sum_is_that_of_the_numbers_however_large_they_are(
            numbers in proptest::collection::vec(
                prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -2..=2_i64], 0..20,
            )
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let answer = runtime.expect("a runtime").block_on(async {
                let folder = tempfile::tempdir().expect("a folder");
                let tables = Tables::open(folder.path()).await.expect("tables open");
                let mut query = Query::new(format!("SELECT {} FROM (", sum("n", "of_n")));
                query.push("SELECT 0 AS n");
                for number in &numbers {
                    query.push(" UNION ALL SELECT ").push_bind(*number);
                }
                query.push(") numbers");
                let rows = tables.fetch(query).await.expect("they are added up");
                total(&Reader::new("numbers", &rows[0]), "of_n").expect("two halves")
            });
            let expected: i128 = numbers.iter().copied().map(i128::from).sum();
            prop_assert_eq!(answer, expected);
        }
    }
}
