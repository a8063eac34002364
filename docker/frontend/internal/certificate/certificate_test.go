package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair is a certificate with this name and its key, both in PEM.
func pair(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// secret is a folder as Kubernetes mounts a Secret: files that lead through a link
// which is replaced in one step.
type secret struct {
	*testing.T
	dir      string
	versions int
}

func (s *secret) put(certificate, key []byte) {
	s.Helper()
	s.versions++
	version := filepath.Join(s.dir, "..version"+strings.Repeat("x", s.versions))
	must := func(err error) {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
	}
	must(os.Mkdir(version, 0o700))
	must(os.WriteFile(filepath.Join(version, "tls.crt"), certificate, 0o600))
	must(os.WriteFile(filepath.Join(version, "tls.key"), key, 0o600))
	must(os.Symlink(version, filepath.Join(s.dir, "..new")))
	must(os.Rename(filepath.Join(s.dir, "..new"), filepath.Join(s.dir, "..data")))
	if s.versions == 1 {
		for _, name := range []string{"tls.crt", "tls.key"} {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(s.dir, name)))
		}
	}
}

func TestRenewedCertificateIsServed(t *testing.T) {
	mount := &secret{T: t, dir: t.TempDir()}
	mount.put(pair(t, "first"))
	var log bytes.Buffer
	f, err := New(filepath.Join(mount.dir, "tls.crt"), filepath.Join(mount.dir, "tls.key"), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	f.now = func() time.Time { return clock }
	serves := func(want string) {
		t.Helper()
		clock = clock.Add(interval)
		got, err := f.Config().GetCertificate(nil)
		if err != nil || got.Leaf.Subject.CommonName != want {
			t.Fatalf("%v, %v, want %s\n%s", got.Leaf.Subject, err, want, log.String())
		}
	}
	serves("first")

	mount.put(pair(t, "second"))
	serves("second")

	// The certificate is there already, its key is not yet.
	certificate, key := pair(t, "third")
	_, other := pair(t, "other")
	mount.put(certificate, other)
	serves("second")
	serves("second")
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("what is no pair is told %d times:\n%s", n, log.String())
	}
	mount.put(certificate, key)
	serves("third")

	if err := os.Remove(filepath.Join(mount.dir, "..data")); err != nil {
		t.Fatal(err)
	}
	serves("third")
	mount.put(pair(t, "fourth"))
	serves("fourth")
}

func TestFilesAreLookedAtOnceInAnInterval(t *testing.T) {
	mount := &secret{T: t, dir: t.TempDir()}
	mount.put(pair(t, "first"))
	f, err := New(filepath.Join(mount.dir, "tls.crt"), filepath.Join(mount.dir, "tls.key"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f.now = func() time.Time { return f.looked.Add(interval - 1) }
	mount.put(pair(t, "second"))
	if got, err := f.Config().GetCertificate(nil); err != nil || got.Leaf.Subject.CommonName != "first" {
		t.Errorf("%v, %v", got.Leaf.Subject, err)
	}
}

func TestNoPairAtTheStartIsAnError(t *testing.T) {
	dir := t.TempDir()
	certificate, _ := pair(t, "one")
	_, key := pair(t, "other")
	for name, content := range map[string][]byte{"one.crt": certificate, "other.key": key, "empty": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ certificate, key, want string }{
		{"none", "other.key", "no such file"},
		{"one.crt", "other.key", "does not match"},
		{"empty", "other.key", "failed to find any PEM"},
	} {
		_, err := New(filepath.Join(dir, c.certificate), filepath.Join(dir, c.key), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.certificate) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
