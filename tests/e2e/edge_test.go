//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

// outputs is what a stack says about itself.
type outputs struct {
	Namespace          string            `json:"namespace"`
	URLs               map[string]string `json:"urls"`
	CACertificate      string            `json:"caCertificate"`
	PrometheusPassword string            `json:"prometheusPassword"`
	GrafanaPassword    string            `json:"grafanaPassword"`
}

func outputsOf(t testing.TB, stack string) outputs {
	t.Helper()
	o := told(t, stack)
	if o.CACertificate == "" {
		t.Fatalf("outputs of stack %s: no CA certificate", stack)
	}
	return o
}

// told is outputsOf for a stack whose certificate may be somebody else's.
func told(t testing.TB, stack string) outputs {
	t.Helper()
	var o outputs
	if err := json.Unmarshal(output(t, "pulumi", "--", "stack", "output", "--json", "--show-secrets", "--stack", stack), &o); err != nil {
		t.Fatal(err)
	}
	if o.Namespace == "" || len(o.URLs) < 5 {
		t.Fatalf("outputs of stack %s: namespace %q, urls %v", stack, o.Namespace, o.URLs)
	}
	return o
}

// browser returns a client that trusts the given CA only and keeps cookies. The node ports
// of dev are published on loopback; those of others are on the node.
func browser(t testing.TB, ca string) *http.Client {
	t.Helper()
	node := nodeAddress(t)
	return livetest.Browser(t, ca, func(port string) string {
		if port == "30443" || port == "30080" {
			return "127.0.0.1"
		}
		return node
	})
}

func nodeAddress(t testing.TB) string {
	t.Helper()
	nodes, err := cluster.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes.Items {
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				return a.Address
			}
		}
	}
	t.Fatal("no node has an address")
	return ""
}

// answers asks every endpoint of a stack for something that only what stands behind
// the edge can answer.
func answers(t testing.TB, o outputs) {
	t.Helper()
	c := browser(t, o.CACertificate)
	for _, e := range []struct{ name, path, want, user, password string }{
		{name: "ui", path: "/", want: "<title"},
		{name: "api", path: "/api/market/status", want: "{"},
		{name: "dashboard", path: "/", want: "<title"},
		{name: "grafana", path: "/api/health", want: "ok"},
		{name: "prometheus", path: "/api/v1/query?query=count(up==1)", want: `"success"`, user: "admin", password: o.PrometheusPassword},
	} {
		url := o.URLs[e.name] + e.path
		eventually(t, 2*time.Minute, "GET "+url, func(context.Context) (string, bool) {
			status, body, err := request(t, c, http.MethodGet, url, nil, func(r *http.Request) {
				if e.user != "" {
					r.SetBasicAuth(e.user, e.password)
				}
			})
			seen := fmt.Sprintf("%d %.120q %v", status, body, err)
			return seen, err == nil && status == http.StatusOK && strings.Contains(string(body), e.want)
		})
	}
}

// someSymbol is one that the API knows.
func someSymbol(t testing.TB, c *http.Client, o outputs) string {
	t.Helper()
	name := ""
	eventually(t, 2*time.Minute, "a symbol to watch", func(context.Context) (string, bool) {
		status, body, err := request(t, c, http.MethodGet, o.URLs["api"]+"/api/symbols", nil, nil)
		if err != nil || status != http.StatusOK {
			return fmt.Sprintf("%d %.120q %v", status, body, err), false
		}
		var answer struct {
			Items []struct {
				Symbol string `json:"symbol"`
			} `json:"items"`
		}
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Items) == 0 {
			return fmt.Sprintf("%.200q %v", body, err), false
		}
		name = answer.Items[0].Symbol
		return name, true
	})
	return name
}

// watch stores a symbol through the API; watched reads back what is stored.
func watch(t testing.TB, c *http.Client, o outputs, symbol string) {
	t.Helper()
	status, body, err := request(t, c, http.MethodPost, o.URLs["api"]+"/api/watchlist", map[string]any{"symbols": []string{symbol}}, nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("POST /api/watchlist: %d %q %v", status, body, err)
	}
	t.Logf("POST /api/watchlist: %d %s", status, body)
}

func watched(t testing.TB, c *http.Client, o outputs, symbol string) {
	t.Helper()
	want := fmt.Sprintf(`{"symbols":[%q]}`, symbol)
	eventually(t, 2*time.Minute, "GET /api/watchlist", func(context.Context) (string, bool) {
		status, body, err := request(t, c, http.MethodGet, o.URLs["api"]+"/api/watchlist", nil, nil)
		return fmt.Sprintf("%d %s %v", status, body, err), err == nil && status == http.StatusOK && strings.TrimSpace(string(body)) == want
	})
}
