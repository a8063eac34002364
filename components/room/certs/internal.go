package certs

import (
	"crypto/x509"
	"errors"
	"time"
)

// Internal makes the root of a stack's own CA and a leaf for one of its parts, which is a
// server's and a client's. Nobody outside of the stack trusts it. As with Development
// everything follows from the seed, the part's name and the period.
func Internal(seed, name string, hosts []string, now time.Time) (*Pair, error) {
	if name == "" {
		return nil, errors.New("internal CA: name the part")
	}
	return authority{
		name: "internal CA", rootKey: "internal root", leafKey: "internal leaf " + name,
		subject: name, numbered: append([]string{name}, hosts...),
		usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}.issue(seed, hosts, now)
}
