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
	"sync"
	"testing"
	"time"
)

// receiverAddress is one of the Internet to the network policies and nobody's (RFC 5737).
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
	Status string `json:"status"`
	Alerts []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"alerts"`
}

// receiver takes notifications.
type receiver struct {
	ca []byte

	mu    sync.Mutex
	pages []page
}

// startReceiver listens where an update of the stack lets Alertmanager send to.
func startReceiver(t *testing.T) *receiver {
	t.Helper()
	if out, err := exec.Command("ip", "address", "add", receiverAddress+"/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("ip address add: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "address", "del", receiverAddress+"/32", "dev", "lo").CombinedOutput(); err != nil {
			t.Errorf("ip address del: %v %s", err, out)
		}
	})
	r := &receiver{}
	certificate, err := r.certificate()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(receiverAddress, "443"), &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(r.take), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // it ends with the test
	t.Cleanup(func() { _ = server.Close() })
	return r
}

// certificate is self-signed.
func (r *receiver) certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "receiver"}, IPAddresses: []net.IP{net.ParseIP(receiverAddress)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	r.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
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

// got is when the alert came with that status, and what it said.
func (r *receiver) got(alert, status string) (at time.Time, said string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pages {
		for _, a := range p.Alerts {
			if a.Labels["alertname"] == alert && a.Status == status {
				return p.at, fmt.Sprintf("%s; runbook %s; dashboard %s", a.Annotations["summary"], a.Annotations["runbook_url"], a.Annotations["dashboard_url"]), true
			}
		}
	}
	return time.Time{}, fmt.Sprintf("%d notifications", len(r.pages)), false
}

// trusted lets Alertmanager know the receiver's authority.
func (r *receiver) trusted(t *testing.T) {
	t.Helper()
	script := fmt.Sprintf("echo %s | base64 -d > %s", base64.StdEncoding.EncodeToString(r.ca), receiverCA)
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

// testPaged: the cache, which stopped at that time, is told of, and that it is back.
func (r *receiver) testPaged(t *testing.T, stopped time.Time) {
	const alert = "CacheDown"
	eventually(t, 6*time.Minute, "the page", func(context.Context) (string, bool) {
		_, said, ok := r.got(alert, "firing")
		return said, ok
	})
	fired, said, _ := r.got(alert, "firing")
	scale(t, "cache", 1)
	back := time.Now()
	eventually(t, 9*time.Minute, "that it is over", func(context.Context) (string, bool) {
		_, said, ok := r.got(alert, "resolved")
		return said, ok
	})
	over, _, _ := r.got(alert, "resolved")
	t.Logf("%s: the cache stopped, the page came %.0f s later: %s; the cache was started again, and %.0f s later came that it is over",
		alert, fired.Sub(stopped).Seconds(), said, over.Sub(back).Seconds())
}
