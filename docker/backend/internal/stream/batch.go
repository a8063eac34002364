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
	// Signals that are new, the oldest first. After is the highest ID of those before:
	// who has not had that one has missed something.
	Signals   []store.Signal   `json:"signals"`
	After     int64            `json:"after"`
	Positions []store.Position `json:"positions"`
	PnL       store.PnL        `json:"pnl"`
	// Trace that the engine's cycle belongs to, as W3C trace context.
	Trace map[string]string `json:"trace,omitempty"`
}

// longestFrame is how many quotes a client gets that has not said which it wants.
const longestFrame = 500

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
