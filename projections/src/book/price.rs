//! What the advertiser owes for a conversion, where the terms state its price.

use std::sync::Arc;

use postbook_schemas::Slug;

use super::{
    Book,
    approval::standing,
    earn::{Lines, is_taken_back},
    seen::Seen,
};
use crate::{
    conditions::unmet,
    numbers::ConversionNumber,
    posted::{Owed, PostedLine, Standing},
    pricing::price_currency,
    rows::Memo,
};

impl Book {
    /// The prices of a conversion that is credited to a partner, by the terms of that partner.
    pub(super) fn price_lines(
        &mut self,
        number: ConversionNumber,
        partner: &Slug,
        seen: &mut Seen,
        lines: &mut Lines,
    ) {
        let conversion = self.conversion(number);
        let Some(terms) = self
            .terms_of(conversion, partner)
            .filter(|it| !it.prices.is_empty())
        else {
            return;
        };
        let situation = self.situation(number, seen);
        let refused = situation
            .status
            .is_some_and(|since| is_taken_back(since.status));
        let mut groups_taken = std::collections::BTreeSet::new();
        for rule in &terms.prices {
            let conversion = self.conversion(number);
            let around = self.around(conversion);
            let click = self.visit_of(conversion);
            let taken = rule
                .group
                .as_ref()
                .is_some_and(|group| groups_taken.contains(group));
            if rule.on != conversion.kind
                || taken
                || unmet(&rule.when, conversion, click, &around).is_some()
            {
                continue;
            }
            groups_taken.extend(rule.group.as_ref());
            let offer_currency = self.programme.offer_currency(&conversion.offer);
            let currency = price_currency(rule, conversion, offer_currency);
            let occurred_at = conversion.occurred_at();
            let left = self.left(rule, number, &situation);
            let given = self.priced(rule, number, currency, &left, None);
            lines.posted.push(PostedLine {
                rule: format!("price:{}", rule.id).into(),
                terms_version: Arc::clone(&terms.version),
                partner: partner.clone(),
                currency,
                amount_minor: if refused { 0 } else { given.net_minor },
                standing: if self.awaits_rate(rule, number, &situation) {
                    Standing::Pending { approves: None }
                } else {
                    standing(rule, situation.status, occurred_at)
                },
                memo: Memo::default(),
                carried_minor: 0,
                payout_id: None,
                owed: Owed::ByAdvertiser,
                carry: None,
            });
        }
    }
}
