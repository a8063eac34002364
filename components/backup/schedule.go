package backup

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule checks a schedule as Kubernetes reads it: five fields, or a word such as @daily.
func Schedule(spec string) error {
	parsed, err := cron.ParseStandard(spec)
	switch {
	case strings.Contains(spec, "TZ="):
		return fmt.Errorf("%q names a time zone: leave it out, schedules are in UTC", spec)
	case strings.HasPrefix(spec, "@every"):
		return fmt.Errorf("%q counts from an unknown start: write minute, hour, day, month and weekday, e.g. 30 1 * * *", spec)
	case err != nil:
		return fmt.Errorf("%q is not a schedule: write minute, hour, day, month and weekday, e.g. 30 1 * * *", spec)
	case parsed.Next(origin).IsZero():
		return fmt.Errorf("%q never comes: choose a day that there is", spec)
	}
	return nil
}

// origin is where schedules are looked at from. It is a constant, so that equal schedules
// always give equal rules.
var origin = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// horizon is how far: every schedule but those of leap days has repeated by then.
const horizon = 400 * 24 * time.Hour

// LongestGap is the longest time in which none of the schedules comes.
func LongestGap(specs ...string) (time.Duration, error) {
	var all []cron.Schedule
	for _, spec := range specs {
		if err := Schedule(spec); err != nil {
			return 0, err
		}
		parsed, err := cron.ParseStandard(spec)
		if err != nil {
			return 0, err
		}
		all = append(all, parsed)
	}
	// What comes every few minutes repeats soon.
	const most = 20000
	var longest time.Duration
	at := origin
	for range most {
		if at.After(origin.Add(horizon)) {
			break
		}
		var next time.Time
		for _, s := range all {
			if n := s.Next(at); !n.IsZero() && (next.IsZero() || n.Before(next)) {
				next = n
			}
		}
		if next.IsZero() {
			break
		}
		// The origin itself is on no schedule.
		if !at.Equal(origin) {
			longest = max(longest, next.Sub(at))
		}
		at = next
	}
	return longest, nil
}
