//! The fields that intake knows, by name.

use postbook_schemas::mapping::Field;

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)+) => {
        /// A field that intake knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Name {
            $($(#[$doc])* $variant,)+
        }

        impl Name {
            /// All fields.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name of the parameter.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The field with this parameter name.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

names! {
    /// The click id that was handed on.
    ClickId = "click_id";
    /// The kind of event.
    Event = "event";
    /// Money in major units.
    Amount = "amount";
    /// Money in minor units.
    Value = "value";
    /// The currency of the money.
    Currency = "currency";
    /// The advertiser's id of the transaction.
    TxnId = "txn_id";
    /// The advertiser's id of this very event.
    EventId = "event_id";
    /// The advertiser's id of the customer.
    CustomerId = "customer_id";
    /// The status of the conversion.
    Status = "status";
    /// Commission that the advertiser calculated, in major units.
    Payout = "payout";
    /// Lots or units.
    Quantity = "quantity";
    /// The coupon that was used.
    CouponCode = "coupon_code";
    /// Passed through.
    Sub1 = "sub1";
    /// Passed through.
    Sub2 = "sub2";
    /// Passed through.
    Sub3 = "sub3";
    /// Passed through.
    Sub4 = "sub4";
    /// Passed through.
    Sub5 = "sub5";
    /// When it happened.
    Timestamp = "timestamp";
    /// The offer, on `/postback`.
    Offer = "offer";
    /// The offer's secret, on its endpoint.
    Secret = "secret";
    /// Whether it is a test, which takes a manager's token.
    Test = "test";
}

impl Name {
    /// The field that a mapping calls so; `None` for the signature, which is over what is said and
    /// says nothing itself.
    pub fn of_field(field: Field) -> Option<Self> {
        Some(match field {
            Field::ClickId => Self::ClickId,
            Field::Event => Self::Event,
            Field::Amount => Self::Amount,
            Field::Value => Self::Value,
            Field::Currency => Self::Currency,
            Field::TxnId => Self::TxnId,
            Field::EventId => Self::EventId,
            Field::CustomerId => Self::CustomerId,
            Field::Status => Self::Status,
            Field::Payout => Self::Payout,
            Field::Quantity => Self::Quantity,
            Field::CouponCode => Self::CouponCode,
            Field::Sub1 => Self::Sub1,
            Field::Sub2 => Self::Sub2,
            Field::Sub3 => Self::Sub3,
            Field::Sub4 => Self::Sub4,
            Field::Sub5 => Self::Sub5,
            Field::Timestamp => Self::Timestamp,
            Field::Secret => Self::Secret,
            Field::Test => Self::Test,
            Field::Signature => return None,
        })
    }

    /// Whether it is an id by which conversions are found.
    pub fn is_reference(self) -> bool {
        matches!(
            self,
            Self::ClickId | Self::TxnId | Self::EventId | Self::CustomerId | Self::CouponCode
        )
    }
}

/// The fields that are passed through.
pub const SUBS: [Name; 5] = [Name::Sub1, Name::Sub2, Name::Sub3, Name::Sub4, Name::Sub5];
