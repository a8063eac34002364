//go:build integration

package spans

import (
	"compress/gzip"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// elasticsearch answers as one of version 8 does, as far as Jaeger asks.
type elasticsearch struct {
	*httptest.Server
	key string

	mu sync.Mutex
	// templates are the bodies of index templates by their names, documents those of the
	// bulk API by their indices.
	templates map[string]string
	documents map[string][]json.RawMessage
	// strangers are requests without the key, searched the indices that were asked.
	strangers, searched []string
	// full makes the bulk API refuse every document, broken every request.
	full, broken bool
}

func startElasticsearch(t *testing.T, key string) *elasticsearch {
	t.Helper()
	e := &elasticsearch{key: key, templates: map[string]string{}, documents: map[string][]json.RawMessage{}}
	e.Server = httptest.NewTLSServer(e)
	t.Cleanup(e.Close)
	return e
}

// authority is by what its certificate is trusted.
func (e *elasticsearch) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw}))
}

func (e *elasticsearch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// Elasticsearch reads the scheme in any case; Jaeger writes APIKey.
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "ApiKey") || key != e.key {
		e.strangers = append(e.strangers, r.Method+" "+r.URL.Path)
		http.Error(w, `{"error":{"type":"security_exception","reason":"missing authentication credentials"},"status":401}`, http.StatusUnauthorized)
		return
	}
	body := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	var answer any
	switch {
	case r.URL.Path == "/":
		answer = map[string]any{"name": "node", "cluster_name": "test", "version": map[string]any{"number": "8.17.0"}, "tagline": "You Know, for Search"}
	case r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/_index_template/"):
		e.templates[strings.TrimPrefix(r.URL.Path, "/_index_template/")] = string(raw)
		answer = map[string]any{"acknowledged": true}
	case r.URL.Path == "/_bulk" && e.broken:
		http.Error(w, `{"error":{"type":"test","reason":"it is broken"},"status":500}`, http.StatusInternalServerError)
		return
	case r.URL.Path == "/_bulk":
		answer = e.bulk(string(raw))
	case strings.HasSuffix(r.URL.Path, "/_msearch"):
		answer = e.searches(r.URL.Path, string(raw))
	default:
		http.Error(w, fmt.Sprintf(`{"error":{"type":"test","reason":"%s %s is not asked for"},"status":400}`, r.Method, r.URL.Path), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// bulk keeps documents, or refuses each of them.
func (e *elasticsearch) bulk(body string) any {
	var items []any
	lines := strings.Split(strings.TrimSpace(body), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		var action map[string]struct {
			Index string `json:"_index"`
		}
		if json.Unmarshal([]byte(lines[i]), &action) != nil {
			continue
		}
		for verb, to := range action {
			item := map[string]any{"_index": to.Index, "status": http.StatusCreated, "result": "created"}
			if e.full {
				item = map[string]any{"_index": to.Index, "status": http.StatusForbidden,
					"error": map[string]any{"type": "cluster_block_exception", "reason": "index [" + to.Index + "] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];"}}
			} else {
				e.documents[to.Index] = append(e.documents[to.Index], json.RawMessage(lines[i+1]))
			}
			items = append(items, map[string]any{verb: item})
		}
	}
	return map[string]any{"took": 1, "errors": e.full, "items": items}
}

// searches answers each search with all that its indices hold: those of the path, and those
// of the search itself.
func (e *elasticsearch) searches(path, body string) any {
	var answers []any
	lines := strings.Split(strings.TrimSpace(body), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		indices := path + lines[i]
		e.searched = append(e.searched, indices)
		hits := []any{}
		for index, documents := range e.documents {
			if !strings.Contains(indices, index) {
				continue
			}
			for _, d := range documents {
				hits = append(hits, map[string]any{"_index": index, "_source": d, "sort": []any{0}})
			}
		}
		answers = append(answers, map[string]any{"took": 1, "status": http.StatusOK, "hits": map[string]any{"total": map[string]any{"value": len(hits), "relation": "eq"}, "hits": hits}})
	}
	return map[string]any{"took": 1, "responses": answers}
}

// set changes what it does.
func (e *elasticsearch) set(full, broken bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.full, e.broken = full, broken
}

// kept are the documents of an index.
func (e *elasticsearch) kept(index string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, d := range e.documents[index] {
		all = append(all, string(d))
	}
	return all
}
