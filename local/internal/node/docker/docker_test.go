package docker

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
)

func TestAbsentImages(t *testing.T) {
	archives := []images.Archive{
		{Name: "same", Refs: []string{"docker.io/library/redis:8"}, ID: "sha256:1"},
		{Name: "older", Refs: []string{"docker.io/prom/prometheus:v3"}, ID: "sha256:2"},
		{Name: "missing", Refs: []string{"registry.k8s.io/x/y:v1"}, ID: "sha256:3"},
	}
	got := absent(archives, map[string]string{"redis:8": "sha256:1", "prom/prometheus:v3": "sha256:9"})
	if len(got) != 2 || got[0].Name != "older" || got[1].Name != "missing" {
		t.Errorf("got %v", got)
	}
	if got := absent(archives[2:], map[string]string{"registry.k8s.io/x/y:v1": "sha256:3"}); len(got) != 0 {
		t.Errorf("an image of another registry: %v", got)
	}
}

func TestProgressOf(t *testing.T) {
	var out bytes.Buffer
	err := progressOf(strings.NewReader(`{"stream":"Loaded image: a\n"}`+"\n"+`{"errorDetail":{"message":"no space"},"error":"no space left"}`), &out)
	if err == nil || err.Error() != "no space left" || out.String() != "Loaded image: a\n" {
		t.Errorf("got %v and %q", err, out.String())
	}
	if err := progressOf(strings.NewReader(`{"stream":"Loaded"}`), &out); err != nil {
		t.Errorf("a good load: %v", err)
	}
}
