-- The read models: what the facts mean, as tables that people and programs may query.
--
-- All of it derives from the log, so this file may be deleted at any time; it is then built again.
-- Amounts are whole minor units (cents) of the currency in the same row. Instants are microseconds
-- since 1970 UTC as integers: they compare, sort and sum without parsing, they take half the room of
-- a text, and every BI tool turns them into dates. The views at the end show the same rows with
-- RFC 3339 times, ids in hexadecimal and major names, for people who would rather read than compute.
-- Ids of facts are the 16 bytes of their UUID.

-- One row: how far the log has been followed, and what the content adds up to (docs: digest).
CREATE TABLE meta (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    format      BIGINT NOT NULL, -- of tables and digest; another number means: build again
    generation  BIGINT NOT NULL,
    position    BIGINT NOT NULL, -- all facts up to here are in these tables
    digest      BLOB   NOT NULL,
    stopped_at  BIGINT,          -- the fact that could not be folded, if there is one
    stopped_why TEXT
);

-- Every postback attempt, whatever became of it. Only ever added.
CREATE TABLE attempts (
    position    INTEGER PRIMARY KEY, -- of its fact
    id          BLOB   NOT NULL,
    outcome     TEXT   NOT NULL,
    fact_type   TEXT   NOT NULL,
    offer       TEXT,
    click_id    TEXT,
    txn_id      TEXT,
    customer_id TEXT,
    event_id    TEXT,
    event       TEXT,
    field       TEXT,
    detail      TEXT,
    differs     BIGINT NOT NULL, -- 1: a repeat that says something else than the first
    endpoint    TEXT   NOT NULL,
    address     TEXT,
    recorded_at BIGINT NOT NULL
);

-- Conversions as they stand. Keyed by the position of the fact that first reported them rather than
-- by its id: new rows then always go to the end.
CREATE TABLE conversions (
    position            INTEGER PRIMARY KEY,
    id                  BLOB    NOT NULL,
    offer               TEXT    NOT NULL,
    kind                TEXT    NOT NULL,
    txn_id              TEXT,
    click_id            TEXT,
    customer_id         TEXT,
    coupon_code         TEXT,
    partner             TEXT,
    attributed_by       TEXT,
    attributed_click_id TEXT,
    attribution_reason  TEXT    NOT NULL,
    losers              TEXT    NOT NULL, -- JSON: candidates that lost, and why
    status              TEXT    NOT NULL,
    approves_at         BIGINT,           -- from then on a pending one counts as approved
    amount_minor        BIGINT,
    refunded_minor      BIGINT  NOT NULL,
    over_refunded_minor BIGINT  NOT NULL,
    charged_back_minor  BIGINT  NOT NULL,
    currency            TEXT    NOT NULL,
    occurred_at         BIGINT  NOT NULL,
    recorded_at         BIGINT  NOT NULL,
    sandbox             BIGINT  NOT NULL
);

-- What each rule gives for each conversion.
CREATE TABLE earnings (
    conversion_position BIGINT NOT NULL,
    line                BIGINT NOT NULL,
    rule                TEXT,
    terms_version       TEXT,
    partner             TEXT,
    amount_minor        BIGINT NOT NULL,
    currency            TEXT,
    state               TEXT   NOT NULL,
    reason              TEXT,
    available_at        BIGINT,
    earned_minor        BIGINT NOT NULL,
    reversed_minor      BIGINT NOT NULL,
    clawed_back_minor   BIGINT NOT NULL,
    recovered_minor     BIGINT NOT NULL,
    written_off_minor   BIGINT NOT NULL,
    carried_minor       BIGINT NOT NULL,
    payout_id           BLOB,
    PRIMARY KEY (conversion_position, line)
) WITHOUT ROWID;

-- Balanced double-entry movements. Only ever added, so any past balance is a sum over these.
CREATE TABLE postings (
    number            INTEGER PRIMARY KEY,
    cause             BIGINT NOT NULL, -- position of the fact
    kind              TEXT   NOT NULL,
    conversion_id     BLOB,
    rule              TEXT,
    terms_version     TEXT,
    partner           TEXT   NOT NULL,
    currency          TEXT   NOT NULL,
    payout_id         BLOB,
    effective_at      BIGINT NOT NULL,
    recorded_at       BIGINT NOT NULL,
    period            TEXT   NOT NULL, -- the month in whose books it stands
    corrects          TEXT,            -- the closed month in which it takes effect
    earned_minor      BIGINT NOT NULL, -- from here on: what it does to the memo totals
    reversed_minor    BIGINT NOT NULL,
    clawed_back_minor BIGINT NOT NULL,
    recovered_minor   BIGINT NOT NULL,
    written_off_minor BIGINT NOT NULL,
    adjusted_minor    BIGINT NOT NULL,
    paid_minor        BIGINT NOT NULL
);

-- The sides of postings: debit positive, credit negative. Currency and times are those of the
-- posting, repeated so that a balance reads one index and nothing else.
CREATE TABLE entries (
    posting      BIGINT NOT NULL,
    side         BIGINT NOT NULL,
    account_id   BIGINT NOT NULL,
    currency     TEXT   NOT NULL,
    amount_minor BIGINT NOT NULL,
    available_at BIGINT,
    effective_at BIGINT NOT NULL,
    recorded_at  BIGINT NOT NULL,
    PRIMARY KEY (posting, side)
) WITHOUT ROWID;

-- Accounts, numbered in the order in which they are first used.
CREATE TABLE accounts (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    kind    TEXT NOT NULL, -- pending, approved, commission, payout_clearing, write_off, adjustment,
                           -- carryover_reset, receivable, income
    partner TEXT,
    offer   TEXT
);

-- All that was ever posted for a partner, added up as it is posted. What the partner has coming is
-- positive. NULL: too far from zero to be kept; the postings still say it.
CREATE TABLE balance_totals (
    partner           TEXT   NOT NULL,
    currency          TEXT   NOT NULL,
    recorded_at       BIGINT NOT NULL, -- of the last of them: balances from then on are read from here
    posting_count     BIGINT NOT NULL,
    pending_minor     BIGINT,
    approved_minor    BIGINT,
    earned_minor      BIGINT,
    reversed_minor    BIGINT,
    clawed_back_minor BIGINT,
    recovered_minor   BIGINT,
    written_off_minor BIGINT,
    adjusted_minor    BIGINT,
    paid_minor        BIGINT,
    PRIMARY KEY (partner, currency)
) WITHOUT ROWID;

-- What of these totals was still to come when it was recorded: by the hour in which it takes effect, and
-- of what is approved, by the hour from which it is payable. A balance is the total less later hours.
CREATE TABLE balance_hours (
    partner           TEXT   NOT NULL,
    currency          TEXT   NOT NULL,
    hour              BIGINT NOT NULL, -- its first instant
    posting_count     BIGINT NOT NULL,
    pending_minor     BIGINT,
    approved_minor    BIGINT,
    earned_minor      BIGINT,
    reversed_minor    BIGINT,
    clawed_back_minor BIGINT,
    recovered_minor   BIGINT,
    written_off_minor BIGINT,
    adjusted_minor    BIGINT,
    paid_minor        BIGINT,
    payable_minor     BIGINT,
    PRIMARY KEY (partner, currency, hour)
) WITHOUT ROWID;

CREATE TABLE payouts (
    position        INTEGER PRIMARY KEY, -- where it was proposed
    id              BLOB   NOT NULL,
    partner         TEXT   NOT NULL,
    currency        TEXT   NOT NULL,
    amount_minor    BIGINT NOT NULL,
    recovered_minor BIGINT NOT NULL,
    line_count      BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    reference       TEXT,
    proposed_at     BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL
);

-- Which payout carries which line, as its fact says. Only ever added.
CREATE TABLE payout_lines (
    payout_id    BLOB   NOT NULL,
    line         BIGINT NOT NULL,
    subject_id   BLOB   NOT NULL, -- the conversion, or the adjustment's fact
    rule         TEXT,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (payout_id, line)
) WITHOUT ROWID;

-- Amounts that people posted, since a payout names them by the id of their fact.
CREATE TABLE adjustments (
    position     INTEGER PRIMARY KEY,
    id           BLOB   NOT NULL,
    partner      TEXT   NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency     TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    occurred_at  BIGINT NOT NULL,
    recorded_at  BIGINT NOT NULL
);

-- What ends partners' months within their fences: months below zero that were given up or set aside,
-- and what later months give back. A payout names them by their id.
CREATE TABLE carryovers (
    id           BLOB   NOT NULL PRIMARY KEY,
    partner      TEXT   NOT NULL,
    currency     TEXT   NOT NULL,
    offer        TEXT,             -- if the fence is within one
    month        TEXT   NOT NULL,
    amount_minor BIGINT NOT NULL,
    ends_at      BIGINT NOT NULL,
    available_at BIGINT NOT NULL
) WITHOUT ROWID;

-- Closed months. Only ever added.
CREATE TABLE periods (
    position  INTEGER PRIMARY KEY, -- of its fact: all facts before it are in the month's statements
    period    TEXT   NOT NULL,
    actor     TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    closed_at BIGINT NOT NULL
);

-- What partners were told about closed months; the whole of it is in the fact. Only ever added.
CREATE TABLE statements (
    position      INTEGER PRIMARY KEY,
    id            BLOB   NOT NULL,
    partner       TEXT   NOT NULL,
    currency      TEXT   NOT NULL,
    period        TEXT   NOT NULL,
    number        BIGINT NOT NULL,
    opening_minor BIGINT NOT NULL,
    closing_minor BIGINT NOT NULL,
    issued_at     BIGINT NOT NULL
);

-- Changes whose conversion is not known yet (waiting = 1), or was not when they came.
CREATE TABLE parked (
    position    INTEGER PRIMARY KEY,
    waiting     BIGINT NOT NULL,
    offer       TEXT   NOT NULL,
    change      TEXT   NOT NULL,
    txn_id      TEXT,
    click_id    TEXT,
    customer_id TEXT,
    recorded_at BIGINT NOT NULL
);

-- Which facts touched a conversion or payout besides the one that made it: its timeline.
CREATE TABLE touches (
    subject_id BLOB   NOT NULL,
    position   BIGINT NOT NULL,
    PRIMARY KEY (subject_id, position)
) WITHOUT ROWID;
