package room

import (
	"net/url"
	"testing"
)

func TestPortOf(t *testing.T) {
	for address, want := range map[string]int{
		"https://a.example.com": 443, "https://a.example.com:8443/dex": 8443, "https://[fd00::1]:9443": 9443, "https://[fd00::1]/": 443,
		"http://prometheus-operated.monitoring.svc": 80, "http://prometheus-operated.monitoring.svc:9090": 9090, "https://a.example.com:/x": 443,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := PortOf(u); got != want {
			t.Errorf("%s: %d, want %d", address, got, want)
		}
	}
}
