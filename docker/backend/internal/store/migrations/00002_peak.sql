-- +goose Up
-- The most that the portfolio was ever worth: what a drawdown is measured from. An
-- engine of the version before leaves it alone, and the next one catches up.
ALTER TABLE engine ADD COLUMN peak_equity double precision NOT NULL DEFAULT 0;
