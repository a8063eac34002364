package workload

import (
	"encoding/json"
	"testing"
)

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
