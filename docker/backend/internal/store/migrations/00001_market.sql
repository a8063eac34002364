-- +goose Up
CREATE TABLE symbols (
	id     integer PRIMARY KEY,
	name   text NOT NULL UNIQUE,
	-- A symbol beyond MAX_SYMBOLS keeps its history but is no longer shown.
	active boolean NOT NULL DEFAULT true
);

CREATE TABLE ticks (
	ts        timestamptz NOT NULL,
	symbol_id integer NOT NULL,
	price     double precision NOT NULL,
	volume    double precision NOT NULL,
	PRIMARY KEY (symbol_id, ts)
);
SELECT create_hypertable('ticks', by_range('ts', INTERVAL '5 minutes'));

CREATE TABLE candles (
	ts        timestamptz NOT NULL,
	symbol_id integer NOT NULL,
	open      double precision NOT NULL,
	high      double precision NOT NULL,
	low       double precision NOT NULL,
	close     double precision NOT NULL,
	volume    double precision NOT NULL,
	PRIMARY KEY (symbol_id, ts)
);
SELECT create_hypertable('candles', by_range('ts', INTERVAL '2 hours'));

-- The newest quote of each symbol. It is written over and over: half of each page
-- stays free, so that a new version fits beside the old one and no index is touched.
CREATE TABLE quotes (
	symbol_id  integer PRIMARY KEY,
	ts         timestamptz NOT NULL,
	price      double precision NOT NULL,
	change_pct double precision NOT NULL,
	volume     double precision NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.5);

CREATE TABLE signals (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	ts          timestamptz NOT NULL,
	symbol_id   integer NOT NULL,
	signal_type text NOT NULL CHECK (signal_type IN ('buy', 'sell')),
	indicator   text NOT NULL,
	confidence  double precision NOT NULL,
	price       double precision NOT NULL,
	due_at      timestamptz NOT NULL,
	status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'hit', 'missed', 'expired')),
	outcome_pct double precision
);
CREATE INDEX signals_ts ON signals (ts);
CREATE INDEX signals_symbol ON signals (symbol_id, id DESC);
CREATE UNIQUE INDEX signals_active ON signals (symbol_id) WHERE status = 'active';

CREATE TABLE positions (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	symbol_id   integer NOT NULL,
	signal_id   bigint NOT NULL,
	-- Below zero for a short position.
	quantity    double precision NOT NULL,
	entry_price double precision NOT NULL,
	opened_at   timestamptz NOT NULL,
	exit_price  double precision,
	closed_at   timestamptz
);
CREATE UNIQUE INDEX positions_open ON positions (symbol_id) WHERE closed_at IS NULL;
CREATE INDEX positions_closed ON positions (closed_at);

CREATE TABLE equity (
	ts             timestamptz PRIMARY KEY,
	realized       double precision NOT NULL,
	unrealized     double precision NOT NULL,
	exposure       double precision NOT NULL,
	open_positions integer NOT NULL
);
SELECT create_hypertable('equity', by_range('ts', INTERVAL '12 hours'));

-- What the engine goes on from: one row.
CREATE TABLE engine (
	singleton      boolean PRIMARY KEY DEFAULT true CHECK (singleton),
	-- Ticks before this moment are in candles.
	rolled_up_to   timestamptz NOT NULL DEFAULT '-infinity',
	start_equity   double precision NOT NULL DEFAULT 100000,
	realized       double precision NOT NULL DEFAULT 0,
	unrealized     double precision NOT NULL DEFAULT 0,
	exposure       double precision NOT NULL DEFAULT 0,
	open_positions integer NOT NULL DEFAULT 0,
	signals_hit    bigint NOT NULL DEFAULT 0,
	signals_missed bigint NOT NULL DEFAULT 0,
	trading        text NOT NULL DEFAULT 'off',
	updated_at     timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);
INSERT INTO engine DEFAULT VALUES;

CREATE TABLE watchlists (
	owner      text PRIMARY KEY,
	symbols    text[] NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX watchlists_updated ON watchlists (updated_at);
