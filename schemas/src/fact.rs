//! The list of facts: what can be in the log (SPEC 2).

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{
    Attempt, Outcome,
    configuration::{
        Brand, Coupon, CredentialRotated, Endpoint, FxRate, Link, Offer, Partner, TermsPublished,
    },
    decision::{
        AdjustmentDeclined, AdjustmentPosted, AdjustmentProposed, AttributionCorrected,
        BalanceWrittenOff, ConversionDecided, DisputeCommented, DisputeOpened, DisputeResolved,
        PeriodClosed, ReconciliationRecorded, ReconciliationResolved,
    },
    derivation::DerivationAdopted,
    mapping::Mapping,
    outbound::Delivery,
    payout::{PayoutMoved, PayoutProposed},
    postback::{AbuseReport, ChangeReport, References, Rejected, Repeated, Report},
    statement::StatementIssued,
    traffic::Click,
    whatif::WhatifAdopted,
};

/// Why a kept line cannot be read.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The line is not an envelope.
    #[error("not an envelope: {0}")]
    Envelope(#[source] serde_json::Error),
    /// The type is not known to this version of the program.
    #[error("unknown fact type `{0}`")]
    UnknownType(String),
    /// The version of the type's schema is not known to this version of the program.
    #[error("unknown version {version} of `{fact_type}`")]
    UnknownVersion {
        /// The type.
        fact_type: &'static str,
        /// The version.
        version: u32,
    },
    /// The data does not fit the type.
    #[error("data of `{fact_type}`: {source}")]
    Data {
        /// The type.
        fact_type: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
}

macro_rules! facts {
    ($($(#[$doc:meta])* $variant:ident($data:ident) = $name:literal;)+) => {
        /// The type of a fact.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FactType {
            $($(#[$doc])* $variant,)+
        }

        impl FactType {
            /// All types, in the order of SPEC 2 and then of their addition: stores keep their places
            /// as bits.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in the log.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The type with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// The JSON Schema of its data.
            pub fn data_schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self {
                    $(Self::$variant => <$data as JsonSchema>::json_schema(generator),)+
                }
            }
        }

        /// A fact: past tense, never edited, never deleted.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Fact {
            $($(#[$doc])* $variant($data),)+
        }

        impl Fact {
            /// Its type.
            pub fn fact_type(&self) -> FactType {
                match self {
                    $(Self::$variant(_) => FactType::$variant,)+
                }
            }

            /// Its data as JSON.
            ///
            /// # Panics
            /// Never: every fact can be written as JSON.
            pub fn to_json(&self) -> Vec<u8> {
                // Most facts fit: a buffer that grows copies what it holds.
                let mut json = Vec::with_capacity(1_024);
                match self {
                    $(Self::$variant(data) => serde_json::to_writer(&mut json, data),)+
                }
                .expect("facts hold texts, numbers and lists, which JSON can write");
                json
            }

            fn read(fact_type: FactType, data: &RawValue) -> Result<Self, serde_json::Error> {
                match fact_type {
                    $(FactType::$variant => serde_json::from_str(data.get()).map(Self::$variant),)+
                }
            }
        }
    };
}

facts! {
    /// A link was followed.
    ClickRecorded(Click) = "click.recorded";
    /// A customer registered.
    RegistrationReported(Report) = "registration.reported";
    /// A customer deposited for the first time.
    FtdReported(Report) = "ftd.reported";
    /// A sale, deposit, trade or net revenue.
    RevenueReported(Report) = "revenue.reported";
    /// A lead, install, verification, challenge purchase or declared goal.
    GoalReported(Report) = "goal.reported";
    /// A dormant customer came back.
    ReactivationReported(Report) = "reactivation.reported";
    /// Money went back to the customer.
    RefundReported(ChangeReport) = "refund.reported";
    /// The customer's bank took the money back.
    ChargebackReported(ChangeReport) = "chargeback.reported";
    /// The advertiser won the chargeback.
    ChargebackWon(ChangeReport) = "chargeback.won";
    /// A customer misbehaved.
    AbuseReported(AbuseReport) = "abuse.reported";
    /// The advertiser changed a conversion's status.
    StatusChanged(ChangeReport) = "status.changed";
    /// An attempt was refused.
    PostbackRejected(Rejected) = "postback.rejected";
    /// An attempt repeated an earlier one.
    PostbackRepeated(Repeated) = "postback.repeated";
    /// A person corrected who is credited.
    AttributionCorrected(AttributionCorrected) = "attribution.corrected";
    /// A person posted an amount that no conversion explains.
    AdjustmentPosted(AdjustmentPosted) = "adjustment.posted";
    /// A manager decided about a conversion.
    ConversionDecided(ConversionDecided) = "conversion.decided";
    /// A dispute was opened.
    DisputeOpened(DisputeOpened) = "dispute.opened";
    /// Somebody commented on a dispute.
    DisputeCommented(DisputeCommented) = "dispute.commented";
    /// A dispute was resolved.
    DisputeResolved(DisputeResolved) = "dispute.resolved";
    /// A month was closed.
    PeriodClosed(PeriodClosed) = "period.closed";
    /// A payout was proposed.
    PayoutProposed(PayoutProposed) = "payout.proposed";
    /// A second person approved a payout.
    PayoutApproved(PayoutMoved) = "payout.approved";
    /// A payout was handed to the bank.
    PayoutSent(PayoutMoved) = "payout.sent";
    /// A payout arrived.
    PayoutSettled(PayoutMoved) = "payout.settled";
    /// A payout could not be made.
    PayoutFailed(PayoutMoved) = "payout.failed";
    /// A payout came back.
    PayoutReturned(PayoutMoved) = "payout.returned";
    /// A partner's debt was given up.
    BalanceWrittenOff(BalanceWrittenOff) = "balance.written_off";
    /// An advertiser's file was compared.
    ReconciliationRecorded(ReconciliationRecorded) = "reconciliation.recorded";
    /// A line of a comparison was resolved.
    ReconciliationResolved(ReconciliationResolved) = "reconciliation.resolved";
    /// An exchange rate became known.
    FxRateRecorded(FxRate) = "fx_rate.recorded";
    /// A brand was defined.
    BrandDefined(Brand) = "brand.defined";
    /// An offer was defined.
    OfferDefined(Offer) = "offer.defined";
    /// A partner was defined.
    PartnerDefined(Partner) = "partner.defined";
    /// A link was defined.
    LinkDefined(Link) = "link.defined";
    /// A coupon was defined.
    CouponDefined(Coupon) = "coupon.defined";
    /// A mapping was defined.
    MappingDefined(Mapping) = "mapping.defined";
    /// A partner's endpoint was defined.
    EndpointDefined(Endpoint) = "endpoint.defined";
    /// Terms were published.
    TermsPublished(TermsPublished) = "terms.published";
    /// A token or secret was made or replaced.
    CredentialRotated(CredentialRotated) = "credential.rotated";
    /// A postback to a partner arrived.
    DeliverySucceeded(Delivery) = "delivery.succeeded";
    /// A postback to a partner failed and will be tried again.
    DeliveryFailed(Delivery) = "delivery.failed";
    /// A postback to a partner was given up.
    DeliveryAbandoned(Delivery) = "delivery.abandoned";
    /// A partner was told about a closed month.
    StatementIssued(StatementIssued) = "statement.issued";
    /// A person proposed an amount that a second one has to agree to.
    AdjustmentProposed(AdjustmentProposed) = "adjustment.proposed";
    /// A person declined what another proposed, or took it back.
    AdjustmentDeclined(AdjustmentDeclined) = "adjustment.declined";
    /// A second person made the definitions of a what-if hold.
    WhatifAdopted(WhatifAdopted) = "whatif.adopted";
    /// A version of the derivation came into force.
    DerivationAdopted(DerivationAdopted) = "derivation.adopted";
}

impl FactType {
    /// The version of its schema that is written now. Older versions stay readable: `Fact::decode`
    /// is where they are brought up to date.
    pub const fn version(self) -> u32 {
        1
    }
}

impl Fact {
    /// Reads the data of a fact of any version ever written.
    ///
    /// # Errors
    /// The type or version is not known, or the data does not fit it.
    pub fn decode(name: &str, version: u32, data: &RawValue) -> Result<Self, DecodeError> {
        let fact_type =
            FactType::from_name(name).ok_or_else(|| DecodeError::UnknownType(name.to_owned()))?;
        if version != fact_type.version() {
            return Err(DecodeError::UnknownVersion {
                fact_type: fact_type.name(),
                version,
            });
        }
        Self::read(fact_type, data).map_err(|source| DecodeError::Data {
            fact_type: fact_type.name(),
            source,
        })
    }

    /// The report, if it is one of the five facts that report a conversion.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an accessor: any other fact is none of these"
    )]
    pub fn as_report(&self) -> Option<&Report> {
        match self {
            Self::RegistrationReported(report)
            | Self::FtdReported(report)
            | Self::RevenueReported(report)
            | Self::GoalReported(report)
            | Self::ReactivationReported(report) => Some(report),
            _ => None,
        }
    }

    /// The fact of a report.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other kinds all report revenue"
    )]
    pub fn of_report(report: Report) -> Self {
        match report.kind.fact_type() {
            FactType::RegistrationReported => Self::RegistrationReported(report),
            FactType::FtdReported => Self::FtdReported(report),
            FactType::GoalReported => Self::GoalReported(report),
            FactType::ReactivationReported => Self::ReactivationReported(report),
            _ => Self::RevenueReported(report),
        }
    }

    /// The attempt that it came as, if it came as a postback.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an accessor: any other fact is none of these"
    )]
    pub fn attempt(&self) -> Option<&Attempt> {
        if let Some(report) = self.as_report() {
            return Some(&report.attempt);
        }
        if let Some(change) = self.as_change() {
            return Some(&change.attempt);
        }
        match self {
            Self::AbuseReported(report) => Some(&report.attempt),
            Self::PostbackRejected(rejected) => Some(&rejected.attempt),
            Self::PostbackRepeated(repeated) => Some(&repeated.attempt),
            _ => None,
        }
    }

    /// What became of the attempt, if the fact is about one.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an accessor: any other fact is none of these"
    )]
    pub fn outcome(&self) -> Option<Outcome> {
        let report = self.as_report().map(|report| report.outcome);
        let change = self.as_change().map(|change| change.outcome);
        match self {
            Self::AbuseReported(report) => Some(report.outcome),
            Self::PostbackRejected(rejected) => Some(rejected.outcome),
            Self::PostbackRepeated(repeated) => Some(repeated.outcome),
            _ => report.or(change),
        }
    }

    /// What an attempt referred to, if the fact is about one.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an accessor: any other fact is none of these"
    )]
    pub fn references(&self) -> Option<&References> {
        let report = self.as_report().map(|report| &report.references);
        let change = self.as_change().map(|change| &change.references);
        match self {
            Self::AbuseReported(report) => Some(&report.references),
            Self::PostbackRejected(rejected) => Some(&rejected.references),
            Self::PostbackRepeated(repeated) => Some(&repeated.references),
            _ => report.or(change),
        }
    }

    /// The change, if it is one of the four facts that change a conversion.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "an accessor: any other fact is none of these"
    )]
    pub fn as_change(&self) -> Option<&ChangeReport> {
        match self {
            Self::RefundReported(change)
            | Self::ChargebackReported(change)
            | Self::ChargebackWon(change)
            | Self::StatusChanged(change) => Some(change),
            _ => None,
        }
    }

    /// The fact of a change.
    pub fn of_change(change: ChangeReport) -> Self {
        match change.change {
            crate::Change::Refund => Self::RefundReported(change),
            crate::Change::Chargeback => Self::ChargebackReported(change),
            crate::Change::ChargebackWon => Self::ChargebackWon(change),
            crate::Change::Status => Self::StatusChanged(change),
        }
    }
}
