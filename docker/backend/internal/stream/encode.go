package stream

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/store"
)

// encoded is a batch as clients get it. It is encoded once, however many they are.
type encoded struct {
	batch *Batch
	// prices of the most traded symbols, in one frame; nil if there are none.
	prices []byte
	// places of the symbols in the batch, and each one's quote.
	places map[string]int
	quotes [][]byte
	// events are signals: what is news once.
	events []event
	// state is what replaces what was said before: positions and PnL.
	state [][]byte
}

// event is a message of which none may be lost.
type event struct {
	id     int64
	symbol string
	frame  []byte
}

func encode(b *Batch) (*encoded, error) {
	e := &encoded{batch: b, places: make(map[string]int, len(b.Quotes)), quotes: make([][]byte, len(b.Quotes))}
	var err error
	for i := range b.Quotes {
		e.places[b.Quotes[i].Symbol] = i
		if e.quotes[i], err = json.Marshal(&b.Quotes[i]); err != nil {
			return nil, err
		}
	}
	if e.prices, err = e.frame(e.quotes[:min(len(e.quotes), longestFrame)]); err != nil {
		return nil, err
	}
	for i := range b.Signals {
		v, err := newEvent(b.Signals[i])
		if err != nil {
			return nil, err
		}
		e.events = append(e.events, v)
	}
	for _, v := range []any{
		struct {
			Type  string           `json:"type"`
			Items []store.Position `json:"items"`
		}{"positions", append([]store.Position{}, b.Positions...)},
		struct {
			Type string    `json:"type"`
			TS   time.Time `json:"ts"`
			PnL  store.PnL `json:"pnl"`
		}{"pnl", b.At, b.PnL},
	} {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		e.state = append(e.state, raw)
	}
	return e, nil
}

func newEvent(s store.Signal) (event, error) {
	raw, err := json.Marshal(struct {
		Type   string       `json:"type"`
		Signal store.Signal `json:"signal"`
	}{"signal", s})
	return event{s.ID, s.Symbol, raw}, err
}

// frame is a message with some of the quotes; nil with none.
func (e *encoded) frame(quotes [][]byte) ([]byte, error) {
	if len(quotes) == 0 {
		return nil, nil
	}
	at, err := json.Marshal(e.batch.At)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(`{"type":"prices","simulated":true,"ts":`)
	b.Write(at)
	b.WriteString(`,"items":[`)
	b.Write(bytes.Join(quotes, []byte{','}))
	b.WriteString(`]}`)
	return b.Bytes(), nil
}

// pricesOf is the frame of the symbols that a client has asked for, in the market's
// order; nil for those of the most traded ones.
func (e *encoded) pricesOf(wanted map[string]bool) ([]byte, error) {
	if wanted == nil {
		return e.prices, nil
	}
	var places []int
	for symbol := range wanted {
		if i, ok := e.places[symbol]; ok {
			places = append(places, i)
		}
	}
	slices.Sort(places)
	quotes := make([][]byte, len(places))
	for n, i := range places {
		quotes[n] = e.quotes[i]
	}
	return e.frame(quotes)
}

// frames are what a client gets of the batch: prices, the events that it has not had,
// and the state.
func (e *encoded) frames(c *client) ([][]byte, error) {
	prices, err := e.pricesOf(c.wanted)
	if err != nil {
		return nil, err
	}
	var frames [][]byte
	if prices != nil {
		frames = append(frames, prices)
	}
	frames = append(frames, c.news(e.events)...)
	return append(frames, e.state...), nil
}

// snapshot is frames without the events: they are news only once, and a page reads
// the past elsewhere.
func (e *encoded) snapshot(c *client) ([][]byte, error) {
	without := *e
	without.events = nil
	return without.frames(c)
}
