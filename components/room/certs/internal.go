package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Internal makes the root of a stack's own CA and a leaf for one of its parts, which is a
// server's and a client's. Nobody outside of the stack trusts it. As with Development
// everything follows from the seed, the part's name and the period.
func Internal(seed, name string, hosts []string, now time.Time) (*Pair, error) {
	if len(seed) < minSeed {
		return nil, fmt.Errorf("internal CA: the seed has %d bytes: generate at least %d", len(seed), minSeed)
	}
	if name == "" || len(hosts) == 0 {
		return nil, errors.New("internal CA: name the part and at least one host")
	}
	if now.Before(rootNotBefore) || now.After(rootNotAfter.Add(-2*leafPeriod)) {
		return nil, fmt.Errorf("internal CA: the clock says %s: it issues from %s to %s, set the clock",
			now.Format(time.DateOnly), rootNotBefore.Format(time.DateOnly), rootNotAfter.Add(-2*leafPeriod).Format(time.DateOnly))
	}
	rootKey, err := key(seed, "internal root")
	if err != nil {
		return nil, err
	}
	leafKey, err := key(seed, "internal leaf "+name)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("AlphaPulse internal CA %08x", digest(seed, nil, rootNotBefore)[:4])},
		NotBefore:             rootNotBefore,
		NotAfter:              rootNotAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	rootDER, err := sign(root, root, rootKey, rootKey)
	if err != nil {
		return nil, fmt.Errorf("internal CA: root: %w", err)
	}
	if root, err = x509.ParseCertificate(rootDER); err != nil {
		return nil, fmt.Errorf("internal CA: root: %w", err)
	}
	start := rootNotBefore.Add(now.Sub(rootNotBefore) / leafPeriod * leafPeriod)
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(digest(seed, append([]string{name}, hosts...), start)[:16]),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     hosts,
		NotBefore:    start,
		NotAfter:     start.Add(2 * leafPeriod),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leafDER, err := sign(leaf, root, leafKey, rootKey)
	if err != nil {
		return nil, fmt.Errorf("internal CA: leaf: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return nil, fmt.Errorf("internal CA: key: %w", err)
	}
	return &Pair{
		Certificate: block("CERTIFICATE", leafDER),
		Key:         block("PRIVATE KEY", keyDER),
		Root:        block("CERTIFICATE", rootDER),
		NotAfter:    leaf.NotAfter,
	}, nil
}
