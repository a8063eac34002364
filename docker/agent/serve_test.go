package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/member"
)

// testRoot is a certificate that nothing is signed by.
const testRoot = `-----BEGIN CERTIFICATE-----
MIIBizCCATGgAwIBAgIUSKxKRHeXPOMgmZa2T9JMxkMzv9wwCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPYSByb290IG9mIHRlc3RzMCAXDTI2MTEyODExMTYwMVoYDzIx
MjYxMTA0MTExNjAxWjAaMRgwFgYDVQQDDA9hIHJvb3Qgb2YgdGVzdHMwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAREznZGiu1sGzescrVghQiICv5hsZOlj5o0GfWm
aECA2OvF0PhQpo6bAXfhAk8RUrPXdYNiegTvyGeov3pxv1NZo1MwUTAdBgNVHQ4E
FgQUzmfy7k97Dzw09QvylAbJ1tPakfgwHwYDVR0jBBgwFoAUzmfy7k97Dzw09Qvy
lAbJ1tPakfgwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiABnzCK
jTbBo5d+Gc3e9JI9HYsmxONVqZDfKc1glGXKSQIhANuNqmy6NaN7n6RI57wFD+Xs
PgdAC/e/PzlNQh/xjk38
-----END CERTIFICATE-----
`

// TestOwnPatroniIsKnownOrAskedWithoutTLS: never asked over TLS with nobody to vouch for it.
func TestOwnPatroniIsKnownOrAskedWithoutTLS(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, []byte(testRoot), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args       []string
		name, says string
	}{
		{[]string{"-ca", ca, "-pooler", "pooler", "-patroni", "database"}, "database", ""},
		{[]string{"-ca", ca, "-pooler", "pooler"}, "", ""},
		{[]string{"-patroni", "database"}, "", "-patroni needs -ca"},
	} {
		flags := flag.NewFlagSet("member", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		found := findOthers(flags)
		if err := flags.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		var h member.Handover
		err := found(&h)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q: %v", c.args, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%q: %v", c.args, err)
		}
		switch {
		case (h.Patroni.TLS != nil) != (c.name != ""):
			t.Errorf("%q: TLS of Patroni is %+v", c.args, h.Patroni.TLS)
		case h.Patroni.TLS != nil && (h.Patroni.TLS.ServerName != c.name || h.Patroni.TLS.RootCAs == nil || h.Patroni.TLS.InsecureSkipVerify):
			t.Errorf("%q: Patroni is known as %q", c.args, h.Patroni.TLS.ServerName)
		case h.TLS == nil || h.TLS.ServerName != "pooler":
			t.Errorf("%q: poolers are known as %+v", c.args, h.TLS)
		}
	}
}
