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
	ca := internal
	ca.leafKey, ca.subject, ca.numbered = "internal leaf "+name, name, append([]string{name}, hosts...)
	ca.usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return ca.issue(seed, hosts, now)
}

// InternalRoot is the root that Internal makes of a seed, PEM: what others trust before
// anything is signed by it.
func InternalRoot(seed string) (string, error) {
	root, _, err := internal.root(seed)
	if err != nil {
		return "", err
	}
	return block("CERTIFICATE", root.Raw), nil
}

// internal is what does not depend on the leaf.
var internal = authority{name: "internal CA", rootKey: "internal root"}
