package httpx

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lookInterval is the time between two looks at the files of a certificate.
const lookInterval = time.Second

// Certificate is a server's certificate with its key, in files that are renewed while
// the process runs.
type Certificate struct {
	certificateFile, keyFile string
	log                      *slog.Logger

	mu   sync.Mutex
	held *tls.Certificate
	// read are the files that were read last.
	read   [2]os.FileInfo
	looked time.Time
}

// LoadCertificate reads a certificate, with its chain, and its key, both PEM.
func LoadCertificate(certificateFile, keyFile string, r prometheus.Registerer, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certificateFile: certificateFile, keyFile: keyFile, log: log}
	files, err := c.files()
	if err != nil {
		return nil, fmt.Errorf("TLS_CERT_FILE, TLS_KEY_FILE: %w", err)
	}
	if err := c.load(files); err != nil {
		return nil, fmt.Errorf("TLS_CERT_FILE, TLS_KEY_FILE: %w", err)
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tls_certificate_not_after_timestamp_seconds", Help: "Unix time at which the certificate that is served ends.",
	}, func() float64 { return float64(c.current().Leaf.NotAfter.Unix()) }))
	return c, nil
}

// Config of a server with the certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// current returns the newest certificate that could be read. A pair that does not fit
// together is being replaced file by file: the one before is served meanwhile.
func (c *Certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookInterval {
		return c.held
	}
	c.looked = time.Now()
	files, err := c.files()
	if err == nil && !same(files, c.read) {
		err = c.load(files)
		if err == nil {
			c.log.Info("certificate renewed", "not_after", c.held.Leaf.NotAfter)
		}
	}
	if err != nil {
		c.log.Warn("the certificate cannot be renewed: the one before is served", "error", err)
	}
	return c.held
}

// files are the present ones.
func (c *Certificate) files() (files [2]os.FileInfo, err error) {
	for i, name := range []string{c.certificateFile, c.keyFile} {
		if files[i], err = os.Stat(name); err != nil {
			return files, err
		}
	}
	return files, nil
}

// same says whether nothing was replaced or written.
func same(a, b [2]os.FileInfo) bool {
	for i := range a {
		if !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() {
			return false
		}
	}
	return true
}

func (c *Certificate) load(files [2]os.FileInfo) error {
	pair, err := tls.LoadX509KeyPair(c.certificateFile, c.keyFile)
	if err != nil {
		return err
	}
	c.held, c.read = &pair, files
	return nil
}
