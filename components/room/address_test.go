package room

import (
	"net/url"
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	for _, right := range []string{
		"https://a.example.com", "https://A.Example.COM./x", "https://my_svc:8443/", "https://10.0.0.1:1", "https://[fd00::1]:65535", "https://xn--nice-2na.example.com",
		"https://prometheus-operated.monitoring.svc.cluster.local:9090/a?b=c",
	} {
		if Address(right, "https") == nil {
			t.Errorf("%s is refused", right)
		}
	}
	for _, wrong := range []string{
		"", "a.example.com", "http://a.example.com", "https://", "https://a.example.com:0", "https://a.example.com:65536", "https://a.example.com:099", "https://a.example.com:",
		"https://.", "https://a..b", "https://-a", "https://a-", "https://a b", "https://a:b:c", "https://[fe80::1%25eth0]", "https://${HOST}", "https://{{x}}", "https://\u00fcber.example.com",
		"https://" + strings.Repeat("x", 64), "https://" + strings.Repeat("x.", 127) + "com",
	} {
		if u := Address(wrong, "https"); u != nil {
			t.Errorf("%s is taken as %s", wrong, u)
		}
	}
}

// What a message repeats of an address has nothing that logs in, whatever else is wrong with it.
func TestShown(t *testing.T) {
	for raw, want := range map[string]string{
		"https://a.example.com:8443/x": "https://a.example.com:8443/x", "a b:25": "a b:25", "": "",
		"http://u:hunter2@a.example.com/x":                         "http://…@a.example.com/x",
		"https://u:hun/ter2@a.example.com":                         "https://…@a.example.com",
		"https://u:hun?t=er2@a.example.com":                        "https://…@a.example.com",
		"https://u:hun@ter2@a.example.com":                         "https://…@a.example.com",
		"u:hunter2@smtp.example.com:587":                           "…@smtp.example.com:587",
		"https://a.example.com/?token=hunter2&hunter2&x=1#hunter2": "https://a.example.com/?token=…&…&x=…#…",
	} {
		if got := Shown(raw); got != want {
			t.Errorf("%q is shown as %q, want %q", raw, got, want)
		}
	}
}

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
