-- The tables for reading: hexadecimal ids, RFC 3339 times.
CREATE VIEW conversions_view AS
SELECT lower(hex(id)) AS id, position, offer, kind, txn_id, click_id, customer_id, coupon_code,
       partner, attributed_by, attribution_reason, status,
       strftime('%Y-%m-%dT%H:%M:%fZ', approves_at / 1e6, 'unixepoch') AS approves_at,
       amount_minor, refunded_minor, charged_back_minor, currency,
       strftime('%Y-%m-%dT%H:%M:%fZ', occurred_at / 1e6, 'unixepoch') AS occurred_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', recorded_at / 1e6, 'unixepoch') AS recorded_at,
       sandbox
FROM conversions;
CREATE VIEW earnings_view AS
SELECT lower(hex(c.id)) AS conversion_id, c.offer, c.kind, e.line, e.rule, e.terms_version, e.partner,
       e.amount_minor, e.currency, e.state, e.reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.available_at / 1e6, 'unixepoch') AS available_at,
       e.earned_minor, e.reversed_minor, e.clawed_back_minor, e.recovered_minor, e.written_off_minor, e.carried_minor,
       lower(hex(e.payout_id)) AS payout_id
FROM earnings e JOIN conversions c ON c.position = e.conversion_position;
CREATE VIEW entries_view AS
SELECT p.number, e.side, p.kind, a.name AS account, e.amount_minor, e.currency, p.partner, p.rule,
       lower(hex(p.conversion_id)) AS conversion_id, p.cause, p.period, p.corrects,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.effective_at / 1e6, 'unixepoch') AS effective_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.recorded_at / 1e6, 'unixepoch') AS recorded_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.available_at / 1e6, 'unixepoch') AS available_at
FROM entries e JOIN postings p ON p.number = e.posting JOIN accounts a ON a.id = e.account_id;
CREATE VIEW carryovers_view AS
SELECT lower(hex(id)) AS id, partner, currency, offer, month, amount_minor,
       strftime('%Y-%m-%dT%H:%M:%fZ', ends_at / 1e6, 'unixepoch') AS ends_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', available_at / 1e6, 'unixepoch') AS available_at
FROM carryovers;
CREATE VIEW attempts_view AS
SELECT position, lower(hex(id)) AS id, outcome, fact_type, offer, click_id, txn_id, customer_id,
       event_id, event, field, detail, differs, endpoint, address,
       strftime('%Y-%m-%dT%H:%M:%fZ', recorded_at / 1e6, 'unixepoch') AS recorded_at
FROM attempts;
CREATE VIEW payouts_view AS
SELECT lower(hex(id)) AS id, partner, currency, amount_minor, recovered_minor, line_count, state,
       reference,
       strftime('%Y-%m-%dT%H:%M:%fZ', proposed_at / 1e6, 'unixepoch') AS proposed_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at / 1e6, 'unixepoch') AS changed_at
FROM payouts;
