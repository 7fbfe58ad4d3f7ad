//! What of a payout waits again since it was proposed.

use postbook_projections::{payable::due, rows::LineState};
use postbook_schemas::{FactId, Instant};

use super::select;
use crate::tables::{Tables, error::TablesError, row::Reader};

impl Tables {
    /// What a payout carries of lines beyond what is payable of them, since they are pending or on hold:
    /// nobody would be paid that now.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn waiting_minor(
        &self,
        payout_id: FactId,
        now: Instant,
    ) -> Result<i128, TablesError> {
        let mut query = select(
            "SELECT l.amount_minor AS wanted_minor, e.amount_minor AS amount_minor, \
             e.carried_minor - e.written_off_minor AS settled_minor, \
             e.state AS state, e.available_at AS available_at \
             FROM payout_lines l JOIN payouts p ON p.id = l.payout_id \
             JOIN conversions c ON c.id = l.subject_id \
             JOIN earnings e ON e.conversion_position = c.position AND e.rule = l.rule \
             AND e.partner = p.partner AND e.currency = p.currency \
             WHERE l.amount_minor > 0 AND l.payout_id = ",
        );
        query.push_bind(payout_id);
        let mut waiting = 0_i128;
        for row in self.fetch(query).await? {
            let row = Reader::new("earnings", &row);
            let available_at = row.time_option("available_at")?;
            let waits = row.text("state")? == LineState::Pending.code();
            if available_at.map_or(!waits, |at| at <= now) {
                continue;
            }
            let (amount, settled) = (row.number("amount_minor")?, row.number("settled_minor")?);
            let (at_once, rest) = due(amount, settled);
            let beyond = row.number("wanted_minor")?.saturating_sub(at_once.max(0));
            waiting += i128::from(beyond.clamp(0, rest.max(0)));
        }
        Ok(waiting)
    }
}
