package backup

import (
	"strings"
	"testing"
	"time"
)

func TestSchedulesThatAreRefused(t *testing.T) {
	for spec, want := range map[string]string{
		"30 1 * * *": "", "0 0 * * 1-6": "", "*/5 * * * *": "", "@daily": "",
		"":                        "is not a schedule",
		"daily":                   "is not a schedule",
		"0 25 * * *":              "is not a schedule",
		"0 0 0 * * *":             "is not a schedule",
		"0 0 30 2 *":              "never comes",
		"CRON_TZ=UTC 30 1 * * *":  "time zone",
		"TZ=Asia/Tokyo 0 0 * * *": "time zone",
		"@every 1h":               "unknown start",
	} {
		err := Schedule(spec)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
}

func TestLongestGap(t *testing.T) {
	for _, c := range []struct {
		specs []string
		want  time.Duration
	}{
		{[]string{"30 1 * * *"}, 24 * time.Hour},
		{[]string{"0 0 * * 0"}, 7 * 24 * time.Hour},
		{[]string{"0 0 1 * *"}, 31 * 24 * time.Hour},
		{[]string{"*/5 * * * *"}, 5 * time.Minute},
		{[]string{"0 0 * * 0", "0 0 * * 1-6", "0 6,12,18 * * *"}, 6 * time.Hour},
		{[]string{"0 0 * * 0", "0 0 * * 1-5", "0 12 * * 1-5"}, 36 * time.Hour}, // Friday noon to Sunday
	} {
		if got, err := LongestGap(c.specs...); err != nil || got != c.want {
			t.Errorf("%q: %s, %v; want %s", c.specs, got, err, c.want)
		}
	}
	if _, err := LongestGap("0 0 * * *", "never"); err == nil {
		t.Error("a schedule that is none has a gap")
	}
}
