-- Ways into the tables. Made last when the tables are built from nothing: sorting once is cheaper
-- than keeping order row by row. A rebuild that was interrupted keeps those that were made. Partial
-- where most rows have nothing to find.
CREATE UNIQUE INDEX IF NOT EXISTS conversions_id ON conversions (id);
CREATE INDEX IF NOT EXISTS conversions_txn_id ON conversions (txn_id) WHERE txn_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS conversions_click_id ON conversions (click_id) WHERE click_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS conversions_customer_id ON conversions (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS conversions_partner ON conversions (partner, position);
CREATE INDEX IF NOT EXISTS conversions_occurred_at ON conversions (occurred_at);
CREATE INDEX IF NOT EXISTS attempts_txn_id ON attempts (txn_id) WHERE txn_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS attempts_click_id ON attempts (click_id) WHERE click_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS attempts_customer_id ON attempts (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS attempts_event_id ON attempts (event_id) WHERE event_id IS NOT NULL;
-- SQLite takes a partial index only if the query repeats its condition word for word.
CREATE INDEX IF NOT EXISTS attempts_outcome ON attempts (outcome, position) WHERE outcome <> 'accepted';
-- What one offer refused, also while another is flooded with forgeries.
CREATE INDEX IF NOT EXISTS attempts_offer ON attempts (offer, outcome, position) WHERE outcome <> 'accepted';
CREATE INDEX IF NOT EXISTS attempts_differs ON attempts (position) WHERE differs = 1;
CREATE INDEX IF NOT EXISTS postings_conversion_id ON postings (conversion_id) WHERE conversion_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS postings_partner ON postings (partner, number);
-- Balances read this one only: the lines of one account, with all that a sum over them asks for.
CREATE INDEX IF NOT EXISTS entries_account ON entries
    (account_id, currency, effective_at, recorded_at, available_at, amount_minor);
-- Lines that a payout would have to settle: few, since what is paid carries what it earns.
CREATE INDEX IF NOT EXISTS earnings_due ON earnings (partner, currency) WHERE amount_minor <> carried_minor;
-- Debts: few.
CREATE INDEX IF NOT EXISTS earnings_clawed_back ON earnings (partner, currency) WHERE clawed_back_minor <> 0;
CREATE UNIQUE INDEX IF NOT EXISTS payouts_id ON payouts (id);
CREATE INDEX IF NOT EXISTS payouts_partner ON payouts (partner, position);
CREATE INDEX IF NOT EXISTS payout_lines_subject ON payout_lines (subject_id);
CREATE INDEX IF NOT EXISTS adjustments_partner ON adjustments (partner);
CREATE INDEX IF NOT EXISTS parked_waiting ON parked (position) WHERE waiting = 1;
CREATE UNIQUE INDEX IF NOT EXISTS statements_id ON statements (id);
CREATE INDEX IF NOT EXISTS statements_partner ON statements (partner, position);
