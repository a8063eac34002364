package kube

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	var patched map[string]any
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer fresh":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet && r.URL.Path == "/api/v1/namespaces/ns/pods" && r.URL.Query().Get("labelSelector") == "a=b,c=d":
			_, _ = w.Write([]byte(`{"items":[{"metadata":{"name":"db-0"}},{"metadata":{"name":"db-1","deletionTimestamp":"2027-01-01T00:00:00Z"}}]}`))
		case r.Method == http.MethodPatch && r.URL.Path == "/api/v1/namespaces/ns/pods/db-0" && r.Header.Get("Content-Type") == "application/merge-patch+json":
			_ = json.NewDecoder(r.Body).Decode(&patched)
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("not allowed"))
		}
	}))
	defer server.Close()
	folder := t.TempDir()
	put := func(name, content string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	put("namespace", "ns\n")
	put("token", "old")
	c, err := open(server.URL, folder)
	if err != nil {
		t.Fatal(err)
	}
	put("token", "fresh\n") // the kubelet renews it
	pods, err := c.Pods(t.Context(), "a=b,c=d")
	if err != nil || !slices.Equal(pods, []Pod{{"db-0", false}, {"db-1", true}}) {
		t.Errorf("pods %v, %v", pods, err)
	}
	if err := c.Label(t.Context(), "db-0", "role", "replica"); err != nil {
		t.Error(err)
	}
	if raw, _ := json.Marshal(patched); string(raw) != `{"metadata":{"labels":{"role":"replica"}}}` {
		t.Errorf("patch %s", raw)
	}
	if err := c.Label(t.Context(), "db-1", "role", "replica"); err == nil || !strings.Contains(err.Error(), "403: not allowed") {
		t.Errorf("a refusal: %v", err)
	}
}
