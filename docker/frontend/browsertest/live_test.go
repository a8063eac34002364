//go:build live

package browsertest

import (
	"os"
	"strings"
	"testing"
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
