// Package restore fills an empty volume from a backup, and proves that a backup can be
// restored. It overwrites nothing.
package restore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Target says what to restore. The zero value is the end of the archived log.
type Target struct {
	// Time is the moment to restore to; zero for none.
	Time time.Time
	// Backup is the label of the backup to restore as it was; "" for none.
	Backup string
}

// ParseTarget reads a target: "latest", a backup's label, or a time with its zone
// (RFC 3339, a blank may stand for the T).
func ParseTarget(s string) (Target, error) {
	if s == "latest" {
		return Target{}, nil
	}
	if isLabel(s) {
		return Target{Backup: s}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "T", 1))
	if err != nil {
		return Target{}, fmt.Errorf("%q is no target: want latest, a backup's label, or a time with its zone, e.g. 2027-01-31T10:03:59Z", s)
	}
	return Target{Time: at}, nil
}

// isLabel tells labels of pgBackRest, 20270131-100359F or …F_20270131-110359I, from times.
func isLabel(s string) bool {
	return len(s) > 15 && s[8] == '-' && strings.ContainsAny(s[15:16], "F") && !strings.ContainsAny(s, ": ")
}

// args are pgBackRest's for the target.
func (t Target) args() []string {
	switch {
	case t.Backup != "":
		return []string{"--set=" + t.Backup, "--type=immediate", "--target-action=promote"}
	case !t.Time.IsZero():
		return []string{"--type=time", "--target=" + t.Time.UTC().Format("2006-01-02 15:04:05.999999+00"), "--target-action=promote"}
	}
	return nil
}

// backup is one in the repository.
type backup struct {
	Label     string `json:"label"`
	Error     bool   `json:"error"`
	Timestamp struct {
		Start int64 `json:"start"`
		Stop  int64 `json:"stop"`
	} `json:"timestamp"`
}

// check refuses what cannot be restored, by what `pgbackrest info` says. It returns the
// newest backup.
func (t Target) check(info []byte, stanza string, now time.Time) (backup, error) {
	var stanzas []struct {
		Name   string   `json:"name"`
		Backup []backup `json:"backup"`
		Status struct {
			Message string `json:"message"`
		} `json:"status"`
	}
	if err := json.Unmarshal(info, &stanzas); err != nil {
		return backup{}, fmt.Errorf("what the repository holds: %w", err)
	}
	var backups []backup
	message := "it holds nothing of " + stanza
	for _, s := range stanzas {
		if s.Name == stanza {
			backups, message = s.Backup, s.Status.Message
		}
	}
	if len(backups) == 0 {
		return backup{}, fmt.Errorf("the repository has no backup: %s", message)
	}
	first, last := backups[0], backups[len(backups)-1]
	said := func(b backup) string { return time.Unix(b.Timestamp.Stop, 0).UTC().Format(time.RFC3339) }
	switch {
	case t.Backup != "":
		var labels []string
		for _, b := range backups {
			if b.Label == t.Backup {
				return b, nil
			}
			labels = append(labels, b.Label)
		}
		return backup{}, fmt.Errorf("the repository has no backup %s: it has %s", t.Backup, strings.Join(labels, ", "))
	case t.Time.After(now):
		return backup{}, fmt.Errorf("%s lies in the future: it is %s", t.Time.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case !t.Time.IsZero() && t.Time.Unix() <= first.Timestamp.Stop: // it counts whole seconds
		return backup{}, fmt.Errorf("%s lies before the end of the oldest backup, %s", t.Time.UTC().Format(time.RFC3339), said(first))
	}
	return last, nil
}

// ErrOccupied says that there is data already.
var ErrOccupied = errors.New("the volume holds a database already, and nothing is overwritten: restore into a new one")
