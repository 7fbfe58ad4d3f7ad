//! Files for banks: the payouts in one state as CSV, or as ISO 20022 pain.001.001.09.
//!
//! A file only shows what is in the log and can be made again; saying that it was handed to the bank
//! is another step. Each payment carries its payout's id as end-to-end id, by which the bank's
//! answer finds its way back.

use std::{collections::BTreeMap, fmt::Write};

use postbook_projections::rows::{PayoutRow, PayoutState};
use postbook_schemas::{Currency, FactId, Instant, Slug, bank::Bank};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::super::record::{self, CommandError};
use crate::{
    service::Service,
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
    /// Payouts in this state.
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
struct Payment {
    row: PayoutRow,
    to: Option<Bank>,
}

/// The payouts in a state as a file.
///
/// # Errors
/// A partner or the paying brand has no bank account where the form needs one.
pub async fn file(service: &Service, request: &FileRequest) -> Result<PayoutFile, CommandError> {
    record::catch_up(service).await?;
    let filter = PayoutFilter {
        partner: None,
        state: Some(request.state),
    };
    let all = Slice {
        after: 0,
        limit: u32::MAX,
    };
    let payouts = service.tables.payouts(&filter, all).await?;
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
            pain_001(&payments, &debtor, now, request.execution_date.as_deref())?
        }
    };
    Ok(PayoutFile { bytes, payouts })
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

fn remittance(row: &PayoutRow) -> String {
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
            to.map_or_else(String::new, |to| to.name.clone()),
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

fn pain_001(
    payments: &[Payment],
    debtor: &Bank,
    now: Instant,
    execution_date: Option<&str>,
) -> Result<Vec<u8>, CommandError> {
    let without: Vec<&str> = payments
        .iter()
        .filter(|payment| payment.to.is_none())
        .map(|payment| payment.row.partner.as_str())
        .collect();
    if !without.is_empty() {
        let detail = format!("no `bank` is known of {}", without.join(", "));
        return Err(CommandError::Conflict(detail));
    }
    if payments.is_empty() {
        let detail = "there are no payouts to put into a file";
        return Err(CommandError::NotFound(detail.to_owned()));
    }
    let today = now.to_chrono().format("%Y-%m-%d").to_string();
    let date = execution_date.unwrap_or(&today);
    let id = message_id(payments);
    let mut groups: BTreeMap<Currency, Vec<&Payment>> = BTreeMap::new();
    for payment in payments {
        groups
            .entry(payment.row.currency)
            .or_default()
            .push(payment);
    }
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\">\n<CstmrCdtTrfInitn>\n\
         <GrpHdr><MsgId>{id}</MsgId><CreDtTm>{}</CreDtTm><NbOfTxs>{}</NbOfTxs><CtrlSum>{}</CtrlSum>\
         <InitgPty><Nm>{}</Nm></InitgPty></GrpHdr>\n",
        now.to_chrono().format("%Y-%m-%dT%H:%M:%SZ"),
        payments.len(),
        control_sum(payments.iter()),
        name(&debtor.name),
    );
    for (currency, group) in groups {
        xml += &payment_information(&id, currency, &group, debtor, date);
    }
    xml += "</CstmrCdtTrfInitn>\n</Document>\n";
    Ok(xml.into_bytes())
}

fn payment_information(
    id: &str,
    currency: Currency,
    group: &[&Payment],
    debtor: &Bank,
    date: &str,
) -> String {
    let is_euro = currency.code() == "EUR";
    let service_level = if is_euro {
        "<PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl></PmtTpInf>"
    } else {
        ""
    };
    let charges = if is_euro { "SLEV" } else { "SHAR" };
    let mut xml = format!(
        "<PmtInf><PmtInfId>{}-{currency}</PmtInfId><PmtMtd>TRF</PmtMtd><NbOfTxs>{}</NbOfTxs>\
         <CtrlSum>{}</CtrlSum>{service_level}<ReqdExctnDt><Dt>{date}</Dt></ReqdExctnDt>\
         <Dbtr><Nm>{}</Nm></Dbtr><DbtrAcct><Id><IBAN>{}</IBAN></Id></DbtrAcct>\
         <DbtrAgt>{}</DbtrAgt><ChrgBr>{charges}</ChrgBr>\n",
        id.get(..31).unwrap_or(id),
        group.len(),
        control_sum(group.iter().copied()),
        name(&debtor.name),
        debtor.iban.as_str(),
        agent(debtor),
    );
    for payment in group {
        let Some(to) = &payment.to else {
            continue;
        };
        writeln!(
            xml,
            "<CdtTrfTxInf><PmtId><EndToEndId>{}</EndToEndId></PmtId>\
             <Amt><InstdAmt Ccy=\"{currency}\">{}</InstdAmt></Amt><CdtrAgt>{}</CdtrAgt>\
             <Cdtr><Nm>{}</Nm></Cdtr><CdtrAcct><Id><IBAN>{}</IBAN></Id></CdtrAcct>\
             <RmtInf><Ustrd>{}</Ustrd></RmtInf></CdtTrfTxInf>",
            end_to_end_id(payment.row.id),
            currency.format_major(payment.row.amount_minor),
            agent(to),
            name(&to.name),
            to.iban.as_str(),
            remittance(&payment.row),
        )
        .expect("a text takes more text");
    }
    xml + "</PmtInf>\n"
}

/// Names the message by what is in it: the same payouts make the same message, which a bank refuses
/// to execute twice.
fn message_id(payments: &[Payment]) -> String {
    let mut hash = Sha256::new();
    for payment in payments {
        hash.update(payment.row.id.as_bytes());
    }
    let digest = hex::encode(hash.finalize());
    format!("PB{}", digest.get(..30).unwrap_or(&digest))
}

/// The sum of the amounts, whatever their currencies, as the standard has it.
fn control_sum<'p>(payments: impl Iterator<Item = &'p Payment>) -> String {
    let amounts = payments.map(|payment| {
        let row = &payment.row;
        Decimal::from_i128_with_scale(i128::from(row.amount_minor), row.currency.exponent())
    });
    amounts.sum::<Decimal>().to_string()
}

fn agent(bank: &Bank) -> String {
    match &bank.bic {
        Some(bic) => format!("<FinInstnId><BICFI>{}</BICFI></FinInstnId>", bic.as_str()),
        None => "<FinInstnId><Othr><Id>NOTPROVIDED</Id></Othr></FinInstnId>".to_owned(),
    }
}

/// A name as banks take it: at most 70 characters, without what XML cannot carry.
fn name(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_control()).take(70);
    let mut escaped = String::new();
    for c in kept {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}
