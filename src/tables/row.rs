//! Rows read back from the tables, checked as they are read.

use std::{borrow::Cow, str::FromStr, sync::Arc};

use postbook_projections::rows::{
    AttemptRow, Attribution, CarryoverRow, ConversionRow, EarningLine, Entry, InPeriod, Memo,
    ParkedRow, PayoutRow, Posting,
};
use postbook_schemas::{Currency, FactId, Instant, Kind, OfferRef, Outcome};

use super::{
    batch::{Adjustment, CarriedLine, ClosedPeriod, StatementRow, Touch},
    db::Row,
    error::TablesError,
    words,
};

/// A row of a table whose columns are taken by name.
#[derive(Debug)]
pub(super) struct Reader<'r> {
    table: &'static str,
    row: &'r Row,
}

type Read<T> = Result<T, TablesError>;

impl<'r> Reader<'r> {
    pub(super) fn new(table: &'static str, row: &'r Row) -> Self {
        Self { table, row }
    }

    pub(super) fn damaged(&self, column: &str, what: impl std::fmt::Display) -> TablesError {
        let row = self.row.first_number().unwrap_or_default();
        TablesError::Damaged {
            table: self.table,
            row: row.to_string(),
            what: format!("{column}: {what}"),
        }
    }

    pub(super) fn number(&self, column: &str) -> Read<i64> {
        self.number_option(column)?
            .ok_or_else(|| self.damaged(column, "absent"))
    }

    pub(super) fn number_option(&self, column: &str) -> Read<Option<i64>> {
        self.row
            .number(column)
            .map_err(|error| self.damaged(column, error))
    }

    pub(super) fn position(&self, column: &str) -> Read<u64> {
        self.number(column).map(i64::cast_unsigned)
    }

    pub(super) fn text(&self, column: &str) -> Read<Cow<'r, str>> {
        self.row
            .text(column)
            .map_err(|error| self.damaged(column, error))?
            .ok_or_else(|| self.damaged(column, "absent"))
    }

    pub(super) fn text_option(&self, column: &str) -> Read<Option<String>> {
        let text = self.row.text(column);
        text.map(|text| text.map(Cow::into_owned))
            .map_err(|error| self.damaged(column, error))
    }

    /// A text that many rows share; none if it is absent.
    fn shared_text_option(&self, column: &str) -> Read<Option<Arc<str>>> {
        let text = self.row.text(column);
        text.map(|text| text.map(Arc::from))
            .map_err(|error| self.damaged(column, error))
    }

    /// The bytes of a digest; none if they are absent.
    pub(super) fn bytes(&self, column: &str) -> Read<&'r [u8]> {
        let bytes = self.row.bytes(column);
        bytes
            .map(Option::unwrap_or_default)
            .map_err(|error| self.damaged(column, error))
    }

    pub(super) fn time(&self, column: &str) -> Read<Instant> {
        self.number(column).map(Instant::from_micros)
    }

    pub(super) fn time_option(&self, column: &str) -> Read<Option<Instant>> {
        Ok(self.number_option(column)?.map(Instant::from_micros))
    }

    pub(super) fn id(&self, column: &str) -> Read<FactId> {
        self.id_option(column)?
            .ok_or_else(|| self.damaged(column, "absent"))
    }

    pub(super) fn id_option(&self, column: &str) -> Read<Option<FactId>> {
        let bytes = self
            .row
            .bytes(column)
            .map_err(|error| self.damaged(column, error))?;
        bytes
            .map(|bytes| FactId::from_slice(bytes).map_err(|error| self.damaged(column, error)))
            .transpose()
    }

    /// A text that a word of the core is made of.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, column: &str) -> Read<T> {
        let text = self.text(column)?;
        text.parse().map_err(|error| self.damaged(column, error))
    }

    pub(super) fn parsed_option<T: FromStr<Err: std::fmt::Display>>(
        &self,
        column: &str,
    ) -> Read<Option<T>> {
        self.text_option(column)?
            .map(|text| text.parse().map_err(|error| self.damaged(column, error)))
            .transpose()
    }

    pub(super) fn word<T>(&self, column: &str, parse: fn(&str) -> Option<T>) -> Read<T> {
        let word = self.text(column)?;
        parse(&word).ok_or_else(|| self.damaged(column, format!("unknown word `{word}`")))
    }

    fn word_option<T>(&self, column: &str, parse: fn(&str) -> Option<T>) -> Read<Option<T>> {
        self.text_option(column)?
            .map(|word| {
                parse(&word).ok_or_else(|| self.damaged(column, format!("unknown word `{word}`")))
            })
            .transpose()
    }
}

pub(super) fn attempt(row: &Row) -> Read<AttemptRow> {
    let row = Reader::new("attempts", row);
    Ok(AttemptRow {
        position: row.position("position")?,
        id: row.id("id")?,
        outcome: row.word("outcome", Outcome::from_code)?,
        fact_type: row.text("fact_type")?.into_owned(),
        offer: row.parsed_option("offer")?,
        click_id: row.text_option("click_id")?,
        txn_id: row.text_option("txn_id")?,
        customer_id: row.text_option("customer_id")?,
        event_id: row.text_option("event_id")?,
        event: row.text_option("event")?,
        field: row.text_option("field")?,
        detail: row.text_option("detail")?,
        differs: row.number("differs")? != 0,
        endpoint: row.text("endpoint")?.into_owned(),
        address: row.text_option("address")?,
        recorded_at: row.time("recorded_at")?,
    })
}

/// A conversion without its earning lines.
pub(super) fn conversion(row: &Row) -> Read<ConversionRow> {
    let row = Reader::new("conversions", row);
    let losers =
        serde_json::from_str(&row.text("losers")?).map_err(|error| row.damaged("losers", error))?;
    Ok(ConversionRow {
        id: row.id("id")?,
        position: row.position("position")?,
        offer: row.parsed::<OfferRef>("offer")?,
        kind: Kind::from_code(&row.text("kind")?),
        txn_id: row.text_option("txn_id")?,
        click_id: row.text_option("click_id")?,
        customer_id: row.text_option("customer_id")?,
        coupon_code: row.text_option("coupon_code")?,
        attribution: Attribution {
            by: row.word_option("attributed_by", words::parse_attributed_by)?,
            partner: row.parsed_option("partner")?,
            click_id: row.text_option("attributed_click_id")?,
            reason: row.text("attribution_reason")?.into_owned().into(),
            losers,
        },
        status: row.word("status", words::parse_status)?,
        approves_at: row.time_option("approves_at")?,
        amount_minor: row.number_option("amount_minor")?,
        refunded_minor: row.number("refunded_minor")?,
        over_refunded_minor: row.number("over_refunded_minor")?,
        charged_back_minor: row.number("charged_back_minor")?,
        currency: row.parsed::<Currency>("currency")?,
        occurred_at: row.time("occurred_at")?,
        recorded_at: row.time("recorded_at")?,
        sandbox: row.number("sandbox")? != 0,
        earnings: Vec::new(),
    })
}

/// An earning line, with the position of its conversion.
pub(super) fn earning(row: &Row) -> Read<(u64, EarningLine)> {
    let row = Reader::new("earnings", row);
    let line = EarningLine {
        rule: row.shared_text_option("rule")?,
        terms_version: row.shared_text_option("terms_version")?,
        partner: row.parsed_option("partner")?,
        amount_minor: row.number("amount_minor")?,
        currency: row.parsed_option("currency")?,
        state: row.word("state", words::parse_line_state)?,
        reason: row.word_option("reason", words::parse_zero_reason)?,
        available_at: row.time_option("available_at")?,
        earned_minor: row.number("earned_minor")?,
        reversed_minor: row.number("reversed_minor")?,
        clawed_back_minor: row.number("clawed_back_minor")?,
        recovered_minor: row.number("recovered_minor")?,
        written_off_minor: row.number("written_off_minor")?,
        carried_minor: row.number("carried_minor")?,
        payout_id: row.id_option("payout_id")?,
    };
    Ok((row.position("conversion_position")?, line))
}

/// A posting without its entries.
pub(super) fn posting(row: &Row) -> Read<Posting> {
    let row = Reader::new("postings", row);
    Ok(Posting {
        number: row.position("number")?,
        cause: row.position("cause")?,
        kind: row.word("kind", words::parse_posting_kind)?,
        conversion_id: row.id_option("conversion_id")?,
        rule: row.shared_text_option("rule")?,
        terms_version: row.shared_text_option("terms_version")?,
        partner: row.parsed("partner")?,
        currency: row.parsed("currency")?,
        payout_id: row.id_option("payout_id")?,
        effective_at: row.time("effective_at")?,
        recorded_at: row.time("recorded_at")?,
        period: InPeriod {
            month: row.parsed("period")?,
            corrects: row.parsed_option("corrects")?,
        },
        entries: Vec::new(),
        memo: Memo {
            earned_minor: row.number("earned_minor")?,
            reversed_minor: row.number("reversed_minor")?,
            clawed_back_minor: row.number("clawed_back_minor")?,
            recovered_minor: row.number("recovered_minor")?,
            written_off_minor: row.number("written_off_minor")?,
            adjusted_minor: row.number("adjusted_minor")?,
            paid_minor: row.number("paid_minor")?,
        },
    })
}

/// The columns of an entry with its account, in the tables `entries e` and `accounts a`.
pub(super) const ENTRY_COLUMNS: &str = "e.posting AS posting, e.amount_minor AS amount_minor, \
     e.available_at AS available_at, a.kind AS kind, a.partner AS partner, a.offer AS offer";

/// An entry, with the number of its posting.
pub(super) fn entry(row: &Row) -> Read<(u64, Entry)> {
    let row = Reader::new("entries", row);
    let (kind, partner, offer) = (
        row.text("kind")?,
        row.text_option("partner")?,
        row.text_option("offer")?,
    );
    let account = words::parse_account(&kind, partner.as_deref(), offer.as_deref())
        .ok_or_else(|| row.damaged("account", format!("unknown account `{kind}`")))?;
    let entry = Entry {
        account,
        amount_minor: row.number("amount_minor")?,
        available_at: row.time_option("available_at")?,
    };
    Ok((row.position("posting")?, entry))
}

pub(super) fn payout(row: &Row) -> Read<PayoutRow> {
    let row = Reader::new("payouts", row);
    Ok(PayoutRow {
        id: row.id("id")?,
        position: row.position("position")?,
        partner: row.parsed("partner")?,
        currency: row.parsed("currency")?,
        amount_minor: row.number("amount_minor")?,
        recovered_minor: row.number("recovered_minor")?,
        lines: row.position("line_count")?,
        state: row.word("state", words::parse_payout_state)?,
        reference: row.text_option("reference")?,
        proposed_at: row.time("proposed_at")?,
        changed_at: row.time("changed_at")?,
    })
}

pub(super) fn parked(row: &Row) -> Read<ParkedRow> {
    let row = Reader::new("parked", row);
    Ok(ParkedRow {
        position: row.position("position")?,
        waiting: row.number("waiting")? != 0,
        offer: row.parsed("offer")?,
        change: row.text("change")?.into_owned(),
        txn_id: row.text_option("txn_id")?,
        click_id: row.text_option("click_id")?,
        customer_id: row.text_option("customer_id")?,
        recorded_at: row.time("recorded_at")?,
    })
}

pub(super) fn carryover(row: &Row) -> Read<CarryoverRow> {
    let row = Reader::new("carryovers", row);
    Ok(CarryoverRow {
        id: row.id("id")?,
        partner: row.parsed("partner")?,
        currency: row.parsed("currency")?,
        offer: row.parsed_option("offer")?,
        month: row.parsed("month")?,
        amount_minor: row.number("amount_minor")?,
        ends_at: row.time("ends_at")?,
        available_at: row.time("available_at")?,
    })
}

pub(super) fn carried_line(row: &Row) -> Read<CarriedLine> {
    let row = Reader::new("payout_lines", row);
    Ok(CarriedLine {
        payout_id: row.id("payout_id")?,
        line: row.position("line")?,
        subject_id: row.id("subject_id")?,
        rule: row.text_option("rule")?,
        amount_minor: row.number("amount_minor")?,
    })
}

pub(super) fn adjustment(row: &Row) -> Read<Adjustment> {
    let row = Reader::new("adjustments", row);
    Ok(Adjustment {
        position: row.position("position")?,
        id: row.id("id")?,
        partner: row.parsed("partner")?,
        amount_minor: row.number("amount_minor")?,
        currency: row.parsed("currency")?,
        reason: row.text("reason")?.into_owned(),
        occurred_at: row.time("occurred_at")?,
        recorded_at: row.time("recorded_at")?,
    })
}

pub(super) fn closed_period(row: &Row) -> Read<ClosedPeriod> {
    let row = Reader::new("periods", row);
    Ok(ClosedPeriod {
        position: row.position("position")?,
        period: row.parsed("period")?,
        actor: row.text("actor")?.into_owned(),
        reason: row.text("reason")?.into_owned(),
        closed_at: row.time("closed_at")?,
    })
}

pub(super) fn statement(row: &Row) -> Read<StatementRow> {
    let row = Reader::new("statements", row);
    Ok(StatementRow {
        position: row.position("position")?,
        id: row.id("id")?,
        partner: row.parsed("partner")?,
        currency: row.parsed("currency")?,
        period: row.parsed("period")?,
        number: row.position("number")?,
        opening_minor: row.number("opening_minor")?,
        closing_minor: row.number("closing_minor")?,
        issued_at: row.time("issued_at")?,
    })
}

pub(super) fn touch(row: &Row) -> Read<Touch> {
    let row = Reader::new("touches", row);
    Ok(Touch {
        subject_id: row.id("subject_id")?,
        position: row.position("position")?,
    })
}
