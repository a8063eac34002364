package exposition

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
)

func TestText(t *testing.T) {
	several := Metric{Name: "chunks", Help: "How many.", Kind: Gauge}
	several.Add(3, "hypertable", `a"b\c`+"\nd", "schema", "s")
	several.Add(0.25)
	got := Text([]Metric{Of(Counter, "runs_total", "Since ever.", 1790000000), {Name: "none", Help: "Nothing.", Kind: Gauge}, several})
	want := "# HELP runs_total Since ever.\n# TYPE runs_total counter\nruns_total 1790000000\n" +
		"# HELP chunks How many.\n# TYPE chunks gauge\nchunks{hypertable=\"a\\\"b\\\\c\\nd\",schema=\"s\"} 3\nchunks 0.25\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// A scrape fails rather than that figures are missing.
func TestAFailureIsOne(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{{nil, 200}, {errors.New("the server is away"), 503}} {
		w := httptest.NewRecorder()
		Handler(func(context.Context) ([]Metric, error) { return []Metric{Of(Gauge, "a", "b.", 1)}, c.err })(w, httptest.NewRequest("GET", "/metrics", nil))
		if w.Code != c.status {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
	}
}
