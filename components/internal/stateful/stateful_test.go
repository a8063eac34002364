package stateful

import (
	"encoding/json"
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

// A field that a later SDK adds is null until somebody sets it: it must not give
// the pod another revision, which would restart the server.
func TestRevisionIgnoresWhatIsNotSet(t *testing.T) {
	prune := func(text string) string {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(set(v))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := prune(`{"spec":{"containers":[{"name":"a"}]}}`)
	if after := prune(`{"spec":{"containers":[{"name":"a","later":null}],"later":null}}`); after != before {
		t.Errorf("an unset field counts: %s, want %s", after, before)
	}
	if after := prune(`{"spec":{"containers":[{"name":"b"}]}}`); after == before {
		t.Error("a changed field does not count")
	}
}
