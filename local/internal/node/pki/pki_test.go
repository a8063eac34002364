package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
)

var host = topology.Local().First()

func readCert(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s is not PEM", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPKI(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	now := time.Now()
	if err := Write(dir, dir, host, now); err != nil {
		t.Fatal(err)
	}
	for _, id := range Identities(host) {
		cert := readCert(t, filepath.Join(dir, id.Name+".crt"))
		for _, ca := range Authorities {
			pool := x509.NewCertPool()
			pool.AddCert(readCert(t, filepath.Join(dir, ca+".crt")))
			for _, usage := range id.usage {
				_, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: now})
				if (err == nil) != (ca == id.ca) {
					t.Errorf("%s against %s: %v", id.Name, ca, err)
				}
			}
		}
		if _, err := tls.LoadX509KeyPair(filepath.Join(dir, id.Name+".crt"), filepath.Join(dir, id.Name+".key")); err != nil {
			t.Errorf("%s: %v", id.Name, err)
		}
		if fi, err := os.Stat(filepath.Join(dir, id.Name+".key")); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s.key: %v, %v", id.Name, fi.Mode(), err)
		}
		if slices.Contains(cert.Subject.Organization, "system:masters") != (id.Name == "admin") {
			t.Errorf("%s: groups %v: only the administrator is above all rules", id.Name, cert.Subject.Organization)
		}
	}
	api := readCert(t, filepath.Join(dir, "apiserver.crt"))
	for _, host := range []string{host.IP().String(), "127.0.0.1", "10.96.0.1", "kubernetes.default.svc"} {
		if err := api.VerifyHostname(host); err != nil {
			t.Errorf("the API server is not reached as %s: %v", host, err)
		}
	}
	if left, _ := filepath.Glob(dir + "/.new-*"); len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

func TestPKIKeepsWhatStoredStateDependsOn(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	if err := Write(dir, dir, host, now); err != nil {
		t.Fatal(err)
	}
	read := func() map[string][]byte {
		all := map[string][]byte{}
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.Base(f)] = b
		}
		return all
	}
	first := read()
	if err := Write(dir, dir, host, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	second := read()
	for name := range first {
		keep := strings.HasPrefix(name, "service-account")
		for _, ca := range Authorities {
			keep = keep || strings.HasPrefix(name, ca+".")
		}
		if bytes.Equal(first[name], second[name]) != keep {
			t.Errorf("%s: kept %v, want %v", name, !keep, keep)
		}
	}
	if err := Write(dir, dir, host, now.Add(caLife)); err == nil || !strings.Contains(err.Error(), "local down") {
		t.Errorf("authorities that end before their certificates: %v", err)
	}
	// A crash between key and certificate: both are made again.
	if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, dir, host, now); err != nil {
		t.Errorf("after a crash: %v", err)
	}
}

func TestKubeconfigStandsAlone(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, dir, host, time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := WriteKubeconfig(dir, "admin", host.Cluster, path); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Host != host.Cluster.APIServer() || len(cfg.CertData) == 0 || len(cfg.KeyData) == 0 || len(cfg.CAData) == 0 {
		t.Errorf("server %q, certificate %d, key %d, CA %d bytes", cfg.Host, len(cfg.CertData), len(cfg.KeyData), len(cfg.CAData))
	}
}

// TestWorkerHoldsNoSecretOfOthers: a node that is no control plane is known to the API
// server, and cannot sign for anybody.
func TestWorkerHoldsNoSecretOfOthers(t *testing.T) {
	c, err := topology.Local().Apply(topology.Request{Nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	first, dir, worker := t.TempDir(), t.TempDir(), c.Hosts()[1]
	if err := Write(first, dir, worker, time.Now()); err == nil {
		t.Error("a node made authorities of its own")
	}
	if err := Write(first, first, c.First(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := Write(first, dir, worker, time.Now()); err != nil {
		t.Fatal(err)
	}
	kubelet := readCert(t, filepath.Join(dir, "kubelet.crt"))
	pool := x509.NewCertPool()
	pool.AddCert(readCert(t, filepath.Join(first, "ca.crt")))
	if _, err := kubelet.Verify(x509.VerifyOptions{Roots: pool}); err != nil || kubelet.Subject.CommonName != "system:node:alphapulse-2" || kubelet.VerifyHostname("10.250.0.6") != nil {
		t.Errorf("the kubelet's certificate: %v, %s, %v", err, kubelet.Subject, kubelet.IPAddresses)
	}
	keys, _ := filepath.Glob(filepath.Join(dir, "*.key"))
	for i := range keys {
		keys[i] = filepath.Base(keys[i])
	}
	if !slices.Equal(keys, []string{"kubelet.key", "netpol.key", "proxy.key"}) {
		t.Errorf("it holds the keys %v", keys)
	}
	if err := WriteKubeconfig(dir, "kubelet", c, filepath.Join(dir, "kubelet.kubeconfig")); err != nil {
		t.Error(err)
	}
}
