package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// NewSignal is a signal before it has an ID.
type NewSignal struct {
	SymbolID        int
	Type, Indicator string
	Confidence      float64
	Price           float64
}

// InsertSignals writes signals, one at most for each symbol, and returns their IDs
// by symbol.
func (t *Tx) InsertSignals(ctx context.Context, at, dueAt time.Time, signals []NewSignal) (map[int]int64, error) {
	n := len(signals)
	symbols, types, indicators := make([]int32, n), make([]string, n), make([]string, n)
	confidences, prices := make([]float64, n), make([]float64, n)
	for i, s := range signals {
		symbols[i], types[i], indicators[i], confidences[i], prices[i] = int32(s.SymbolID), s.Type, s.Indicator, s.Confidence, s.Price
	}
	r, err := t.tx.Query(ctx, `
		INSERT INTO signals (ts, due_at, symbol_id, signal_type, indicator, confidence, price)
		SELECT $1, $2, * FROM unnest($3::int[], $4::text[], $5::text[], $6::float8[], $7::float8[])
		RETURNING symbol_id, id`, at, dueAt, symbols, types, indicators, confidences, prices)
	if err != nil {
		return nil, fmt.Errorf("insert signals: %w", err)
	}
	ids := make(map[int]int64, n)
	var symbol int
	var id int64
	if _, err := pgx.ForEachRow(r, []any{&symbol, &id}, func() error { ids[symbol] = id; return nil }); err != nil {
		return nil, fmt.Errorf("insert signals: %w", err)
	}
	return ids, nil
}

// ActiveSignal is one that is not scored yet.
type ActiveSignal struct {
	ID        int64
	SymbolID  int
	Type      string `db:"signal_type"`
	Indicator string
	Price     float64
	DueAt     time.Time
}

// ActiveSignals lists the signals that are not scored yet.
func (t *Tx) ActiveSignals(ctx context.Context) ([]*ActiveSignal, error) {
	r, err := t.tx.Query(ctx, "SELECT id, symbol_id, signal_type, indicator, price, due_at FROM signals WHERE status = 'active'")
	if err != nil {
		return nil, fmt.Errorf("active signals: %w", err)
	}
	signals, err := pgx.CollectRows(r, pgx.RowToAddrOfStructByName[ActiveSignal])
	if err != nil {
		return nil, fmt.Errorf("active signals: %w", err)
	}
	return signals, nil
}

// LastSignal returns the highest ID of a signal, 0 if there is none.
func (t *Tx) LastSignal(ctx context.Context) (id int64, err error) {
	if err = t.tx.QueryRow(ctx, "SELECT coalesce(max(id), 0) FROM signals").Scan(&id); err != nil {
		err = fmt.Errorf("last signal: %w", err)
	}
	return id, err
}

// Score is the result of a signal.
type Score struct {
	SignalID int64
	// Status is hit, missed or expired.
	Status string
	// OutcomePct is nil for an expired signal.
	OutcomePct *float64
}

// ScoreSignals writes results.
func (t *Tx) ScoreSignals(ctx context.Context, scores []Score) error {
	n := len(scores)
	ids, statuses, outcomes := make([]int64, n), make([]string, n), make([]*float64, n)
	hit, missed := 0, 0
	for i, s := range scores {
		ids[i], statuses[i], outcomes[i] = s.SignalID, s.Status, s.OutcomePct
		switch s.Status {
		case "hit":
			hit++
		case "missed":
			missed++
		}
	}
	if _, err := t.exec(ctx, "score signals", `
		UPDATE signals SET status = u.status, outcome_pct = u.outcome
		FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS u (id, status, outcome) WHERE signals.id = u.id`, ids, statuses, outcomes); err != nil {
		return err
	}
	_, err := t.exec(ctx, "count scores", "UPDATE engine SET signals_hit = signals_hit + $1, signals_missed = signals_missed + $2", hit, missed)
	return err
}
