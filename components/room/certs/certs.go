// Package certs makes the certificates of a development CA and checks those that a
// user brings. Plain Go.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Pair is a server certificate with its key, both PEM.
type Pair struct {
	// Certificate is the leaf first, then what leads to the root.
	Certificate string
	Key         string
	// Root is the certificate that a client must trust; "" when the pair came from
	// outside.
	Root string
	// NotAfter is when the leaf expires.
	NotAfter time.Time
}

// The development CA is as old as this project and outlives every development
// environment. A leaf is valid for two periods from the start of the period it was
// made in: at least one period is always left, it changes once a period, and its
// life stays below the 825 days that Apple's clients allow a private CA.
var (
	rootNotBefore = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	rootNotAfter  = time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC)
)

const leafPeriod = 365 * 24 * time.Hour

// minSeed is the least number of bytes that hold the strength of the key made of them.
const minSeed = 32

// Development makes a root and a leaf for the hosts. Everything follows from the
// seed and from the period that now lies in, so each run gives the same bytes and
// nothing but the seed needs to be kept. Whoever has the seed has the CA: it is a
// generated secret, never a user's password.
func Development(seed string, hosts []string, now time.Time) (*Pair, error) {
	return authority{
		name: "development CA", rootKey: "root", leafKey: "leaf",
		// Different for each seed and set of hosts: clients look a CA up by its name.
		distinct: hosts,
		// What a trusted CA could sign is bounded by what it is for.
		permitted: hosts,
		subject:   "AlphaPulse edge", // a host may be longer than a name may be
		numbered:  hosts,
		usage:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}.issue(seed, hosts, now)
}

// authority is what one CA differs from another in, and the leaf that it makes.
type authority struct {
	// name of the CA, in its subject and in errors.
	name string
	// rootKey and leafKey are the uses that the keys are derived for.
	rootKey, leafKey string
	// distinct is what the root's name follows from beside the seed, and numbered what the
	// leaf's number does: clients refuse two certificates of one issuer with one number.
	distinct, numbered []string
	// permitted are the names that it may sign for; nil for all.
	permitted []string
	// subject and usage are the leaf's.
	subject string
	usage   []x509.ExtKeyUsage
}

// issue makes the root and the leaf.
func (a authority) issue(seed string, hosts []string, now time.Time) (*Pair, error) {
	if len(hosts) == 0 {
		return nil, fmt.Errorf("%s: name at least one host", a.name)
	}
	if now.Before(rootNotBefore) || now.After(rootNotAfter.Add(-2*leafPeriod)) {
		return nil, fmt.Errorf("%s: the clock says %s: it issues from %s to %s, set the clock",
			a.name, now.Format(time.DateOnly), rootNotBefore.Format(time.DateOnly), rootNotAfter.Add(-2*leafPeriod).Format(time.DateOnly))
	}
	root, rootKey, err := a.root(seed)
	if err != nil {
		return nil, err
	}
	leafKey, err := key(seed, a.leafKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.name, err)
	}
	start := rootNotBefore.Add(now.Sub(rootNotBefore) / leafPeriod * leafPeriod)
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(digest(seed, a.numbered, start)[:16]),
		Subject:      pkix.Name{CommonName: a.subject},
		DNSNames:     hosts,
		NotBefore:    start,
		NotAfter:     start.Add(2 * leafPeriod),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  a.usage,
	}
	leafDER, err := sign(leaf, root, leafKey, rootKey)
	if err != nil {
		return nil, fmt.Errorf("%s: leaf: %w", a.name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return nil, fmt.Errorf("%s: key: %w", a.name, err)
	}
	return &Pair{
		Certificate: block("CERTIFICATE", leafDER),
		Key:         block("PRIVATE KEY", keyDER),
		Root:        block("CERTIFICATE", root.Raw),
		NotAfter:    leaf.NotAfter,
	}, nil
}

// root makes the root alone, and its key.
func (a authority) root(seed string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	if len(seed) < minSeed {
		return nil, nil, fmt.Errorf("%s: the seed has %d bytes: generate at least %d", a.name, len(seed), minSeed)
	}
	rootKey, err := key(seed, a.rootKey)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", a.name, err)
	}
	root := &x509.Certificate{
		SerialNumber:                big.NewInt(1),
		Subject:                     pkix.Name{CommonName: fmt.Sprintf("AlphaPulse %s %08x", a.name, digest(seed, a.distinct, rootNotBefore)[:4])},
		NotBefore:                   rootNotBefore,
		NotAfter:                    rootNotAfter,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: len(a.permitted) > 0,
		PermittedDNSDomains:         a.permitted,
	}
	rootDER, err := sign(root, root, rootKey, rootKey)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: root: %w", a.name, err)
	}
	// The parsed form carries the key identifier that the leaf refers to.
	if root, err = x509.ParseCertificate(rootDER); err != nil {
		return nil, nil, fmt.Errorf("%s: root: %w", a.name, err)
	}
	return root, rootKey, nil
}

// key derives a P-256 key: bytes of the stream are taken until they are a scalar of
// the curve, which the first ones are but for a chance of 2^-32.
func key(seed, use string) (*ecdsa.PrivateKey, error) {
	prk, err := hkdf.Extract(sha256.New, []byte(seed), []byte("alphapulse development CA"))
	if err != nil {
		return nil, err
	}
	for attempt := range 8 {
		scalar, err := hkdf.Expand(sha256.New, prk, fmt.Sprintf("%s key %d", use, attempt), 32)
		if err != nil {
			return nil, err
		}
		if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar); err == nil {
			return k, nil
		}
	}
	return nil, errors.New("the seed gives no key: generate another one")
}

// digest differs whenever the certificate does.
func digest(seed string, hosts []string, start time.Time) []byte {
	mac := hmac.New(sha256.New, []byte(seed))
	mac.Write(fmt.Appendf(nil, "%d %q", start.Unix(), hosts))
	return mac.Sum(nil)
}

// sign makes a certificate. Without a source of randomness ECDSA signs by RFC 6979:
// the same input gives the same signature.
func sign(cert, parent *x509.Certificate, subject, signer *ecdsa.PrivateKey) ([]byte, error) {
	return x509.CreateCertificate(nil, cert, parent, subject.Public(), signer)
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
