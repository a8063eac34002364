package scheduled

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// Kind is one of pgBackRest's backups, with its schedule.
type Kind struct {
	// Type is full, diff or incr.
	Type     string
	Schedule cron.Schedule
}

// Taker takes backups.
type Taker struct {
	// Stanza is what pgBackRest calls the database.
	Stanza string
	// Kinds from the strongest on: one that is taken counts for those after it.
	Kinds []Kind
	// Output runs pgBackRest and returns what it prints, Do with its output in the log.
	Output func(ctx context.Context, args ...string) ([]byte, error)
	Do     func(ctx context.Context, args ...string) error
	// Timeline asks the server on which it is, as in the names of its log's segments. It is
	// an error if the server is on other files than those beside this container: while a
	// restore takes over, a backup would be of both.
	Timeline func(ctx context.Context) (string, error)
	// Begun is when the container began.
	Begun time.Time

	tried map[string]time.Time
	// first says that the first backup of this timeline was tried.
	first string
}

// taken is a backup in the repository.
type taken struct {
	Type      string `json:"type"`
	Timestamp struct {
		Start int64 `json:"start"`
		Stop  int64 `json:"stop"`
	} `json:"timestamp"`
	Archive struct {
		Start string `json:"start"`
	} `json:"archive"`
}

// firstOf is what the first backup of a timeline is called.
const firstOf = "first "

// Due is for Loop. The first backup of a timeline is taken at once: the way back to a
// moment after a restore begins there.
func (t *Taker) Due(ctx context.Context, now time.Time) (what string, at, succeeded time.Time, err error) {
	all, err := t.look(ctx)
	if err != nil {
		return "", at, at, err
	}
	timeline, err := t.Timeline(ctx)
	if err != nil {
		return "", at, at, fmt.Errorf("the server does not say on which timeline it is: %w", err)
	}
	what, at = t.due(now, all, timeline)
	if len(all) > 0 {
		succeeded = time.Unix(all[len(all)-1].Timestamp.Stop, 0)
	}
	return what, at, succeeded, nil
}

func (t *Taker) due(now time.Time, all []taken, timeline string) (string, time.Time) {
	known := t.first == timeline
	for _, b := range all {
		known = known || len(b.Archive.Start) > 8 && b.Archive.Start[:8] == timeline
	}
	if !known {
		return firstOf + timeline, now
	}
	var what string
	var at time.Time
	for i, kind := range t.Kinds {
		last := t.tried[kind.Type]
		for _, b := range all {
			if start := time.Unix(b.Timestamp.Start, 0); t.counts(b.Type, i) && start.After(last) {
				last = start
			}
		}
		if last.IsZero() {
			last = t.Begun
		}
		next := kind.Schedule.Next(last.UTC())
		if !next.IsZero() && (at.IsZero() || next.Before(at)) {
			what, at = kind.Type, next
		}
	}
	return what, at
}

// counts tells whether a backup is at least of a kind.
func (t *Taker) counts(of string, kind int) bool {
	for _, k := range t.Kinds[:kind+1] {
		if k.Type == of {
			return true
		}
	}
	return false
}

func (t *Taker) look(ctx context.Context) ([]taken, error) {
	out, err := t.Output(ctx, "--output=json", "--log-level-console=off", "info")
	if err != nil {
		return nil, fmt.Errorf("ask the repository: %w", err)
	}
	var stanzas []struct {
		Name   string  `json:"name"`
		Backup []taken `json:"backup"`
	}
	if err := json.Unmarshal(out, &stanzas); err != nil {
		return nil, fmt.Errorf("what the repository holds: %w", err)
	}
	for _, s := range stanzas {
		if s.Name == t.Stanza {
			return s.Backup, nil
		}
	}
	return nil, nil
}

// Run is for Loop. A stanza that is there already is left alone, and an incremental backup
// is a full one where there is none yet.
func (t *Taker) Run(ctx context.Context, what string) error {
	if _, err := t.Timeline(ctx); err != nil {
		return err
	}
	if err := t.Do(ctx, "stanza-create"); err != nil {
		return err
	}
	for _, kind := range t.Kinds {
		if kind.Type == what {
			return t.Do(ctx, "--type="+kind.Type, "backup")
		}
	}
	return t.Do(ctx, "--type=incr", "backup")
}

// Tried is for Loop.
func (t *Taker) Tried(what string, at time.Time) {
	if len(what) > len(firstOf) && what[:len(firstOf)] == firstOf {
		t.first = what[len(firstOf):]
	}
	if t.tried == nil {
		t.tried = map[string]time.Time{}
	}
	t.tried[what] = at
}
