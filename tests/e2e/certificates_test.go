//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

const (
	// authorityNamespace is where Pebble runs, which plays Let's Encrypt, with the name
	// server that it and cert-manager ask for the hosts.
	authorityNamespace = "e2e-authority"
	addonStack         = "addons"
	// certificateObject and certificateSecret are what cert-manager keeps for the edge.
	certificateObject = "/apis/cert-manager.io/v1/namespaces/" + namespace + "/certificates/edge"
	certificateSecret = "edge-certificate"
	// passedOn is how long docs/edge.md says that a renewed certificate takes: the
	// kubelet's period, and a second of nginx'.
	passedOn         = 91 * time.Second
	managerNamespace = "cert-manager"
)

// TestCertificates has real cert-manager keep the certificate of the stack dev, by
// challenges HTTP-01 of an ACME server through the edge, and renew it under load.
func TestCertificates(t *testing.T) { testCertificates(t) }

// certified is a stack whose certificate changes.
type certified struct {
	outputs
	rows []string
	// others are the pods of everything but the edge.
	others map[string][]string
}

func testCertificates(t *testing.T) {
	picture(t, namespace)
	picture(t, authorityNamespace)
	picture(t, managerNamespace)
	c := &certified{outputs: outputsOf(t, stack)}
	client := browser(t, c.CACertificate)
	symbol := someSymbol(t, client, c.outputs)
	watch(t, client, c.outputs, symbol)
	c.others = c.withoutEdge(t)

	nameServer, root := c.startAuthority(t)
	c.installManager(t, nameServer, root)
	e := editable(t)
	c.under(t, "development → certManager", func() {
		e.deploy(t, "tlsMode=certManager", "tlsIssuer=pebble", "tlsHttp01=true")
		start := time.Now()
		c.issued(t)
		t.Logf("the hosts are proven and the certificate is served %s after the update", since(start))
	})
	c.testRenewal(t)
	c.under(t, "certManager → development", func() { editable(t).deploy(t) })

	now := outputsOf(t, stack)
	if now.CACertificate != c.CACertificate {
		t.Error("the development CA is another one than before")
	}
	answers(t, now)
	watched(t, client, now, symbol)
	if after := c.withoutEdge(t); !reflect.DeepEqual(c.others, after) {
		t.Errorf("pods beside the edge's were %v and are %v", c.others, after)
	}
	c.testAddonsOfOthers(t)
	t.Logf("certificates, requests that failed, on connections that stay and on new ones:\n%s", strings.Join(c.rows, "\n"))
}

func (c *certified) withoutEdge(t *testing.T) map[string][]string {
	t.Helper()
	found := uidsWithout(t, autoscaled)
	delete(found, "edge")
	return found
}

// startAuthority starts Pebble, whose name server leads every host to the edge inside the
// cluster, and returns the name server's address and the certificate that Pebble has.
func (c *certified) startAuthority(t *testing.T) (nameServer, root string) {
	t.Helper()
	must(t, "images", "pebble")
	createNamespace(t, authorityNamespace)
	edge, err := cluster.CoreV1().Services(namespace).Get(t.Context(), "edge", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	root, key := livetest.SelfSigned(t, "pebble."+authorityNamespace+".svc")
	settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": "0.0.0.0:14000", "managementListenAddress": "0.0.0.0:15000",
		"certificate": "/etc/pebble/tls.crt", "privateKey": "/etc/pebble/tls.key",
		"httpPort": 80, "tlsPort": 443, "retryAfter": map[string]int{"authz": 2, "order": 2},
		"profiles": map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, fmt.Sprintf(authorityManifest, authorityNamespace, root, key, settings, edge.Spec.ClusterIP))
	eventually(t, 2*time.Minute, "Pebble is ready", func(ctx context.Context) (string, bool) {
		p, err := cluster.CoreV1().Pods(authorityNamespace).Get(ctx, "pebble", metav1.GetOptions{})
		return fmt.Sprint(p.Status.Phase, err), err == nil && ready(p)
	})
	service, err := cluster.CoreV1().Services(authorityNamespace).Get(t.Context(), "pebble", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(service.Spec.ClusterIP, "8053"), root
}

// authorityManifest is Pebble, strict, and its name server.
const authorityManifest = `
apiVersion: v1
kind: Secret
metadata: {name: pebble, namespace: %[1]s}
stringData: {tls.crt: %[2]q, tls.key: %[3]q, config.json: %[4]q}
---
apiVersion: v1
kind: Service
metadata: {name: pebble, namespace: %[1]s}
spec:
  selector: {app.kubernetes.io/name: pebble}
  ports:
  - {name: acme, port: 14000}
  - {name: names-udp, port: 8053, protocol: UDP}
  - {name: names-tcp, port: 8053}
---
apiVersion: v1
kind: Pod
metadata: {name: pebble, namespace: %[1]s, labels: {app.kubernetes.io/name: pebble}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 65534, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: pebble
    image: ghcr.io/letsencrypt/pebble:2.10.0
    args: [-config, /etc/pebble/config.json, -strict, -dnsserver, "127.0.0.1:8053"]
    env: [{name: PEBBLE_VA_NOSLEEP, value: "1"}]
    readinessProbe: {tcpSocket: {port: 14000}}
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: config, mountPath: /etc/pebble}]
  - name: names
    image: ghcr.io/letsencrypt/pebble:2.10.0
    command: [/usr/bin/pebble-challtestsrv, -defaultIPv4, %[5]s, -defaultIPv6, "", -dnsserver, ":8053", -http01, "", -https01, "", -tlsalpn01, "", -doh, ""]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
  volumes: [{name: config, secret: {secretName: pebble}}]
`

// addonFile is the file of the stack of add-ons that `make up ADDONS=certManager` left,
// for the test's own settings.
func (c *certified) addonFile(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, ".local", addonStack, "Pulumi."+addonStack+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "Pulumi."+addonStack+".yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// installManager brings cert-manager as users do, tells it the name server, and names
// Pebble as an issuer.
func (c *certified) installManager(t *testing.T, nameServer, root string) {
	t.Helper()
	start := time.Now()
	t.Cleanup(func() { c.removeAddons(t) })
	t.Cleanup(func() {
		// cert-manager leaves it to whoever may want it.
		err := cluster.CoreV1().Secrets(namespace).Delete(context.Background(), certificateSecret, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	must(t, "deploy", "--addons=certManager")
	file := c.addonFile(t)
	pulumi(t, "config", "set", "--path", "certManagerNameServers[0]", nameServer, "--plaintext", "--stack", addonStack, "--config-file", file)
	upAddons := []string{"up", "--stack", addonStack, "--config-file", file, "--yes", "--skip-preview", "--suppress-outputs"}
	t.Log(last(pulumi(t, upAddons...), 4))
	t.Log(last(pulumi(t, append(upAddons, "--expect-no-changes")...), 4))
	c.rows = append(c.rows, fmt.Sprintf("cert-manager installed, and named its name server: %s", since(start)))

	issuer := fmt.Sprintf(issuerManifest, authorityNamespace, base64.StdEncoding.EncodeToString([]byte(root)))
	eventually(t, 2*time.Minute, "the issuer", func(ctx context.Context) (string, bool) {
		// The API server knows the webhook's authority a moment after the webhook is ready.
		cmd := command(ctx, []string{"kubectl", "--", "apply", "--filename=-"})
		cmd.Stdin = strings.NewReader(issuer)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err == nil
	})
}

// issuerManifest is an issuer as docs/edge.md has it.
const issuerManifest = `
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: pebble}
spec:
  acme:
    server: https://pebble.%[1]s.svc:14000/dir
    caBundle: %[2]s
    privateKeySecretRef: {name: pebble-account}
    solvers: [{http01: {ingress: {serviceType: ClusterIP}}}]
`

// removeAddons ends the stack, and then what it keeps: the definitions, and the namespace.
func (c *certified) removeAddons(t *testing.T) {
	_, _ = try(t, "kubectl", "--", "delete", "clusterissuer", "pebble", "--ignore-not-found")
	if _, err := try(t, "pulumi", "--", "destroy", "--stack", addonStack, "--yes", "--skip-preview"); err != nil {
		t.Error(err)
	}
	_, _ = try(t, append([]string{"kubectl", "--", "delete", "--ignore-not-found", "crd"}, certManagerDefinitions...)...)
	removeNamespace(t, managerNamespace)
}

var certManagerDefinitions = []string{
	"certificates.cert-manager.io", "certificaterequests.cert-manager.io", "issuers.cert-manager.io", "clusterissuers.cert-manager.io",
	"orders.acme.cert-manager.io", "challenges.acme.cert-manager.io",
}

// under runs an event while requests come in, none of which may fail.
func (c *certified) under(t *testing.T, what string, event func()) {
	t.Helper()
	l := c.load(t)
	start := time.Now()
	event()
	took := since(start)
	time.Sleep(3 * time.Second) // what the event left behind shows up
	l.stop()
	seen := l.seen()
	row := fmt.Sprintf("%-28s took %-8s", what, took)
	for _, kind := range sortedKeys(seen) {
		y := seen[kind]
		if row += fmt.Sprintf("  %s: %s", kind, y); y.failed > 0 {
			t.Errorf("%s, %s: %s", what, kind, y)
		}
	}
	c.rows = append(c.rows, row)
}

// load sends requests in turn on connections that stay, of both versions of HTTP, and on
// new ones. Whose the certificate is has its own checks.
func (c *certified) load(t *testing.T) *load {
	t.Helper()
	client := func(version2, fresh bool) *http.Client {
		return &http.Client{Timeout: answerWithin, Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2: version2, DisableKeepAlives: fresh,
			DialContext: c.onLoopback,
		}}
	}
	clients := map[string]*http.Client{"kept": client(false, false), "kept, HTTP/2": client(true, false), "new": client(false, true)}
	get := func(ctx context.Context, h *http.Client) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URLs["ui"]+"/", nil)
		if err != nil {
			return nil, err
		}
		return h.Do(req)
	}
	l := &load{tallies: map[string]tally{}}
	names := sortedKeys(clients)
	l.begin(t, func(i int) {
		name := names[i%len(names)]
		l.one(kind{name, get}, clients[name])
	})
	return l
}

// onLoopback connects to the stack's ports, which are published there.
func (c *certified) onLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{Timeout: answerWithin}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// presented is what a pod of the edge shows to who asks for a host, the server's own first.
func (c *certified) presented(ctx context.Context, pod, host string) ([]*x509.Certificate, error) {
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", pod)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates, nil
}

// edges are the addresses of TLS of the edge's pods.
func (c *certified) edges(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, p := range pods(t, namespace)["edge"] {
		for _, container := range p.Spec.Containers {
			for _, port := range container.Ports {
				if port.Name == "https" {
					all = append(all, net.JoinHostPort(p.Status.PodIP, fmt.Sprint(port.ContainerPort)))
				}
			}
		}
	}
	if len(all) < 2 {
		t.Fatalf("the edge has %d pods with a port https", len(all))
	}
	return all
}

// issued waits until every pod of the edge shows a certificate of Pebble's, and checks it
// for each host.
func (c *certified) issued(t *testing.T) {
	t.Helper()
	roots := x509.NewCertPool()
	raw, err := cluster.CoreV1().RESTClient().Get().Namespace(authorityNamespace).Resource("pods").Name("https:pebble:15000").SubResource("proxy").Suffix("roots/0").DoRaw(t.Context())
	if err != nil || !roots.AppendCertsFromPEM(raw) {
		t.Fatalf("Pebble's root: %v %.100s", err, raw)
	}
	hosts := map[string]bool{}
	for _, u := range c.URLs {
		parsed, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		hosts[parsed.Hostname()] = true
	}
	eventually(t, 5*time.Minute, "every pod of the edge shows the authority's certificate", func(ctx context.Context) (string, bool) {
		var errs []error
		for _, pod := range c.edges(t) {
			for host := range hosts {
				errs = append(errs, c.trusted(ctx, pod, host, roots))
			}
		}
		err := errors.Join(errs...)
		return fmt.Sprintf("%d hosts: %v; %s", len(hosts), err, c.progress(ctx)), err == nil
	})
}

// trusted tells whether a client that trusts the roots takes a pod for a host.
func (c *certified) trusted(ctx context.Context, pod, host string, roots *x509.CertPool) error {
	chain, err := c.presented(ctx, pod, host)
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, p := range chain[1:] {
		between.AddCert(p)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: host})
	return err
}

// progress is what cert-manager says of the order.
func (c *certified) progress(ctx context.Context) string {
	raw, err := cluster.Discovery().RESTClient().Get().AbsPath("/apis/acme.cert-manager.io/v1/namespaces/" + namespace + "/challenges").DoRaw(ctx)
	var list struct {
		Items []struct {
			Spec   struct{ DNSName string }
			Status struct{ State, Reason string }
		}
	}
	if err != nil || json.Unmarshal(raw, &list) != nil {
		return fmt.Sprint(err)
	}
	var all []string
	for _, i := range list.Items {
		all = append(all, fmt.Sprintf("%s %s %s", i.Spec.DNSName, i.Status.State, i.Status.Reason))
	}
	return "challenges: " + strings.Join(all, "; ")
}

// stored is the certificate in the Secret.
func (c *certified) stored(t *testing.T) *x509.Certificate {
	t.Helper()
	secret, err := cluster.CoreV1().Secrets(namespace).Get(t.Context(), certificateSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(secret.Data["tls.crt"])
	if block == nil {
		t.Fatal("the Secret holds no certificate")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// testRenewal asks cert-manager for a new certificate, as `cmctl renew` does, while
// requests come in: no pod restarts.
func (c *certified) testRenewal(t *testing.T) {
	old, before := c.stored(t), c.restarts(t)
	var changed time.Time
	var took time.Duration
	c.under(t, "renewal", func() {
		c.renew(t)
		var now *x509.Certificate
		eventually(t, 3*time.Minute, "a new certificate", func(ctx context.Context) (string, bool) {
			now = c.stored(t)
			return fmt.Sprintf("serial %x; %s", now.SerialNumber, c.progress(ctx)), now.SerialNumber.Cmp(old.SerialNumber) != 0
		})
		changed = time.Now()
		if reflect.DeepEqual(old.PublicKey, now.PublicKey) {
			t.Error("the renewed certificate has the old key")
		}
		eventually(t, passedOn+10*time.Second, "every pod of the edge shows it", func(ctx context.Context) (string, bool) {
			var waiting []string
			for _, pod := range c.edges(t) {
				chain, err := c.presented(ctx, pod, now.DNSNames[0])
				if err != nil || chain[0].SerialNumber.Cmp(now.SerialNumber) != 0 {
					waiting = append(waiting, fmt.Sprint(pod, err))
				}
			}
			return fmt.Sprintf("waiting for %v", waiting), len(waiting) == 0
		})
		took = since(changed)
	})
	c.rows = append(c.rows, fmt.Sprintf("renewed certificate served by every pod: %s after it was in the Secret", took))
	if took > passedOn {
		t.Errorf("the renewed certificate was served after %s, and docs/edge.md promises %s", took, passedOn)
	}
	if after := c.restarts(t); !reflect.DeepEqual(before, after) {
		t.Errorf("the pods of the edge and their restarts were %v and are %v", before, after)
	}
}

// restarts counts how often each container of the edge's pods was restarted.
func (c *certified) restarts(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, p := range pods(t, namespace)["edge"] {
		for _, s := range p.Status.ContainerStatuses {
			all = append(all, fmt.Sprintf("%s/%s %d", p.Name, s.Name, s.RestartCount))
		}
	}
	slices.Sort(all)
	return all
}

// renew sets the condition by which cert-manager issues anew.
func (c *certified) renew(t *testing.T) {
	t.Helper()
	api := cluster.Discovery().RESTClient()
	eventually(t, 30*time.Second, "the renewal is asked for", func(ctx context.Context) (string, bool) {
		raw, err := api.Get().AbsPath(certificateObject).DoRaw(ctx)
		if err != nil {
			return err.Error(), false
		}
		var object map[string]any
		if err := json.Unmarshal(raw, &object); err != nil {
			return err.Error(), false
		}
		status, _ := object["status"].(map[string]any)
		conditions, _ := status["conditions"].([]any)
		if status == nil {
			return fmt.Sprintf("no status: %.300s", raw), false
		}
		status["conditions"] = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "Certificate re-issuance manually triggered",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		})
		if raw, err = json.Marshal(object); err != nil {
			return err.Error(), false
		}
		// Somebody else may have changed it meanwhile: then once more.
		_, err = api.Put().AbsPath(certificateObject+"/status").SetHeader("Content-Type", "application/json").Body(raw).DoRaw(ctx)
		return fmt.Sprint(err), err == nil
	})
}

// testAddonsOfOthers: an end of the stack leaves the definitions, which are still its own;
// over somebody else's it installs nothing.
func (c *certified) testAddonsOfOthers(t *testing.T) {
	file := c.addonFile(t)
	pulumi(t, "destroy", "--stack", addonStack, "--yes", "--skip-preview")
	output(t, append([]string{"kubectl", "--", "get", "crd"}, certManagerDefinitions...)...)
	preview := []string{"pulumi", "--", "preview", "--stack", addonStack, "--config-file", file}
	must(t, preview...)
	must(t, "kubectl", "--", "annotate", "crd", "issuers.cert-manager.io", "alphapulse.io/stack-")
	out, err := try(t, preview...)
	if err == nil || !strings.Contains(out, "the cluster has cert-manager already, and not from this stack (issuers.cert-manager.io)") {
		t.Errorf("cert-manager would be installed over somebody else's: %v\n%s", err, last(out, 20))
	}
}
