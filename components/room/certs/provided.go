package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// minRSABits is what clients demand (CA/Browser Forum, Baseline Requirements 6.1.5).
const minRSABits = 2048

// Provided checks a certificate and key that a user brings, both PEM: the server's
// certificate first, then each one's issuer, with or without the root. It verifies them
// as a client would and reports every problem: that they parse, belong together and are
// in order; that the chain leads to a root, which is one that this machine trusts or,
// with a private CA, the last one given; what the certificate is for; that it covers
// each host; that nothing has expired or is still to come.
func Provided(certificate, key string, hosts []string, now time.Time) (*Pair, error) {
	chain, err := parseChain(certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	leaf, err := matchKey(chain, certificate, key)
	if err != nil {
		return nil, err
	}
	var problems []error
	problem := func(format string, v ...any) {
		problems = append(problems, fmt.Errorf("certificate: "+format, v...))
	}
	for _, err := range slices.Concat(checkUse(leaf), checkHosts(leaf, hosts), checkDates(chain, now)) {
		problem("%w", err)
	}
	ordered := checkOrder(chain)
	if ordered != nil {
		problem("%w", ordered)
	} else if err := checkTrust(chain); err != nil {
		problem("%w", err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	expires := leaf.NotAfter
	for _, c := range chain[1:] {
		if !selfSigned(c) && c.NotAfter.Before(expires) {
			expires = c.NotAfter
		}
	}
	return &Pair{Certificate: certificate, Key: key, NotAfter: expires}, nil
}

// name is what a person knows a certificate by.
func name(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return fmt.Sprintf("%q", c.DNSNames[0])
	}
	return fmt.Sprintf("%q", c.Subject.String())
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func parseChain(text string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, errors.New("it holds a private key: put that into the key's own setting")
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %q: give certificates only", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("number %d does not parse: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("there is none in it: give PEM, the server's certificate first, then those that lead to its root")
	}
	if strings.Contains(string(rest), "-----BEGIN") {
		return nil, fmt.Errorf("what follows number %d is broken: give whole PEM blocks", len(chain))
	}
	return chain, nil
}

// matchKey gives the server's certificate, which is the first, if the key is its.
func matchKey(chain []*x509.Certificate, certificate, key string) (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(key))
	for block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		block, rest = pem.Decode(rest) // OpenSSL puts a curve's parameters before
	}
	switch {
	case block == nil:
		return nil, errors.New("private key: there is none: give PEM, unencrypted")
	case strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
		return nil, errors.New("private key: it is encrypted: give it without a pass phrase, as a secret")
	}
	_, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err == nil {
		return chain[0], nil
	}
	for i, c := range chain[1:] {
		alone := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		if _, err := tls.X509KeyPair(alone, []byte(key)); err == nil {
			return nil, fmt.Errorf("certificate: the key belongs to number %d, %s: put it first, then each one's issuer", i+2, name(c))
		}
	}
	return nil, fmt.Errorf("certificate and key: %w", err)
}

// checkUse is about what the certificate may be used for.
func checkUse(leaf *x509.Certificate) (problems []error) {
	problem := func(format string, v ...any) { problems = append(problems, fmt.Errorf(format, v...)) }
	if leaf.IsCA && !selfSigned(leaf) {
		problem("%s is a CA's: give the one that the CA issued for the hosts", name(leaf))
	}
	server := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !server {
		problem("it is not for servers: have it issued with the extended key usage serverAuth")
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		problem("its key may not sign, as TLS needs: have it issued with the key usage digitalSignature")
	}
	switch k := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			problem("its RSA key has %d bits: clients want at least %d", k.N.BitLen(), minRSABits)
		}
	case *ecdsa.PublicKey:
		// No browser takes the smaller one, and not all the larger (BoringSSL leaves P-521 out).
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			problem("its key is on the curve %s, which not every browser takes: have it issued for P-256, P-384 or RSA", k.Curve.Params().Name)
		}
	default:
		problem("its key is of the kind %s, which no browser takes: have it issued for ECDSA or RSA", leaf.PublicKeyAlgorithm)
	}
	return problems
}

func checkHosts(leaf *x509.Certificate, hosts []string) (problems []error) {
	for _, h := range hosts {
		if leaf.VerifyHostname(h) == nil {
			continue
		}
		switch covered := strings.Join(leaf.DNSNames, ", "); covered {
		case "":
			problems = append(problems, fmt.Errorf("it does not cover %s: it names no host as a subject alternative name", h))
		default:
			problems = append(problems, fmt.Errorf("it does not cover %s: it is for %s", h, covered))
		}
	}
	return problems
}

func checkDates(chain []*x509.Certificate, now time.Time) (problems []error) {
	for i, c := range chain {
		which := "it"
		if i > 0 {
			which = fmt.Sprintf("its issuer %s", name(c))
		}
		if now.Before(c.NotBefore) {
			problems = append(problems, fmt.Errorf("%s is valid only from %s", which, c.NotBefore.UTC().Format(time.RFC3339)))
		}
		if now.After(c.NotAfter) {
			problems = append(problems, fmt.Errorf("%s expired at %s: renew it", which, c.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
	return problems
}

// checkOrder demands what TLS 1.2 does: each certificate is the issuer of the one
// before it (RFC 5246, section 7.4.2).
func checkOrder(chain []*x509.Certificate) error {
	for i := range chain[1:] {
		child, issuer := chain[i], chain[i+1]
		if child.CheckSignatureFrom(issuer) == nil {
			continue
		}
		for _, c := range chain {
			if c != child && !bytes.Equal(c.Raw, child.Raw) && child.CheckSignatureFrom(c) == nil {
				return fmt.Errorf("the order is wrong: number %d, %s, was issued by %s, which has to follow it", i+1, name(child), name(c))
			}
		}
		return fmt.Errorf("number %d, %s, did not issue number %d, %s: remove it, or put %q between them",
			i+2, name(issuer), i+1, name(child), child.Issuer.String())
	}
	return nil
}

// checkTrust builds the way to a root. It leaves the dates to checkDates.
func checkTrust(chain []*x509.Certificate) error {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	others := x509.NewCertPool()
	valid := chain[0].NotBefore
	for i, c := range chain {
		if selfSigned(c) {
			roots.AddCert(c)
		} else if i > 0 {
			others.AddCert(c)
		}
		if c.NotBefore.After(valid) {
			valid = c.NotBefore
		}
	}
	last := chain[len(chain)-1]
	_, err = chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, CurrentTime: valid, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return nil // parts that were never valid together: checkDates tells which is wrong
	case errors.As(err, &unknown):
		return fmt.Errorf("the chain is not complete: %q, the issuer of %s, is neither in it nor a root that this machine trusts: append it (your CA gives it as chain or intermediate; of a private CA append the root, too)",
			last.Issuer.String(), name(last))
	default:
		return fmt.Errorf("a client would refuse the chain: %w", err)
	}
}
