//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

const (
	// providerNamespace is where dex runs, which is the provider of a company.
	providerNamespace = "e2e-provider"
	providerHost      = "dex." + providerNamespace + ".svc"
	// providerPort is that of its Service, of its pod and of the node alike: pods and the
	// test's browser find it at the same address.
	providerPort = 30556

	providerSecret = "known-to-both"
	loginName      = "edge-login"
)

// TestLogin has the edge of the stack dev, and Grafana behind it, ask a real provider.
func TestLogin(t *testing.T) { testLogin(t) }

func testLogin(t *testing.T) {
	picture(t, namespace)
	picture(t, providerNamespace)
	before := outputsOf(t, stack)
	must(t, "images", "oauth2-proxy", "dex")
	issuer, root := startProvider(t, before)

	e := editable(t)
	pulumi(t, "config", "set-all", "--stack", stack, "--config-file", e.file,
		"--secret", "edgeOidcClientSecret="+providerSecret, "--secret", "grafanaOidcClientSecret="+providerSecret)
	pulumi(t, "config", "set", "--path", "--plaintext", "--stack", stack, "--config-file", e.file, "edgeOidcDomains[0]", "example.com")
	pulumi(t, "config", "set", "--path", "--plaintext", "--stack", stack, "--config-file", e.file, "edgeLoginExempt[0]", "/api/market/status")
	start := time.Now()
	e.deploy(t, "edgeLogin=oidc", "edgeOidcIssuer="+issuer, "edgeOidcClientId=edge", "edgeOidcCa="+root,
		"grafanaLogin=oidc", "grafanaOidcAuthUrl="+issuer+"/auth", "grafanaOidcTokenUrl="+issuer+"/token", "grafanaOidcApiUrl="+issuer+"/userinfo",
		"grafanaOidcClientId=grafana", "grafanaOidcCa="+root)
	t.Logf("the stack has a login %s after the update began", since(start))

	o := outputsOf(t, stack)
	somebody := func() livetest.Person {
		return livetest.NewPerson(t, toProvider(t, browser(t, o.CACertificate+root).Transport.(*http.Transport)))
	}
	stranger := somebody()
	for _, host := range []string{"ui", "dashboard", "grafana"} {
		if shown := stranger.Open(t, o.URLs[host]+"/"); shown.At.Hostname() != providerHost {
			t.Errorf("%s without a login: %d at %s", host, shown.Status, shown.At)
		}
	}
	if got := stranger.Ask(t, o.URLs["api"]+"/api/signals"); got.Status != http.StatusUnauthorized {
		t.Errorf("the API without a login: %d %s", got.Status, got.Body)
	}
	if got := stranger.Ask(t, o.URLs["api"]+"/api/market/status"); got.Status != http.StatusOK {
		t.Errorf("what is exempt: %d %s", got.Status, got.Body)
	}
	if got := stranger.Login(t, o.URLs["ui"]+"/", "ada@example.com", "wrong"); got.At.Hostname() != providerHost {
		t.Errorf("a wrong password ended at %s", got.At)
	}
	if got := somebody().Login(t, o.URLs["ui"]+"/", "eve@elsewhere.test", livetest.UsersPassword); got.Status != http.StatusForbidden {
		t.Errorf("somebody of another domain: %d %s", got.Status, got.Body)
	}

	ada := somebody()
	if got := ada.Login(t, o.URLs["dashboard"]+"/", "ada@example.com", livetest.UsersPassword); got.Status != http.StatusOK || got.At.String() != o.URLs["dashboard"]+"/" {
		t.Fatalf("after the login: %d at %s: %s", got.Status, got.At, got.Body)
	}
	for host, path := range map[string]string{"ui": "/", "api": "/api/symbols", "dashboard": "/", "grafana": "/api/health"} {
		if got := ada.Ask(t, o.URLs[host]+path); got.Status != http.StatusOK {
			t.Errorf("%s with the session: %d %s", host, got.Status, got.Body)
		}
	}
	testSignOn(t, o, ada)
	testLoginPods(t, o, ada)

	editable(t).deploy(t)
	answers(t, outputsOf(t, stack))
}

// testSignOn has somebody whom the edge knows log in to Grafana at the same provider.
func testSignOn(t *testing.T, o outputs, ada livetest.Person) {
	t.Helper()
	if got := ada.Login(t, o.URLs["grafana"]+"/login/generic_oauth", "ada@example.com", livetest.UsersPassword); got.Status != http.StatusOK {
		t.Errorf("Grafana after the login: %d at %s: %s", got.Status, got.At, got.Body)
	}
	var user struct {
		Email          string
		IsGrafanaAdmin bool
	}
	var roles []struct{ Role string }
	for path, into := range map[string]any{"/api/user": &user, "/api/user/orgs": &roles} {
		got := ada.Ask(t, o.URLs["grafana"]+path)
		if err := json.Unmarshal([]byte(got.Body), into); err != nil {
			t.Errorf("Grafana's %s: %d %s", path, got.Status, got.Body)
		}
	}
	if user.Email != "ada@example.com" || user.IsGrafanaAdmin || len(roles) != 1 || roles[0].Role != "Viewer" {
		t.Errorf("Grafana knows %+v with %v, want ada@example.com as a Viewer", user, roles)
	}
}

// testLoginPods deletes all pods of the login at once: nobody gets in meanwhile, and the
// session is as good as before.
func testLoginPods(t *testing.T, o outputs, ada livetest.Person) {
	t.Helper()
	there := pods(t, namespace)[loginName]
	if len(there) < 2 {
		t.Errorf("%d pods of the login, want as many as of the edge", len(there))
	}
	for _, p := range there {
		if err := cluster.CoreV1().Pods(namespace).Delete(t.Context(), p.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int]int{}
	eventually(t, 2*time.Minute, "the session holds again", func(context.Context) (string, bool) {
		got := ada.Ask(t, o.URLs["api"]+"/api/symbols")
		seen[got.Status]++
		if got.Status == http.StatusServiceUnavailable && got.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		return fmt.Sprint(seen), got.Status == http.StatusOK && seen[http.StatusServiceUnavailable] > 0
	})
	for status := range seen {
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Errorf("without a login: %d of %v", status, seen)
		}
	}
	t.Logf("all pods of the login deleted at once: answers by status %v", seen)
}

// toProvider leads to the provider what is meant for it, and leaves the rest.
func toProvider(t *testing.T, by *http.Transport) *http.Transport {
	t.Helper()
	node, dial := nodeAddress(t), by.DialContext
	by.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, providerHost+":") {
			address = net.JoinHostPort(node, fmt.Sprint(providerPort))
		}
		return dial(ctx, network, address)
	}
	return by
}

// startProvider starts dex with two users and the clients that the stack is, and returns its
// issuer and its certificate.
func startProvider(t *testing.T, o outputs) (issuer, root string) {
	t.Helper()
	createNamespace(t, providerNamespace)
	root, key := livetest.SelfSigned(t, providerHost)
	issuer = fmt.Sprintf("https://%s:%d/dex", providerHost, providerPort)
	client := func(id, redirect string) map[string]any {
		return map[string]any{"id": id, "name": id, "secret": providerSecret, "redirectURIs": []string{redirect}}
	}
	user := func(id, email string) map[string]any {
		return map[string]any{"email": email, "hash": livetest.UsersHash, "username": email, "emailVerified": true, "userID": id}
	}
	config, err := json.Marshal(map[string]any{
		"issuer": issuer, "storage": map[string]any{"type": "memory"},
		"web":              map[string]any{"https": fmt.Sprintf("0.0.0.0:%d", providerPort), "tlsCert": "/etc/dex/tls.crt", "tlsKey": "/etc/dex/tls.key"},
		"oauth2":           map[string]any{"skipApprovalScreen": true},
		"staticClients":    []any{client("edge", o.URLs["ui"]+"/oauth2/callback"), client("grafana", o.URLs["grafana"]+"/login/generic_oauth")},
		"enablePasswordDB": true, "staticPasswords": []any{user("1", "ada@example.com"), user("2", "eve@elsewhere.test")},
	})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, fmt.Sprintf(providerManifest, providerNamespace, root, key, config, providerPort))
	eventually(t, 2*time.Minute, "dex is ready", func(ctx context.Context) (string, bool) {
		p, err := cluster.CoreV1().Pods(providerNamespace).Get(ctx, "dex", metav1.GetOptions{})
		return fmt.Sprint(p.Status.Phase, err), err == nil && ready(p)
	})
	return issuer, root
}

const providerManifest = `
apiVersion: v1
kind: Secret
metadata: {name: dex, namespace: %[1]s}
stringData: {tls.crt: %[2]q, tls.key: %[3]q, dex.yaml: %[4]q}
---
apiVersion: v1
kind: Service
metadata: {name: dex, namespace: %[1]s}
spec:
  type: NodePort
  selector: {app.kubernetes.io/name: dex}
  ports: [{port: %[5]d, targetPort: %[5]d, nodePort: %[5]d}]
---
apiVersion: v1
kind: Pod
metadata: {name: dex, namespace: %[1]s, labels: {app.kubernetes.io/name: dex}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 1001, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: dex
    image: ghcr.io/dexidp/dex:v2.45.1
    args: [serve, /etc/dex/dex.yaml]
    readinessProbe: {tcpSocket: {port: %[5]d}}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: config, mountPath: /etc/dex}]
  volumes: [{name: config, secret: {secretName: dex}}]
`
