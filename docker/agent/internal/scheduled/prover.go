package scheduled

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/robfig/cron/v3"
)

// Prover proves the newest backup.
type Prover struct {
	Schedule cron.Schedule
	// Data is the folder that it is restored into; beside it lies when one was last proven.
	Data string
	// Prove restores and looks through the newest backup, and says which it was.
	Prove func(ctx context.Context) (backup string, err error)
	// Begun is when the container began.
	Begun time.Time
	Now   func() time.Time

	tried time.Time
}

// proven is what lies beside the folder.
type proven struct {
	Backup string    `json:"backup"`
	At     time.Time `json:"at"`
}

func (p *Prover) file() string { return filepath.Join(filepath.Dir(p.Data), "proven.json") }

// Due is for Loop. A proof that was missed, while the host was off, is made at once.
func (p *Prover) Due(_ context.Context, _ time.Time) (what string, at, succeeded time.Time, err error) {
	raw, err := os.ReadFile(p.file())
	last := p.Begun
	if err == nil {
		var done proven
		if err := json.Unmarshal(raw, &done); err != nil {
			return "", at, at, err
		}
		succeeded, last = done.At, done.At
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", at, at, err
	}
	if p.tried.After(last) {
		last = p.tried
	}
	return "proof", p.Schedule.Next(last.UTC()), succeeded, nil
}

// Run is for Loop. What was restored is dropped, whatever came of it.
func (p *Prover) Run(ctx context.Context, _ string) (err error) {
	if err := os.RemoveAll(p.Data); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.Data)) }()
	backup, err := p.Prove(ctx)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(proven{Backup: backup, At: p.Now().UTC()})
	if err != nil {
		return err
	}
	half := p.file() + ".new"
	if err := os.WriteFile(half, raw, 0o644); err != nil {
		return err
	}
	return os.Rename(half, p.file())
}

// Tried is for Loop.
func (p *Prover) Tried(_ string, at time.Time) { p.tried = at }
