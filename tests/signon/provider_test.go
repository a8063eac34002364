package signon

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
	"github.com/alphapulse/alphapulse-infra/tests/livetest"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
)

var dexPath = sync.OnceValues(func() (string, error) {
	return processes.Built("local/modules/dex", "dex", "github.com/dexidp/dex/cmd/dex")
})

// clientSecret is what the provider has for each of its clients.
const clientSecret = "known-to-both"

// user is somebody whom the provider knows.
type user struct {
	email  string
	groups []string
}

// provider is a dex with its users and their password.
type provider struct {
	issuer string
	pair   *certs.Pair
}

// startProvider runs dex, which leads users back to the given addresses of its clients.
func startProvider(t *testing.T, clients map[string]string, users ...user) *provider {
	t.Helper()
	path, err := dexPath()
	require.NoError(t, err)
	dir := t.TempDir()
	p := &provider{}
	p.pair, err = certs.Internal("a-seed-of-the-provider-in-this-test", "dex", []string{"localhost"}, time.Now())
	require.NoError(t, err)
	port := nginxtest.FreePort(t)
	p.issuer = fmt.Sprintf("https://localhost:%d/dex", port)
	var passwords, known []map[string]any
	for i, u := range users {
		passwords = append(passwords, map[string]any{
			"email": u.email, "hash": livetest.UsersHash, "username": u.email, "name": u.email, "emailVerified": true, "groups": u.groups, "userID": fmt.Sprint(i),
		})
	}
	for id, redirect := range clients {
		known = append(known, map[string]any{"id": id, "name": id, "secret": clientSecret, "redirectURIs": []string{redirect}})
	}
	file := func(name, content string) string {
		at := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(at, []byte(content), 0o600))
		return at
	}
	config, err := json.Marshal(map[string]any{
		"issuer": p.issuer, "storage": map[string]any{"type": "memory"},
		"web": map[string]any{
			"https": fmt.Sprintf("127.0.0.1:%d", port), "tlsCert": file("tls.crt", p.pair.Certificate), "tlsKey": file("tls.key", p.pair.Key),
		},
		"oauth2":        map[string]any{"skipApprovalScreen": true},
		"staticClients": known, "enablePasswordDB": true, "staticPasswords": passwords,
	})
	require.NoError(t, err)
	processes.Start(t, exec.Command(path, "serve", file("dex.yaml", string(config))))
	client := &http.Client{Transport: trusting(t, p.pair.Root)}
	nginxtest.Eventually(t, "dex is ready", func() bool {
		r, err := client.Get(p.issuer + "/.well-known/openid-configuration")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}
