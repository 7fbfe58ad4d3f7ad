//! Files for banks: the payouts in one state as CSV, or as ISO 20022 pain.001.001.09.
//!
//! A file only shows what is in the log and can be made again; saying that it was handed to the bank
//! is another step. Each payment carries its payout's id as end-to-end id, by which the bank's
//! answer finds its way back.

use std::collections::BTreeMap;

use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::{FactId, Slug, bank::Bank};

use super::{
    super::record::{self, CommandError},
    pain, payable, refuse_waiting,
};
use crate::{
    service::Service,
    statement::harmless,
    tables::query::{Slice, payouts::PayoutFilter},
};

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// A row per payment.
    Csv,
    /// A customer credit transfer initiation, pain.001.001.09.
    Pain001,
}

impl FileFormat {
    /// The format with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "csv" => Some(Self::Csv),
            "pain.001" => Some(Self::Pain001),
            _ => None,
        }
    }

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Pain001 => "pain.001",
        }
    }

    /// What HTTP calls it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Pain001 => "application/xml",
        }
    }
}

/// Which file.
#[derive(Clone, Debug)]
pub struct FileRequest {
    /// In which form.
    pub format: FileFormat,
    /// Payouts in this state: approved or sent.
    pub state: PayoutState,
    /// The brand whose account pays; the only one that has an account if absent.
    pub brand: Option<Slug>,
    /// On which day, `YYYY-MM-DD`; today if absent.
    pub execution_date: Option<String>,
}

/// A file for a bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What is in it.
    pub payouts: Vec<PayoutRow>,
}

/// A payment: a payout and the account that it goes to.
pub(super) struct Payment {
    pub(super) row: PayoutRow,
    pub(super) to: Option<Bank>,
}

/// The payouts in a state as a file.
///
/// # Errors
/// The payouts are not approved or sent, those to one partner are more than is payable by now, or a partner
/// or the paying brand has no bank account where the form needs one.
pub async fn file(service: &Service, request: &FileRequest) -> Result<PayoutFile, CommandError> {
    if !matches!(request.state, PayoutState::Approved | PayoutState::Sent) {
        // A bank would pay what nobody has agreed to, or what was paid already.
        return Err(CommandError::Invalid {
            field: "state",
            detail: "a file for the bank is of payouts that are approved or sent".to_owned(),
        });
    }
    record::catch_up(service).await?;
    let filter = PayoutFilter {
        partner: None,
        state: Some(request.state),
    };
    let mut payouts = service.tables.payouts(&filter, Slice::ALL).await?;
    if request.state == PayoutState::Approved {
        while let Err(refused) = refuse_too_much(service, &payouts).await {
            // One that was sent since they were read is payable no more, and not approved either.
            let again = service.tables.payouts(&filter, Slice::ALL).await?;
            if again == payouts {
                return Err(refused);
            }
            payouts = again;
        }
    }
    let directory = service.directory.load();
    let payments: Vec<Payment> = payouts
        .iter()
        .map(|row| Payment {
            row: row.clone(),
            to: directory
                .partner(row.partner.as_str())
                .and_then(|partner| partner.bank.clone()),
        })
        .collect();
    let bytes = match request.format {
        FileFormat::Csv => csv_file(&payments),
        FileFormat::Pain001 => {
            let debtor = debtor(service, request.brand.as_ref())?;
            let now = service.clock.now();
            pain::message(&payments, &debtor, now, request.execution_date.as_deref())?
        }
    };
    Ok(PayoutFile { bytes, payouts })
}

/// Refuses a file of which the bank would pay more than is payable by now: it has fallen since somebody agreed.
async fn refuse_too_much(service: &Service, approved: &[PayoutRow]) -> Result<(), CommandError> {
    let mut sums = BTreeMap::<(&Slug, &str), (&PayoutRow, i128)>::new();
    for row in approved {
        let key = (&row.partner, row.currency.code());
        let (_, sum) = sums.entry(key).or_insert((row, 0));
        *sum += i128::from(row.amount_minor);
    }
    for row in approved {
        refuse_waiting(service, row).await?;
    }
    for ((partner, _), (row, sum)) in sums {
        let payable = payable(service, row).await?;
        if sum > payable {
            return Err(CommandError::Conflict(format!(
                "{} are payable to {partner} now, and approved payouts come to {}: fail what is too much and \
                 propose what is left",
                row.currency.format_money(payable),
                row.currency.format_major(sum),
            )));
        }
    }
    Ok(())
}

fn debtor(service: &Service, brand: Option<&Slug>) -> Result<Bank, CommandError> {
    let directory = service.directory.load();
    let mut with_account = directory
        .brands()
        .filter(|known| brand.is_none_or(|brand| known.slug == *brand))
        .filter_map(|known| known.bank.clone());
    let invalid = |detail: &str| CommandError::Invalid {
        field: "brand",
        detail: detail.to_owned(),
    };
    let first = with_account.next();
    let first = first.ok_or_else(|| invalid("no brand has a `bank` to pay from"))?;
    match with_account.next() {
        None => Ok(first),
        Some(_) => Err(invalid("several brands have a `bank`: say which one pays")),
    }
}

/// The end-to-end id of a payout: its id without hyphens, which fits the 35 characters of banks.
pub(super) fn end_to_end_id(id: FactId) -> String {
    id.simple().to_string()
}

/// What the partner reads on the statement of account.
pub(super) fn remittance(row: &PayoutRow) -> String {
    let id = end_to_end_id(row.id);
    format!("Payout {} {}", row.partner, id.get(20..).unwrap_or(&id))
}

fn csv_file(payments: &[Payment]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let rows = payments.iter().map(|payment| {
        let row = &payment.row;
        let to = payment.to.as_ref();
        [
            row.id.to_string(),
            end_to_end_id(row.id),
            row.partner.to_string(),
            to.map_or_else(String::new, |to| harmless(&to.name)),
            to.map_or_else(String::new, |to| to.iban.as_str().to_owned()),
            to.and_then(|to| to.bic.as_ref())
                .map_or_else(String::new, |bic| bic.as_str().to_owned()),
            row.currency.format_major(row.amount_minor),
            row.currency.to_string(),
            remittance(row),
        ]
    });
    let headers = [
        "payout_id",
        "end_to_end_id",
        "partner",
        "name",
        "iban",
        "bic",
        "amount",
        "currency",
        "remittance",
    ];
    for row in std::iter::once(headers.map(str::to_owned)).chain(rows) {
        writer
            .write_record(row)
            .expect("rows of one length are written to memory");
    }
    writer
        .into_inner()
        .expect("nothing stands between the rows and memory")
}
