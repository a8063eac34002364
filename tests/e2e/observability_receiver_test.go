//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// receiverAddress is one of the Internet to the network policies, and nobody's (RFC 5737).
// While the test runs, it is this machine's.
const receiverAddress = "203.0.113.7"

const (
	alertmanager = "monitoring-alertmanager"
	// receiverCA is on Alertmanager's volume: a company's receiver has a certificate of
	// the company's own, whose authority the image does not know.
	receiverCA = "/alertmanager/receiver-ca.crt"
)

// page is a notification as Alertmanager's webhook sends it.
type page struct {
	at     time.Time
	Alerts []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"alerts"`
}

// receiver takes notifications, of every kind.
type receiver struct {
	authority *authority

	mu      sync.Mutex
	pages   []page
	notices []notice
}

// startReceiver listens where an update of the stack lets Alertmanager send to.
func startReceiver(t *testing.T) *receiver {
	t.Helper()
	ip := func(args ...string) error {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	while := func(add, remove []string) {
		t.Helper()
		if err := ip(add...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := ip(remove...); err != nil {
				t.Error(err)
			}
		})
	}
	while([]string{"address", "replace", receiverAddress + "/32", "dev", "lo"}, []string{"address", "del", receiverAddress + "/32", "dev", "lo"})
	for node, machine := range machineAddresses(t) {
		// The nodes' networks lead nowhere but to each other and to this machine.
		while([]string{"-netns", node, "route", "add", receiverAddress + "/32", "via", machine}, []string{"-netns", node, "route", "del", receiverAddress + "/32"})
	}
	r := &receiver{authority: newAuthority(t)}
	certificate, key := r.authority.issue(t, time.Now().Add(24*time.Hour), receiverAddress)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(receiverAddress, "443"), &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hook", r.take)
	mux.HandleFunc("/", r.service)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // it ends with the test
	t.Cleanup(func() { _ = server.Close() })
	mails, err := net.Listen("tcp", net.JoinHostPort(receiverAddress, mailPort))
	if err != nil {
		t.Fatal(err)
	}
	go r.takeMail(mails, &tls.Config{Certificates: []tls.Certificate{pair}})
	t.Cleanup(func() { _ = mails.Close() })
	return r
}

// machineAddresses are those that the machine has for the nodes, by the nodes' names, which
// are those of their networks.
func machineAddresses(t *testing.T) map[string]string {
	t.Helper()
	nodes, err := cluster.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, n := range nodes.Items {
		i := slices.IndexFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool {
			return a.Type == corev1.NodeInternalIP && net.ParseIP(a.Address).To4() != nil
		})
		if i < 0 {
			t.Fatalf("node %s has no address of version 4", n.Name)
		}
		out, err := exec.Command("ip", "-json", "route", "get", n.Status.Addresses[i].Address).Output()
		var routes []struct {
			From string `json:"prefsrc"`
		}
		if err != nil || json.Unmarshal(out, &routes) != nil || len(routes) != 1 || routes[0].From == "" {
			t.Fatalf("the way to node %s: %s %v", n.Name, out, err)
		}
		all[n.Name] = routes[0].From
	}
	return all
}

func (r *receiver) take(w http.ResponseWriter, q *http.Request) {
	p := page{at: time.Now()}
	if err := json.NewDecoder(q.Body).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pages = append(r.pages, p)
}

// got is when a page first said that of the alert, after a time, and what else it said. Of
// several alerts, as in A|B, any will do.
func (r *receiver) got(alert, status string, after time.Time) (at time.Time, said string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pages {
		for _, a := range p.Alerts {
			if slices.Contains(strings.Split(alert, "|"), a.Labels["alertname"]) && a.Status == status && p.at.After(after) {
				return p.at, fmt.Sprintf("%s %s: %s; %s; %s", a.Labels["severity"], a.Labels["alertname"], a.Annotations["summary"], a.Annotations["runbook_url"], a.Annotations["dashboard_url"]), true
			}
		}
	}
	return time.Time{}, fmt.Sprintf("%d notifications", len(r.pages)), false
}

// leadsTo is where the first page of the alert after a time leads for its workload's log lines.
func (r *receiver) leadsTo(alert string, after time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pages {
		for _, a := range p.Alerts {
			if slices.Contains(strings.Split(alert, "|"), a.Labels["alertname"]) && a.Status == "firing" && p.at.After(after) {
				return a.Annotations["logs_url"]
			}
		}
	}
	return ""
}

// awaits waits for that page.
func (r *receiver) awaits(t *testing.T, limit time.Duration, alert, status string, after time.Time) (at time.Time, said string) {
	t.Helper()
	eventually(t, limit, alert+" "+status, func(context.Context) (string, bool) {
		var ok bool
		at, said, ok = r.got(alert, status, after)
		return said, ok
	})
	return at, said
}

// trusted lets Alertmanager know the receiver's authority.
func (r *receiver) trusted(t *testing.T) {
	t.Helper()
	script := fmt.Sprintf("echo %s | base64 -d > %s", base64.StdEncoding.EncodeToString([]byte(r.authority.certificate)), receiverCA)
	if out, err := execute(t.Context(), namespace, alertmanager+"-0", "alertmanager", "sh", "-c", script); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	set := func(variable string) {
		must(t, "kubectl", "--", "--namespace="+namespace, "set", "env", "statefulset/"+alertmanager, variable)
	}
	set("SSL_CERT_FILE=" + receiverCA)
	t.Cleanup(func() { set("SSL_CERT_FILE-") })
	settled(t, namespace)
}

// authority signs certificates, as a company's own does.
type authority struct {
	certificate string // PEM
	parent      *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e authority"}, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parent, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate: encoded("CERTIFICATE", der), parent: parent, key: key}
}

// issue gives a server with these names or addresses a certificate and its key, PEM.
func (a *authority) issue(t *testing.T, end time.Time, hosts ...string) (certificate, key string) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "e2e server"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.parent, &own.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return encoded("CERTIFICATE", der), encoded("PRIVATE KEY", raw)
}

func encoded(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
