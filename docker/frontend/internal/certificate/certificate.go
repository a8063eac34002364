// Package certificate serves a TLS certificate that is renewed while it is served.
package certificate

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// interval is how often the files are looked at, at most: a renewed certificate is
// served within it.
const interval = time.Second

// Files is the certificate in two PEM files. A change of theirs is taken up without a
// restart; while they do not make a pair, as in the middle of a change, the last good
// one is served. A mounted Secret, which Kubernetes replaces by a symbolic link, is
// followed.
type Files struct {
	certificate, key string
	log              *slog.Logger
	now              func() time.Time

	mu      sync.Mutex
	pair    *tls.Certificate
	served  stamp // of the files that pair was read from
	failing bool
	refused stamp // of the files that were no pair, if failing: that is said once
	looked  time.Time
}

// stamp tells whether files have changed; nil is that of files which are not there.
type stamp []os.FileInfo

func (s stamp) equal(other stamp) bool {
	return slices.EqualFunc(s, other, func(a, b os.FileInfo) bool {
		// Two files may have been written within one tick of the file system's clock.
		return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
	})
}

// New reads the certificate with its chain and its key. It fails if they cannot be
// read or are no pair.
func New(certificate, key string, log *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificate, key: key, log: log, now: time.Now}
	var err error
	if f.served, err = f.stamp(); err != nil {
		return nil, err
	}
	if f.pair, err = f.read(); err != nil {
		return nil, err
	}
	f.looked = f.now()
	return f, nil
}

// Config is that of a server: HTTP/2 and HTTP/1.1, TLS 1.2 at least.
func (f *Files) Config() *tls.Config {
	return &tls.Config{GetCertificate: f.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

func (f *Files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= interval {
		f.looked = now
		f.renew()
	}
	return f.pair, nil
}

// renew takes changed files up. The lock is held.
func (f *Files) renew() {
	current, err := f.stamp()
	if current.equal(f.served) || current.equal(f.refused) && f.failing {
		return
	}
	var pair *tls.Certificate
	if err == nil {
		pair, err = f.read()
	}
	if err != nil {
		f.log.Warn("the renewed certificate cannot be used, the last one is still served", "error", err.Error())
		f.refused, f.failing = current, true
		return
	}
	f.pair, f.served, f.failing = pair, current, false
	f.log.Info("a renewed certificate is served", "not_after", pair.Leaf.NotAfter)
}

func (f *Files) stamp() (s stamp, err error) {
	for _, name := range []string{f.certificate, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		s = append(s, info)
	}
	return s, nil
}

func (f *Files) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", f.certificate, f.key, err)
	}
	return &pair, nil
}
