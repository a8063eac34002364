//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/components/database/patroni"
	"github.com/alphapulse/alphapulse-infra/tests/e2e/internal/wire"
)

// What is said in SQL, by users whom the edge lets through, and by who shows a password.
// and what a member of the database says of itself.
var spoken = []string{"SELECT ", "INSERT ", "GET /api/market/", "POST /api/watchlist", "Authorization: Basic ", ofMember}

const ofMember = "database_system_identifier"

// inTLS is where the reference images speak TLS to the edge.
var inTLS = []string{"backendTlsPort=8443", "dashboardTlsPort=8443", "frontendTlsPort=8443"}

// TestWire listens to all that the pods say to each other, while the API is asked and the
// application starts anew. Without encryption it hears SQL and the cache's password, which
// proves that it can hear; with encryption required it hears neither, nor any other
// credential that the stack has generated. On the way over no request fails.
func TestWire(t *testing.T) {
	picture(t, namespace)
	e := editable(t)
	o := outputsOf(t, stack)

	e.deploy(t, "wireEncryption=off")
	heard := listen(t, o)
	for _, want := range []string{"SELECT ", "INSERT ", "CACHE", "GET /api/market/", "POST /api/watchlist", ofMember} {
		if heard[want] == 0 {
			t.Errorf("without encryption %q is not heard: %v", want, heard)
		}
	}

	for _, step := range [][]string{{"wireEncryption=preferred"}, inTLS, {"wireEncryption=required"}} {
		what := strings.Join(step, " ")
		l := startLoad(t, &balancer{nodes: []string{"127.0.0.1"}, within: waits, failed: map[string]int{}}, o)
		start := time.Now()
		e.deploy(t, step...)
		took := since(start)
		all := l.settleDown(t, time.Minute)
		fmt.Printf("| update to %s | pages failed: %s; reads: %s; writes: %s | %s |\n", what, all["page"], all["read"], all["write"], took)
		none(t, what, all)
	}
	heard = listen(t, o)
	if len(heard) > 0 {
		t.Errorf("with encryption required there is heard in plain: %v", heard)
	}
	refusesPlain(t)

	pulumi(t, "config", "set", "--stack", stack, "--config-file", e.file, "--path", "wireEncryptionExcept[0]", "dashboard")
	e.deploy(t)
	answers(t, o)
	editable(t).deploy(t)
	answers(t, o)
}

// listen hears what every node's pods say while application and database start anew and the
// API is asked, and returns how often each of the texts was heard, credentials under the
// names of their Secrets and keys; the cache's own under CACHE.
func listen(t *testing.T, o outputs) map[string]int {
	t.Helper()
	named := credentialsIn(t)
	for _, s := range spoken {
		named[s] = s
	}
	ear := wire.NewEar(sortedKeys(named)...)
	nodes, err := cluster.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var stops []func() (uint32, error)
	for _, n := range nodes.Items {
		stop, err := ear.Listen(ctx, "/run/netns/"+n.Name)
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, stop)
	}
	// A connection says its statements once: new processes make new ones.
	for _, name := range []string{"backend", "backend-engine", "backend-dashboard", "database"} {
		for _, p := range pods(t, namespace)[name] {
			if err := cluster.CoreV1().Pods(namespace).Delete(t.Context(), p.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	settled(t, namespace)
	c := browser(t, o.CACertificate)
	symbol := someSymbol(t, c, o)
	for range 20 {
		watch(t, c, o, symbol)
		watched(t, c, o, symbol)
		if status, body, err := request(t, c, http.MethodGet, o.URLs["api"]+"/api/market/status", nil, nil); err != nil || status != http.StatusOK {
			t.Errorf("GET /api/market/status: %d %.120q %v", status, body, err)
		}
	}
	var dropped uint32
	for _, stop := range stops {
		n, err := stop()
		if err != nil {
			t.Fatal(err)
		}
		dropped += n
	}
	segments, volume := ear.Volume()
	t.Logf("%d segments with %d bytes went by, %d more were too many to hear; of %d credentials and texts were heard in plain:\n%s",
		segments, volume, dropped, len(named), ear.Describe(func(needle string) string { return named[needle] }))
	if segments < 1000 {
		t.Errorf("only %d segments went by: it listens in the wrong place", segments)
	}
	heard := map[string]int{}
	for needle, flows := range ear.Heard() {
		for _, n := range flows {
			heard[named[needle]] += n
		}
	}
	return heard
}

// generated is what the stack generates as a password.
var generated = regexp.MustCompile(`[A-Za-z0-9]+`)

// credentialsIn are the generated credentials in the Secrets of the stack, with where each
// of them is.
func credentialsIn(t *testing.T) map[string]string {
	t.Helper()
	list, err := cluster.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, s := range list.Items {
		for key, value := range s.Data {
			for _, text := range generated.FindAllString(string(value), -1) {
				if len(text) == 32 {
					found[text] = s.Name + "/" + key
				}
			}
		}
	}
	for _, s := range list.Items {
		if password := string(s.Data["REDIS_PASSWORD"]); password != "" {
			found[password] = "CACHE"
		}
	}
	if len(found) < 10 {
		t.Fatalf("only %d credentials in the Secrets of %s", len(found), namespace)
	}
	return found
}

// refusesPlain asserts that a pooler, the cache and a member's Patroni take nothing without
// TLS, and prove their names by the CA that the application has.
func refusesPlain(t *testing.T) {
	t.Helper()
	all := pods(t, namespace)
	open := func(p corev1.Pod, port int) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := from(ctx, p.Spec.NodeName, net.JoinHostPort(p.Status.PodIP, fmt.Sprint(port)))
		if err == nil {
			err = c.SetDeadline(time.Now().Add(10 * time.Second))
		}
		return c, err
	}
	if c, err := open(all["cache"][0], 6379); err == nil {
		_ = c.Close()
		t.Error("the cache has a port without TLS")
	}
	roots := x509.NewCertPool()
	secrets, err := cluster.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets.Items {
		if strings.HasPrefix(s.Name, "backend-authority-") {
			roots.AppendCertsFromPEM(s.Data["ca.crt"])
		}
	}
	for name, port := range map[string]int{"cache": 6380, "database": patroni.Port} {
		c, err := open(all[name][0], port)
		if err != nil {
			t.Fatal(err)
		}
		secure := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: name})
		if err := secure.HandshakeContext(t.Context()); err != nil {
			t.Errorf("the certificate of %s at port %d: %v", name, port, err)
		}
		_ = secure.Close()
	}
	c, err := open(all["database"][0], patroni.Port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /primary HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, _ := io.ReadAll(io.LimitReader(c, 1000)); bytes.Contains(answer, []byte("HTTP/")) {
		t.Errorf("Patroni answers a client without TLS: %q", answer)
	}
	_ = c.Close()
	c, err = open(all["database-pooler"][0], 6432)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	parameters := "user\x00alphapulse_user\x00database\x00alphapulse\x00\x00"
	message := binary.BigEndian.AppendUint32(nil, uint32(8+len(parameters)))
	message = binary.BigEndian.AppendUint32(message, 3<<16) // protocol 3.0
	if _, err := c.Write(append(message, parameters...)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(io.LimitReader(c, 1000))
	if !bytes.HasPrefix(answer, []byte("E")) || !bytes.Contains(bytes.ToUpper(answer), []byte("SSL REQUIRED")) {
		t.Errorf("a pooler answers a client without TLS: %q %v", answer, err)
	}
}
