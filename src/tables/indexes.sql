-- Ways into the tables. Made last when the tables are built from nothing: sorting once is cheaper
-- than keeping order row by row. Partial where most rows have nothing to find.
CREATE UNIQUE INDEX conversions_id ON conversions (id);
CREATE INDEX conversions_txn_id ON conversions (txn_id) WHERE txn_id IS NOT NULL;
CREATE INDEX conversions_click_id ON conversions (click_id) WHERE click_id IS NOT NULL;
CREATE INDEX conversions_customer_id ON conversions (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX conversions_partner ON conversions (partner, position);
CREATE INDEX conversions_occurred_at ON conversions (occurred_at);
CREATE INDEX attempts_txn_id ON attempts (txn_id) WHERE txn_id IS NOT NULL;
CREATE INDEX attempts_click_id ON attempts (click_id) WHERE click_id IS NOT NULL;
CREATE INDEX attempts_customer_id ON attempts (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX attempts_event_id ON attempts (event_id) WHERE event_id IS NOT NULL;
-- SQLite takes a partial index only if the query repeats its condition word for word.
CREATE INDEX attempts_outcome ON attempts (outcome, position) WHERE outcome <> 'accepted';
-- What one offer refused, also while another is flooded with forgeries.
CREATE INDEX attempts_offer ON attempts (offer, outcome, position) WHERE outcome <> 'accepted';
CREATE INDEX attempts_differs ON attempts (position) WHERE differs = 1;
CREATE INDEX postings_conversion_id ON postings (conversion_id) WHERE conversion_id IS NOT NULL;
CREATE INDEX postings_partner ON postings (partner, number);
CREATE INDEX postings_period ON postings (period);
-- When the money of a payout left or came back, and what was clawed back of it: few.
CREATE INDEX postings_payout_id ON postings (payout_id) WHERE payout_id IS NOT NULL;
-- What took or takes effect after it was recorded: little of it is still to come.
CREATE INDEX postings_ahead ON postings (partner, effective_at) WHERE effective_at > recorded_at;
-- Balances of the past read this one only: the lines of one account, with all that a sum asks for.
CREATE INDEX entries_account ON entries
    (account_id, currency, effective_at, recorded_at, available_at, amount_minor);
-- What is or was held, by when it is payable.
CREATE INDEX entries_held ON entries (account_id, available_at, effective_at, currency, amount_minor)
    WHERE available_at > recorded_at;
-- Lines that a payout would have to settle: few, since what is paid carries what it earns.
CREATE INDEX earnings_due ON earnings (partner, currency)
    WHERE amount_minor + written_off_minor <> carried_minor;
-- Debts: few.
CREATE INDEX earnings_clawed_back ON earnings (partner, currency) WHERE clawed_back_minor <> 0;
CREATE UNIQUE INDEX payouts_id ON payouts (id);
CREATE INDEX payouts_partner ON payouts (partner, position);
CREATE INDEX payout_lines_subject ON payout_lines (subject_id);
CREATE INDEX adjustments_partner ON adjustments (partner);
CREATE INDEX carryovers_partner ON carryovers (partner);
CREATE INDEX parked_waiting ON parked (position) WHERE waiting = 1;
CREATE UNIQUE INDEX statements_id ON statements (id);
CREATE INDEX statements_partner ON statements (partner, position);
