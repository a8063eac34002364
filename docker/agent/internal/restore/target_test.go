package restore

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTargets(t *testing.T) {
	for s, want := range map[string][]string{
		"latest":                            nil,
		"2027-01-31T10:03:59Z":              {"--type=time", "--target=2027-01-31 10:03:59+00", "--target-action=promote"},
		"2027-01-31 11:03:59.5+01:00":       {"--type=time", "--target=2027-01-31 10:03:59.5+00", "--target-action=promote"},
		"20270131-100359F":                  {"--set=20270131-100359F", "--type=immediate", "--target-action=promote"},
		"20270131-100359F_20270131-110359I": {"--set=20270131-100359F_20270131-110359I", "--type=immediate", "--target-action=promote"},
	} {
		target, err := ParseTarget(s)
		if err != nil || !slices.Equal(target.args(), want) {
			t.Errorf("%s: %q, %v; want %q", s, target.args(), err, want)
		}
	}
	for _, s := range []string{"", "yesterday", "2027-01-31 10:03:59", "2027-13-01T00:00:00Z", "--type=none"} {
		if _, err := ParseTarget(s); err == nil || !strings.Contains(err.Error(), "want latest") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

const two = `[{"name":"other","backup":[]},{"name":"db","status":{"code":0,"message":"ok"},"backup":[
	{"label":"20270131-100000F","timestamp":{"start":1801389600,"stop":1801389660}},
	{"label":"20270131-100000F_20270131-110000I","timestamp":{"start":1801393200,"stop":1801393210}}]}]`

func TestTargetsThatAreNotThereAreRefused(t *testing.T) {
	now := time.Unix(1801396800, 0)
	for what, c := range map[string]struct{ target, info, want string }{
		"the end":             {"latest", two, ""},
		"within":              {"2027-01-31T10:30:00Z", two, ""},
		"a backup":            {"20270131-100000F", two, ""},
		"the future":          {"2027-02-01T10:00:00Z", two, "lies in the future"},
		"before the first":    {"2027-01-31T08:00:00Z", two, "before the end of the oldest backup"},
		"an unknown backup":   {"20260131-100000F", two, "it has 20270131-100000F, 20270131-100000F_20270131-110000I"},
		"an empty repository": {"latest", `[{"name":"db","status":{"code":2,"message":"no valid backups"}}]`, "no backup: no valid backups"},
		"another's":           {"latest", `[]`, "it holds nothing of db"},
		"no answer":           {"latest", `x`, "what the repository holds"},
	} {
		target, err := ParseTarget(c.target)
		if err != nil {
			t.Fatal(err)
		}
		b, err := target.check([]byte(c.info), "db", now)
		switch {
		case c.want == "" && (err != nil || b.Label == ""):
			t.Errorf("%s: %+v, %v", what, b, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}
