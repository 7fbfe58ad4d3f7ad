//! Bank accounts, and how much of a payout may recover debts.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Currency, Exact, Rate};

/// A bank account: a partner's to pay to, or a brand's to pay from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// The account's number; spaces do not matter.
    pub iban: Iban,
    /// The bank, where the number alone does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bic: Option<Bic>,
    /// Who holds the account.
    pub name: String,
}

/// Whoever prints a partner does not print its account.
impl fmt::Debug for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bank({:?})", self.iban)
    }
}

/// An IBAN (ISO 13616) whose check digits are right.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Iban(String);

impl Iban {
    /// The number without spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What may be shown of it: country and last four digits.
    pub fn masked(&self) -> String {
        let country = self.0.get(..2).unwrap_or_default();
        let last = self.0.get(self.0.len().saturating_sub(4)..);
        format!("{country}…{}", last.unwrap_or_default())
    }
}

impl fmt::Debug for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl TryFrom<String> for Iban {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text: String = text.chars().filter(|c| *c != ' ').collect();
        let text = text.to_ascii_uppercase();
        let is_known = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let head = text.as_bytes().get(..4).unwrap_or_default();
        let has_head = matches!(head, [a, b, c, d] if a.is_ascii_uppercase()
            && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit());
        if !(15..=34).contains(&text.len()) || !has_head || !text.bytes().all(is_known) {
            return Err("not an IBAN");
        }
        let (head, rest) = text.split_at(4);
        let digits = rest.chars().chain(head.chars());
        let remainder = digits.fold(0_u32, |so_far, c| {
            let value = c.to_digit(36).unwrap_or(0);
            let shift = if value > 9 { 100_u32 } else { 10 };
            so_far.saturating_mul(shift).saturating_add(value) % 97
        });
        if remainder != 1 {
            return Err("the check digits of the IBAN are wrong");
        }
        Ok(Self(text))
    }
}

impl From<Iban> for String {
    fn from(iban: Iban) -> Self {
        iban.0
    }
}

/// A BIC (ISO 9362): 8 or 11 letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Bic(String);

impl Bic {
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Bic {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim().to_ascii_uppercase();
        let (bank, rest) = text.split_at_checked(6).unwrap_or_default();
        let is_bank = bank.len() == 6 && bank.bytes().all(|b| b.is_ascii_uppercase());
        let is_rest = matches!(rest.len(), 2 | 5)
            && rest
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if is_bank && is_rest {
            Ok(Self(text))
        } else {
            Err("not a BIC: 8 or 11 letters and digits")
        }
    }
}

impl From<Bic> for String {
    fn from(bic: Bic) -> Self {
        bic.0
    }
}

/// How much one payout may recover of what a partner owes: a share of the lines that it pays, as
/// `"50%"`, or an amount in the payout's currency, as `"100.00"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum RecoveryLimit {
    /// A share of the lines that it pays.
    Share(Rate),
    /// An amount.
    Amount(Exact),
}

impl RecoveryLimit {
    /// How much a payout that sends `sent_minor` may recover; it pays lines of both together.
    pub fn most_minor(self, sent_minor: i64, currency: Currency) -> i64 {
        match self {
            Self::Amount(amount) => amount.to_minor(currency).unwrap_or(i64::MAX),
            Self::Share(share) => {
                let share = share.fraction();
                let Some(kept) = rust_decimal::Decimal::ONE.checked_sub(share) else {
                    return 0;
                };
                // recovered ≤ share × (sent + recovered)
                let most = rust_decimal::Decimal::from(sent_minor)
                    .checked_mul(share)
                    .and_then(|part| part.checked_div(kept));
                most.and_then(|most| i64::try_from(most.trunc()).ok())
                    .unwrap_or(i64::MAX)
            }
        }
    }
}

impl TryFrom<String> for RecoveryLimit {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const EXPECTED: &str = "write a share from \"0%\" to \"100%\" or an amount, as \"100.00\"";
        if text.ends_with('%') {
            let share = Rate::from_str(&text).map_err(|_| EXPECTED)?;
            let is_part = (rust_decimal::Decimal::ZERO..=rust_decimal::Decimal::ONE)
                .contains(&share.fraction());
            return is_part.then_some(Self::Share(share)).ok_or(EXPECTED);
        }
        let amount = Exact::parse(&text).filter(|amount| !amount.is_negative());
        amount.map(Self::Amount).ok_or(EXPECTED)
    }
}

impl From<RecoveryLimit> for String {
    fn from(limit: RecoveryLimit) -> Self {
        match limit {
            RecoveryLimit::Share(share) => share.to_string(),
            RecoveryLimit::Amount(amount) => amount.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iban_is_checked_and_shown_in_part_only() {
        let iban = Iban::try_from("DE89 3704 0044 0532 0130 00".to_owned()).expect("an IBAN");
        assert_eq!(iban.as_str(), "DE89370400440532013000");
        assert_eq!(format!("{iban:?}"), "DE…3000");
        for wrong in [
            "DE88370400440532013000",
            "DE89",
            "8937040044053201300000",
            "",
        ] {
            assert!(Iban::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        for (bic, is_one) in [
            ("COBADEFFXXX", true),
            ("COBADEFF", true),
            ("COBADEF", false),
            ("C0BADEFF", false),
        ] {
            assert_eq!(Bic::try_from(bic.to_owned()).is_ok(), is_one, "{bic}");
        }
    }

    #[test]
    fn a_limit_is_a_share_of_what_is_paid_or_an_amount() {
        let most = |text: &str, sent| {
            let limit = RecoveryLimit::try_from(text.to_owned()).expect("a limit");
            limit.most_minor(sent, Currency::USD)
        };
        assert_eq!(most("50%", 2_000), 2_000);
        assert_eq!(most("25%", 3_000), 1_000);
        assert_eq!(most("25%", 2_999), 999);
        assert_eq!(most("0%", 2_000), 0);
        assert_eq!(most("100%", 1), i64::MAX);
        assert_eq!(most("7.50", 2_000), 750);
        for wrong in ["101%", "-1%", "-5", "half", ""] {
            assert!(
                RecoveryLimit::try_from(wrong.to_owned()).is_err(),
                "{wrong}"
            );
        }
    }
}
