//! ISO 20022 pain.001.001.09: a customer credit transfer initiation.
//!
//! `.ci/pain001` holds what is written here to the published XSD.

use std::{collections::BTreeMap, fmt::Write};

use postbook_schemas::{Currency, Instant, bank::Bank};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::{
    super::record::CommandError,
    file::{Payment, end_to_end_id, remittance},
};

/// SEPA takes names up to here, though the message would take twice as much.
const NAME_MAX: usize = 70;

/// The longest text that tells the partner what is paid.
const REMITTANCE_MAX: usize = 140;

/// The message that orders these payments from the debtor's account.
///
/// # Errors
/// There are no payments, or one is to nobody whom a bank could pay.
pub(super) fn message(
    payments: &[Payment],
    debtor: &Bank,
    now: Instant,
    execution_date: Option<&str>,
) -> Result<Vec<u8>, CommandError> {
    if payments.is_empty() {
        let detail = "there are no payouts to put into a file";
        return Err(CommandError::NotFound(detail.to_owned()));
    }
    refuse_all("no `bank` is known of", payments, |payment| {
        payment.to.is_none()
    })?;
    refuse_all(
        "banks can write no letter of the account holder's name of",
        payments,
        |payment| {
            payment
                .to
                .as_ref()
                .is_some_and(|to| name_for_banks(&to.name).is_empty())
        },
    )?;
    if name_for_banks(&debtor.name).is_empty() {
        let detail = "banks can write no letter of the name of the account that pays";
        return Err(CommandError::Conflict(detail.to_owned()));
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
        name_for_banks(&debtor.name),
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
        name_for_banks(&debtor.name),
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
            name_for_banks(&to.name),
            to.iban.as_str(),
            text_for_banks(&remittance(&payment.row), REMITTANCE_MAX),
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

/// Refuses payments of which something holds, by the names of their partners.
fn refuse_all(
    what: &str,
    payments: &[Payment],
    holds: impl Fn(&Payment) -> bool,
) -> Result<(), CommandError> {
    let named: Vec<&str> = payments
        .iter()
        .filter(|payment| holds(payment))
        .map(|payment| payment.row.partner.as_str())
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "{what} {}: mend it in the programme, or fail the payout",
        named.join(", ")
    );
    Err(CommandError::Conflict(detail))
}

/// A name as every bank takes it.
pub fn name_for_banks(text: &str) -> String {
    text_for_banks(text, NAME_MAX)
}

/// The same in the letters that all banks must take (EPC 217-08): others are written in Latin ones,
/// and what is no letter becomes a space. Slashes neither begin nor end it, nor stand in pairs. Of
/// what is left nothing means anything in XML.
fn text_for_banks(text: &str, max: usize) -> String {
    let latin = deunicode::deunicode_with_tofu(text, " ").replace('&', "+");
    let is_known = |c: char| c.is_ascii_alphanumeric() || "/-?:().,'+".contains(c);
    let known = latin.chars().map(|c| if is_known(c) { c } else { ' ' });
    let mut written = String::new();
    for c in known {
        let last = written.chars().next_back();
        let is_double = matches!((last, c), (None | Some(' '), ' ') | (None | Some('/'), '/'));
        if !is_double && written.len() < max {
            written.push(c);
        }
    }
    let end = written.trim_end_matches([' ', '/']).len();
    written.truncate(end);
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_in_the_letters_of_all_banks() {
        for (given, written) in [
            ("Acme & Co", "Acme + Co"),
            ("Ann <Media>", "Ann Media"),
            ("Müller, Sørensen & Ñandú", "Muller, Sorensen + Nandu"),
            ("Иван Петров", "Ivan Petrov"),
            ("//a//b/", "a/b"),
            ("=+\u{7}", "+"),
            ("<>\"", ""),
        ] {
            assert_eq!(name_for_banks(given), written, "{given}");
        }
        assert_eq!(name_for_banks(&"x".repeat(99)).len(), NAME_MAX);
    }

    proptest! {
        #[test]
        fn whatever_a_name_is_what_is_written_is_in_the_set(text in ".{0,200}") {
            let written = name_for_banks(&text);
            prop_assert!(written.len() <= NAME_MAX);
            prop_assert!(!written.starts_with([' ', '/']) && !written.ends_with([' ', '/']));
            prop_assert!(!written.contains("//") && !written.contains(['&', '<', '>', '"']));
            prop_assert_eq!(name_for_banks(&written), written);
        }
    }
}
