// Package stream brings what the engine writes to WebSockets: through Redis as long
// as that works, out of the database when it does not.
package stream

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// Channel of Redis on which the engine tells what is new.
const Channel = "alphapulse:stream"

// Batch is what one cycle of the engine has brought.
type Batch struct {
	At time.Time `json:"at"`
	// Quotes of every symbol, the most traded first.
	Quotes []store.Quote `json:"quotes"`
	// Signals that are new, the oldest first.
	Signals   []store.Signal   `json:"signals"`
	Positions []store.Position `json:"positions"`
	PnL       store.PnL        `json:"pnl"`
}

// longestFrame is how many quotes a client gets that has not said which it wants.
const longestFrame = 500

// frames are the texts that a client gets of a batch. wanted are the symbols that
// it has asked for; nil for the most traded ones.
func (b *Batch) frames(wanted map[string]bool) ([][]byte, error) {
	quotes := b.Quotes
	if wanted != nil {
		quotes = nil
		for _, q := range b.Quotes {
			if wanted[q.Symbol] {
				quotes = append(quotes, q)
			}
		}
	} else if len(quotes) > longestFrame {
		quotes = quotes[:longestFrame]
	}
	var frames [][]byte
	add := func(v any) error {
		raw, err := json.Marshal(v)
		frames = append(frames, raw)
		return err
	}
	if len(quotes) > 0 {
		err := add(struct {
			Type      string        `json:"type"`
			Simulated bool          `json:"simulated"`
			TS        time.Time     `json:"ts"`
			Items     []store.Quote `json:"items"`
		}{"prices", true, b.At, quotes})
		if err != nil {
			return nil, err
		}
	}
	for _, s := range b.Signals {
		if wanted != nil && !wanted[s.Symbol] {
			continue
		}
		err := add(struct {
			Type   string       `json:"type"`
			Signal store.Signal `json:"signal"`
		}{"signal", s})
		if err != nil {
			return nil, err
		}
	}
	if err := add(struct {
		Type  string           `json:"type"`
		Items []store.Position `json:"items"`
	}{"positions", append([]store.Position{}, b.Positions...)}); err != nil {
		return nil, err
	}
	err := add(struct {
		Type string    `json:"type"`
		TS   time.Time `json:"ts"`
		PnL  store.PnL `json:"pnl"`
	}{"pnl", b.At, b.PnL})
	return frames, err
}

// request is what a client may send: {"subscribe": ["SIM0001USDT"]}, or an empty
// list for the most traded symbols again.
type request struct {
	Subscribe []string `json:"subscribe"`
}

func parseRequest(raw []byte) (request, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var r request
	err := d.Decode(&r)
	return r, err
}
