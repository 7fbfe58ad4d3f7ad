//! What happened at the advertiser: the kinds of event and the words for them (SPEC 18).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fact::FactType;

/// A kind of conversion: something that may earn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub enum Kind {
    /// A customer signed up.
    Registration,
    /// A form was submitted.
    Lead,
    /// An app was installed.
    Install,
    /// A customer's identity was verified.
    Kyc,
    /// First-time deposit.
    Ftd,
    /// A further deposit.
    Deposit,
    /// An order; also `purchase`, `order`, `conversion`.
    Sale,
    /// A subscription started.
    Subscription,
    /// A subscription was renewed.
    Renewal,
    /// Net revenue of a period, often a day; may be negative.
    Revenue,
    /// A trade, usually with a quantity of lots.
    Trade,
    /// A challenge of a proprietary trading firm was bought.
    ChallengePurchase,
    /// A dormant customer came back.
    Reactivation,
    /// A goal that the offer declares.
    Goal(String),
}

impl Kind {
    /// The built-in kinds, in the order of SPEC 18.
    pub const BUILT_IN: &'static [Self] = &[
        Self::Registration,
        Self::Lead,
        Self::Install,
        Self::Kyc,
        Self::Ftd,
        Self::Deposit,
        Self::Sale,
        Self::Subscription,
        Self::Renewal,
        Self::Revenue,
        Self::Trade,
        Self::ChallengePurchase,
        Self::Reactivation,
    ];

    /// The word used in facts, terms and answers.
    pub fn code(&self) -> &str {
        match self {
            Self::Registration => "registration",
            Self::Lead => "lead",
            Self::Install => "install",
            Self::Kyc => "kyc",
            Self::Ftd => "ftd",
            Self::Deposit => "deposit",
            Self::Sale => "sale",
            Self::Subscription => "subscription",
            Self::Renewal => "renewal",
            Self::Revenue => "revenue",
            Self::Trade => "trade",
            Self::ChallengePurchase => "challenge_purchase",
            Self::Reactivation => "reactivation",
            Self::Goal(name) => name,
        }
    }

    /// The kind with this code; any other word is a goal.
    pub fn from_code(code: &str) -> Self {
        Self::built_in(code).unwrap_or_else(|| Self::Goal(code.to_owned()))
    }

    /// The built-in kind that a word means, synonyms included.
    pub fn built_in(word: &str) -> Option<Self> {
        Some(match word {
            "registration" => Self::Registration,
            "lead" => Self::Lead,
            "install" => Self::Install,
            "kyc" => Self::Kyc,
            "ftd" => Self::Ftd,
            "deposit" => Self::Deposit,
            "sale" | "purchase" | "order" | "conversion" => Self::Sale,
            "subscription" => Self::Subscription,
            "renewal" => Self::Renewal,
            "revenue" => Self::Revenue,
            "trade" => Self::Trade,
            "challenge_purchase" => Self::ChallengePurchase,
            "reactivation" => Self::Reactivation,
            _ => return None,
        })
    }

    /// Whether it happens once per click or customer, so that it can be told apart without an id
    /// of its own (SPEC 3.4).
    pub fn happens_once(&self) -> bool {
        matches!(
            self,
            Self::Registration | Self::Ftd | Self::Lead | Self::Install | Self::Kyc
        )
    }

    /// The type of the fact that reports it.
    pub fn fact_type(&self) -> FactType {
        match self {
            Self::Registration => FactType::RegistrationReported,
            Self::Ftd => FactType::FtdReported,
            Self::Deposit
            | Self::Sale
            | Self::Subscription
            | Self::Renewal
            | Self::Revenue
            | Self::Trade => FactType::RevenueReported,
            Self::Lead | Self::Install | Self::Kyc | Self::ChallengePurchase | Self::Goal(_) => {
                FactType::GoalReported
            }
            Self::Reactivation => FactType::ReactivationReported,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Ok(Self::from_code(&code))
    }
}

/// A change to a conversion that was reported before (or will be).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Money went back to the customer.
    Refund,
    /// The customer's bank took the money back.
    Chargeback,
    /// The advertiser won the chargeback.
    ChargebackWon,
    /// The advertiser changed the status.
    Status,
}

impl Change {
    /// The word used in facts and answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::Chargeback => "chargeback",
            Self::ChargebackWon => "chargeback_won",
            Self::Status => "status",
        }
    }

    /// The type of the fact that reports it.
    pub const fn fact_type(self) -> FactType {
        match self {
            Self::Refund => FactType::RefundReported,
            Self::Chargeback => FactType::ChargebackReported,
            Self::ChargebackWon => FactType::ChargebackWon,
            Self::Status => FactType::StatusChanged,
        }
    }
}

/// Misbehaviour of a customer, which takes back what the customer earned for a partner.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Abuse {
    /// A bonus was abused.
    BonusAbuse,
    /// The customer is a fraud.
    Fraud,
    /// The advertiser closed the account.
    AccountClosed,
}

impl Abuse {
    /// The word used in facts and answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BonusAbuse => "bonus_abuse",
            Self::Fraud => "fraud",
            Self::AccountClosed => "account_closed",
        }
    }
}

/// What a postback's `event` word means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A conversion is reported.
    Report(Kind),
    /// A conversion changes.
    Change(Change),
    /// A customer misbehaved.
    Abuse(Abuse),
}

impl Event {
    /// The event that a word means at an offer that declares `goals`; `None` for a word that is
    /// neither built in nor declared. Upper and lower case do not matter.
    pub fn parse(word: &str, goals: &[String]) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        if let Some(kind) = Kind::built_in(&word) {
            return Some(Self::Report(kind));
        }
        Some(match word.as_str() {
            "refund" => Self::Change(Change::Refund),
            "chargeback" => Self::Change(Change::Chargeback),
            "chargeback_won" => Self::Change(Change::ChargebackWon),
            "status" => Self::Change(Change::Status),
            "bonus_abuse" => Self::Abuse(Abuse::BonusAbuse),
            "fraud" => Self::Abuse(Abuse::Fraud),
            "account_closed" => Self::Abuse(Abuse::AccountClosed),
            _ => {
                let goal = goals.iter().find(|goal| goal.eq_ignore_ascii_case(&word))?;
                Self::Report(Kind::Goal(goal.clone()))
            }
        })
    }
}
