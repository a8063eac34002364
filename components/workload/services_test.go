package workload

import (
	"strings"
	"testing"
)

func TestAliasesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		aliases []string
		refused []string
	}{
		{nil, nil},
		{[]string{"timescaledb", "postgres"}, nil},
		{[]string{"database"}, []string{`"database"`}},
		{[]string{"database-headless"}, []string{`"database-headless"`}},
		{[]string{"pg", "pg"}, []string{`"pg"`}},
		{[]string{"1pg", "Pg", "p_g", "pg-", "", strings.Repeat("p", 64)}, []string{`"1pg"`, `"Pg"`, `"p_g"`, `"pg-"`, `""`, strings.Repeat("p", 64)}},
		{[]string{strings.Repeat("p", 63)}, nil},
	} {
		problems := ValidateAliases("database", c.aliases)
		if len(problems) != len(c.refused) {
			t.Errorf("%q: %v, want %d problems", c.aliases, problems, len(c.refused))
			continue
		}
		for i, p := range problems {
			if !strings.Contains(p.Error(), c.refused[i]) {
				t.Errorf("%q: %v does not name %s", c.aliases, p, c.refused[i])
			}
		}
	}
}
