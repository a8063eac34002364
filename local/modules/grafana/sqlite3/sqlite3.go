// Package sqlite3 stands in for github.com/mattn/go-sqlite3, which needs a C
// compiler: it registers a driver written in Go under the same name and has the
// few identifiers that Grafana uses.
package sqlite3

import (
	"fmt"

	_ "github.com/ncruces/go-sqlite3/driver" // registers "sqlite3"
)

// ErrNo is a result code of SQLite.
type ErrNo int

// ErrNoExtended is an extended result code of SQLite.
type ErrNoExtended int

// The result codes that Grafana looks for.
const (
	ErrBusy             ErrNo         = 5
	ErrLocked           ErrNo         = 6
	ErrConstraintUnique ErrNoExtended = 19 | 8<<8
)

// Error is the error type that Grafana looks for. This driver waits for a
// locked database by itself and never returns it, so Grafana sees a violated
// constraint as an ordinary error.
type Error struct {
	Code         ErrNo
	ExtendedCode ErrNoExtended
}

func (e Error) Error() string { return fmt.Sprintf("sqlite error %d", e.Code) }
