//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

const (
	// gatewayNamespace is where the add-on runs Traefik, and the Gateway is.
	gatewayNamespace = "traefik"
	gatewayObject    = "/apis/gateway.networking.k8s.io/v1/namespaces/" + gatewayNamespace + "/gateways/shared"
	// controllerHTTP and controllerHTTPS are the ports of the nodes that `make up
	// ADDONS=gateway` gives to Traefik.
	controllerHTTP  = "30081"
	controllerHTTPS = "30444"
)

// A way leads clients to the edge.
type way struct {
	name     string
	settings []string
	// http and https are the ports that clients use.
	http, https string
	// prepare is what somebody else than the stack does, before and after the update.
	before, after func(*testing.T)
	// foreign is the authority (PEM) of whoever ends TLS; "" for the stack's own.
	foreign string
	// hides tells that clients' addresses do not get through.
	hides bool
}

// entrance is the stack dev, whose ways in are tried in turn.
type entrance struct {
	edited
	node string
	rows [][]string

	mu sync.Mutex
	// local is the address from which the last connection was made.
	local net.IP
}

// TestWays leads clients to the stack dev by each way in, one after the other by its
// setting, with a real controller of Ingress objects and Gateways, and asks each for what
// clients need: docs/edge.md has the table that it prints.
func TestWays(t *testing.T) {
	picture(t, namespace)
	picture(t, gatewayNamespace)
	e := &entrance{node: nodeAddress(t), edited: edited{filepath.Join(t.TempDir(), "Pulumi."+stack+".yaml")}}
	t.Cleanup(func() { removeGateway(t) })
	t.Cleanup(func() { pulumi(t, "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs") })
	installGateway(t)
	pair, err := certs.Development("the seed of an authority that only the test of the ways in knows", nginx.HostsOf("dev.localhost").All(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ways(e.node, pair) {
		t.Run(w.name, func(t *testing.T) { e.prove(t, w) })
	}
	editable(t).deploy(t)
	answers(t, outputsOf(t, stack))
	fmt.Println(e.table())
}

// ways are all of them. pair is what a Gateway shows that ends TLS.
func ways(node string, pair *certs.Pair) []way {
	byGateway := []string{"edgeExposure=gateway", "edgeGateway=shared", "edgeGatewayNamespace=" + gatewayNamespace, "edgeGatewayHttpListener=http", "edgePublicPort=" + controllerHTTPS}
	gateway := func(name, protocol, mode string) func(*testing.T) {
		return func(t *testing.T) {
			apply(t, fmt.Sprintf(gatewayManifest, gatewayNamespace, pair.Certificate, pair.Key, name, protocol, mode))
		}
	}
	return []way{
		{name: "nodePort", http: "30080", https: "30443"},
		{
			name: "loadBalancer", http: "80", https: "443",
			settings: []string{"edgeExposure=loadBalancer", "edgeHttpNodePort=0", "edgeHttpsNodePort=0", "edgePublicPort=443"},
			after:    func(t *testing.T) { publish(t, "edge", []string{node}) },
		},
		{
			name: "ingress", http: controllerHTTP, https: controllerHTTPS,
			settings: []string{"edgeExposure=ingress", "edgeIngressClass=traefik", "edgeHttpNodePort=0", "edgeHttpsNodePort=0", "edgePublicPort=" + controllerHTTPS},
		},
		{
			name: "gateway, terminate", http: controllerHTTP, https: controllerHTTPS, foreign: pair.Root,
			settings: append(slices.Clone(byGateway), "edgeGatewayListener=https", "edgeHttpNodePort=0", "edgeHttpsNodePort=0"),
			before:   gateway("https", "HTTPS", "{certificateRefs: [{name: wildcard}]}"),
			after:    func(t *testing.T) { attached(t, "https", 1); attached(t, "http", 1) },
		},
		{
			name: "gateway, passthrough", http: controllerHTTP, https: controllerHTTPS, hides: true,
			settings: append(slices.Clone(byGateway), "edgeGatewayTls=passthrough", "edgeGatewayListener=tls", "edgeHttpNodePort=0", "edgeHttpsNodePort=0"),
			before:   gateway("tls", "TLS", "{mode: Passthrough}"),
			after:    func(t *testing.T) { attached(t, "tls", 1); attached(t, "http", 1) },
		},
	}
}

// gatewayManifest is a Gateway as docs/addons.md has it.
const gatewayManifest = `
apiVersion: v1
kind: Secret
metadata: {name: wildcard, namespace: %[1]s}
type: kubernetes.io/tls
stringData: {tls.crt: %[2]q, tls.key: %[3]q}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shared, namespace: %[1]s}
spec:
  gatewayClassName: traefik
  listeners:
  - {name: http, protocol: HTTP, port: 8000, allowedRoutes: {namespaces: {from: All}}}
  - {name: %[4]s, protocol: %[5]s, port: 8443, tls: %[6]s, allowedRoutes: {namespaces: {from: All}}}
`

// installGateway brings Traefik and the Gateway API as users do.
func installGateway(t *testing.T) {
	t.Helper()
	start := time.Now()
	must(t, "deploy", "--addons=gateway")
	t.Logf("Traefik and the Gateway API installed after %s", since(start))
	file := filepath.Join(root, ".local", addonStack, "Pulumi."+addonStack+".yaml")
	t.Log(last(pulumi(t, "up", "--stack", addonStack, "--config-file", file, "--yes", "--skip-preview", "--suppress-outputs", "--expect-no-changes"), 4))
}

// removeGateway ends the stack of add-ons, and then what it keeps: the namespace and the
// definitions.
func removeGateway(t *testing.T) {
	if _, err := try(t, "pulumi", "--", "destroy", "--stack", addonStack, "--yes", "--skip-preview"); err != nil {
		t.Error(err)
	}
	removeNamespace(t, gatewayNamespace)
	var definitions []string
	for name := range strings.FieldsSeq(string(output(t, "kubectl", "--", "get", "crd", "--output=name"))) {
		if strings.HasSuffix(name, ".gateway.networking.k8s.io") {
			definitions = append(definitions, name)
		}
	}
	if len(definitions) == 0 {
		return
	}
	if out, err := try(t, append([]string{"kubectl", "--", "delete"}, definitions...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// attached waits until a listener of the Gateway has so many routes.
func attached(t *testing.T, listener string, routes int) {
	t.Helper()
	eventually(t, 2*time.Minute, "the route at listener "+listener, func(ctx context.Context) (string, bool) {
		raw, err := cluster.Discovery().RESTClient().Get().AbsPath(gatewayObject).DoRaw(ctx)
		var gateway struct {
			Status struct {
				Conditions []metav1.Condition
				Listeners  []struct {
					Name           string
					AttachedRoutes int
					Conditions     []metav1.Condition
				}
			}
		}
		if err != nil || json.Unmarshal(raw, &gateway) != nil {
			return fmt.Sprintf("%v %.200s", err, raw), false
		}
		for _, l := range gateway.Status.Listeners {
			if l.Name == listener && l.AttachedRoutes == routes {
				return fmt.Sprintf("%+v", l.Conditions), true
			}
		}
		return fmt.Sprintf("%+v; %s", gateway.Status, routeConditions(ctx)), false
	})
}

// routeConditions are what the controller says of the stack's routes and of its policy.
func routeConditions(ctx context.Context) string {
	var all []string
	for _, kind := range []string{"httproutes", "tlsroutes", "backendtlspolicies"} {
		raw, err := cluster.Discovery().RESTClient().Get().AbsPath("/apis/gateway.networking.k8s.io/v1/namespaces/" + namespace + "/" + kind).DoRaw(ctx)
		var list struct {
			Items []struct{ Status json.RawMessage }
		}
		if err != nil || json.Unmarshal(raw, &list) != nil {
			all = append(all, fmt.Sprint(kind, err))
			continue
		}
		for _, i := range list.Items {
			all = append(all, fmt.Sprintf("%s %s", kind, i.Status))
		}
	}
	return strings.Join(all, "; ")
}

// prove deploys the stack with one way in, and asks for everything by it.
func (e *entrance) prove(t *testing.T, w way) {
	start := time.Now()
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi."+stack+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if w.before != nil {
		w.before(t)
	}
	// Debugging, the API tells who asked. Passwords are tried more often than a person does.
	e.deploy(t, append([]string{"debug=true", "edgeLoginRate=100", "edgeLoginBurst=100"}, w.settings...)...)
	if w.after != nil {
		w.after(t)
	}
	o := outputsOf(t, stack)
	roots := x509.NewCertPool()
	trusted := w.foreign
	if trusted == "" {
		trusted = o.CACertificate
	}
	if !roots.AppendCertsFromPEM([]byte(trusted)) {
		t.Fatal("the CA certificate is not PEM")
	}
	e.arrives(t, w, o, roots)
	row := []string{
		w.name, fmt.Sprintf("%.0f s", time.Since(start).Seconds()),
		e.address(t, w, o, roots), e.socket(t, o, roots), e.version2(t, o, roots), e.redirects(t, w, o, roots), e.plain(t, w, o, roots),
	}
	e.rows = append(e.rows, row)
	t.Log(strings.Join(row, " | "))
}

// client is a browser that connects to the node, whatever the host's name.
func (e *entrance) client(t *testing.T, roots *x509.CertPool, http2 bool) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, net.JoinHostPort(e.node, port))
			if err == nil {
				e.mu.Lock()
				e.local = conn.LocalAddr().(*net.TCPAddr).IP
				e.mu.Unlock()
			}
			return conn, err
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Timeout: 20 * time.Second, Jar: jar, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// arrives waits until the way leads to everything: controllers take a moment, and what knows
// its own public address was started anew.
func (e *entrance) arrives(t *testing.T, w way, o outputs, roots *x509.CertPool) {
	t.Helper()
	client := e.client(t, roots, false)
	if u, err := url.Parse(o.URLs["api"]); err != nil || portOf(u) != w.https {
		t.Fatalf("the output of the API's URL is %s, and the way in is port %s", o.URLs["api"], w.https)
	}
	eventually(t, 2*time.Minute, "an answer of each service", func(ctx context.Context) (string, bool) {
		for _, name := range sortedKeys(o.URLs) {
			status, _, err := e.step(t, client, o.URLs[name]+"/", o)
			if err == nil && status < http.StatusInternalServerError {
				continue
			}
			seen := fmt.Sprintf("%s: %d %v", name, status, err)
			if strings.HasPrefix(w.name, "gateway") {
				seen += "; " + routeConditions(ctx)
			}
			return seen, false
		}
		return "", true
	})
}

// portOf is the port that a client of the URL connects to.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// address asks the API, and looks up in its log who it was.
func (e *entrance) address(t *testing.T, w way, o outputs, roots *x509.CertPool) string {
	t.Helper()
	res, err := e.client(t, roots, false).Get(o.URLs["api"] + "/api/market/status")
	if err != nil {
		t.Error(err)
		return "no answer"
	}
	_ = res.Body.Close()
	id := res.Header.Get("X-Request-ID")
	want, who := []string{e.local.String()}, "its own"
	if w.hides {
		want, who = nil, "the Gateway's"
		for _, p := range pods(t, gatewayNamespace)["traefik"] {
			for _, ip := range p.Status.PodIPs {
				want = append(want, ip.IP)
			}
		}
	}
	client := ""
	eventually(t, 30*time.Second, "the API's line about request "+id, func(ctx context.Context) (string, bool) {
		var err error
		client, err = clientOf(ctx, id)
		return fmt.Sprint(client, err), client != ""
	})
	if id == "" || !slices.Contains(want, client) {
		t.Errorf("%s: the API takes request %q for one of %q, want %q", w.name, id, client, want)
		return client
	}
	return who
}

// clientOf is the client of a request as an API pod has logged it.
func clientOf(ctx context.Context, id string) (string, error) {
	list, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=" + autoscaled})
	if err != nil {
		return "", err
	}
	for _, p := range list.Items {
		raw, err := cluster.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: p.Spec.Containers[0].Name, SinceSeconds: new(int64(120))}).DoRaw(ctx)
		if err != nil {
			return "", err
		}
		for line := range bytes.Lines(raw) {
			var entry struct {
				ID     string `json:"request_id"`
				Client string `json:"client"`
			}
			if json.Unmarshal(line, &entry) == nil && entry.ID == id && entry.Client != "" {
				return entry.Client, nil
			}
		}
	}
	return "", nil
}

// socket opens a WebSocket and waits for its first message.
func (e *entrance) socket(t *testing.T, o outputs, roots *x509.CertPool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client := e.client(t, roots, false)
	client.Timeout = 0
	start := time.Now()
	conn, _, err := websocket.Dial(ctx, strings.Replace(o.URLs["ui"], "https:", "wss:", 1)+"/ws/streaming", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Errorf("WebSocket: %v", err)
		return "refused"
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(-1)
	if _, _, err := conn.Read(ctx); err != nil {
		t.Errorf("WebSocket: %v", err)
		return "silent"
	}
	return fmt.Sprintf("first message after %.1f s", time.Since(start).Seconds())
}

// version2 asks by HTTP/2.
func (e *entrance) version2(t *testing.T, o outputs, roots *x509.CertPool) string {
	t.Helper()
	res, err := e.client(t, roots, true).Get(o.URLs["ui"] + "/")
	if err != nil {
		t.Error(err)
		return "no answer"
	}
	_ = res.Body.Close()
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusOK {
		t.Errorf("HTTP/2: %s %s", res.Proto, res.Status)
	}
	return fmt.Sprintf("%d", res.StatusCode)
}

// redirects follows every URL that the stack tells, with and without a slash, as a browser
// does: nothing leads to another port, host or scheme than users have.
func (e *entrance) redirects(t *testing.T, w way, o outputs, roots *x509.CertPool) string {
	t.Helper()
	hops := 0
	for _, name := range sortedKeys(o.URLs) {
		told := strings.TrimSuffix(o.URLs[name], "/")
		public, err := url.Parse(told)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{told, told + "/"} {
			client := e.client(t, roots, true)
			status, path := 0, []string{at}
			for len(path) < 10 {
				now, to, err := e.step(t, client, path[len(path)-1], o)
				if err != nil {
					t.Errorf("%s: %v: %v", w.name, path, err)
					break
				}
				if status = now; to == nil {
					break
				}
				hops++
				path = append(path, to.String())
				if to.Scheme != "https" || to.Hostname() != public.Hostname() || portOf(to) != w.https {
					t.Errorf("%s: %v leads users away from https://%s:%s", w.name, path, public.Hostname(), w.https)
					break
				}
			}
			// The API has nothing at its root.
			if status != http.StatusOK && (name != "api" || status != http.StatusNotFound) {
				t.Errorf("%s: %v ends with %d", w.name, path, status)
			}
		}
	}
	return fmt.Sprintf("%d URLs, %d redirects", 2*len(o.URLs), hops)
}

// step asks for a URL, and returns the status and where it leads to, if it does.
func (e *entrance) step(t *testing.T, client *http.Client, at string, o outputs) (int, *url.URL, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		return 0, nil, err
	}
	if strings.HasPrefix(at, o.URLs["prometheus"]) {
		req.SetBasicAuth("admin", o.PrometheusPassword)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 3 {
		return res.StatusCode, nil, nil
	}
	to, err := res.Location()
	return res.StatusCode, to, err
}

// plain asks for the URLs by plain HTTP, which leads to the same ones by HTTPS.
func (e *entrance) plain(t *testing.T, w way, o outputs, roots *x509.CertPool) string {
	t.Helper()
	for _, name := range sortedKeys(o.URLs) {
		want := strings.TrimSuffix(o.URLs[name], "/") + "/somewhere?a=b"
		u, err := url.Parse(want)
		if err != nil {
			t.Fatal(err)
		}
		u.Scheme, u.Host = "http", u.Hostname()
		if w.http != "80" {
			u.Host = net.JoinHostPort(u.Hostname(), w.http)
		}
		status, to, err := e.step(t, e.client(t, roots, false), u.String(), o)
		if err != nil || status != http.StatusPermanentRedirect || to == nil || to.String() != want {
			t.Errorf("%s: GET %s: %d to %v (%v), want 308 to %s", w.name, u, status, to, err, want)
			return "wrong"
		}
	}
	return "308 to HTTPS"
}

// table is what was seen, for docs/edge.md.
func (e *entrance) table() string {
	var b strings.Builder
	b.WriteString("| way in | update | client's address at the API | WebSocket | HTTP/2 | with and without slash | plain HTTP |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, row := range e.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}
