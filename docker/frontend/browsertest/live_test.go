//go:build live

package browsertest

import (
	"encoding/base64"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// deployed returns the site whose address the variable names.
func deployed(t *testing.T, variable string) site {
	t.Helper()
	s := site{url: strings.TrimRight(os.Getenv(variable), "/"), caFile: os.Getenv("CA_FILE"), resolve: map[string]string{}}
	if s.url == "" {
		t.Fatalf("%s is not set: give the address of the deployed site", variable)
	}
	if strings.HasPrefix(s.url, "https:") && s.caFile == "" {
		t.Fatal("CA_FILE is not set: give the PEM file of the CA that signed the edge's certificate")
	}
	for pair := range strings.SplitSeq(os.Getenv("RESOLVE"), ",") {
		if pair == "" {
			continue
		}
		host, address, ok := strings.Cut(pair, "=")
		if !ok {
			t.Fatalf("RESOLVE: %q is not host=address", pair)
		}
		s.resolve[host] = address
	}
	return s
}

func TestLiveUI(t *testing.T) {
	s := deployed(t, "UI_URL")
	checkUI(t, newBrowser(t, s), s)
}

func TestLiveDashboard(t *testing.T) {
	s := deployed(t, "DASHBOARD_URL")
	checkDashboard(t, newBrowser(t, s), s)
}

// TestLivePrometheus: Prometheus' own pages draw a graph, behind the edge's login and below
// its path.
func TestLivePrometheus(t *testing.T) {
	s := deployed(t, "PROMETHEUS_URL")
	password := os.Getenv("PROMETHEUS_PASSWORD")
	if password == "" {
		t.Fatal("PROMETHEUS_PASSWORD is not set: give the stack's output prometheusPassword")
	}
	p := newTab(t, newBrowser(t, s), s, false)
	p.run("log in", call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
		Headers: network.Headers{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+password))},
	}))
	p.run("take a small desktop's size", chromedp.EmulateViewport(1200, 1000))
	query := url.Values{"g0.expr": {`sum by (host, route) (rate(edge_requests_total[1m]))`}, "g0.tab": {"graph"}, "g0.range_input": {"15m"}}
	p.open(s.url + "/query?" + query.Encode())
	p.await("a graph", `document.querySelector('.uplot canvas')?.width > 300`)
	p.await("its series in the legend", `/host="/.test(document.body.innerText)`)
	if title := eval[string](p, "document.title"); !strings.Contains(title, "Prometheus") {
		t.Errorf("the page is called %q", title)
	}
	p.shot("graph")
}
