//! Facts to append, made from a number.

use std::sync::Arc;

use postbook::store::{Append, Appended, ClickHead};
use postbook_schemas::{FactId, FactType, Instant, Source, envelope::Draft, traffic::Device};

/// A report that is told apart by a number, under these keys.
pub(crate) fn report(number: u64, unique: Option<&str>, references: &[&str]) -> Append {
    let data = format!(r#"{{"outcome":"accepted","offer":"acme/casino","number":{number}}}"#);
    Append {
        draft: draft(number, FactType::RevenueReported, data),
        unique: unique.map(str::to_owned),
        not_at: Vec::new(),
        references: references.iter().map(|&key| key.to_owned()).collect(),
        seat: None,
        with_previous: false,
    }
}

/// A report under a key of its number.
pub(crate) fn keyed(number: u64) -> Append {
    report(number, Some(&format!("key-{number}")), &[])
}

/// Where a fact is, whether it is new there or was there before.
pub(crate) fn position(appended: &Appended) -> u64 {
    match *appended {
        Appended::At { position, .. } | Appended::Known { position } => position,
    }
}

/// A click that asks for an id.
pub(crate) fn click(number: u64) -> Append {
    let data = format!(r#"{{"click_id":"..........","offer":"acme/casino","number":{number}}}"#);
    Append {
        draft: draft(number, FactType::ClickRecorded, data),
        unique: None,
        not_at: Vec::new(),
        references: Vec::new(),
        seat: Some(head(number)),
        with_previous: false,
    }
}

/// A click that was recorded elsewhere, under its own id.
pub(crate) fn foreign_click(number: u64) -> Append {
    let data = format!(r#"{{"click_id":"theirs-{number}","offer":"acme/casino"}}"#);
    Append {
        seat: None,
        draft: draft(number, FactType::ClickRecorded, data),
        ..click(number)
    }
}

/// The index entry of [`click`].
pub(crate) fn head(number: u64) -> ClickHead {
    ClickHead {
        link_position: number + 1,
        occurred_at: Instant::from_micros(i64::try_from(number).unwrap_or(0) * 1_000),
        country: number.is_multiple_of(2).then_some(*b"DE"),
        device: Device::Mobile,
    }
}

fn draft(number: u64, fact_type: FactType, data: String) -> Draft {
    Draft {
        id: FactId::from_u64_pair(0x018f_0000_0000_7000, 0x8000_0000_0000_0000 | number),
        fact_type,
        occurred_at: None,
        actor: Arc::from("test"),
        source: Source {
            endpoint: "test".to_owned(),
            address: None,
        },
        reason: None,
        data: data.into_bytes(),
    }
}
