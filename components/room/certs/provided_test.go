package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

// party has a certificate.
type party struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (p party) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw}))
}

func (p party) keyPEM(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

var serial int64

// issue has issuer sign a certificate, itself if it is nil.
func issue(t *testing.T, issuer *party, change func(*x509.Certificate), key crypto.Signer) party {
	t.Helper()
	if key == nil {
		var err error
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
	}
	serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(0, 2, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: hosts,
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if issuer != nil {
		parent, signer = issuer.certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return party{made, key}
}

func ca(name string, change func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject, c.DNSNames, c.ExtKeyUsage = pkix.Name{CommonName: name}, nil, nil
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		c.NotBefore, c.NotAfter = now.AddDate(-1, 0, 0), now.AddDate(5, 0, 0)
		if change != nil {
			change(c)
		}
	}
}

// joined is a chain as a file holds it.
func joined(parties ...party) string {
	var text strings.Builder
	for _, p := range parties {
		text.WriteString(p.pem())
	}
	return text.String()
}

// lines are the problems that an error names.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func TestProvidedIsVerifiedAsAClientWould(t *testing.T) {
	root := issue(t, nil, ca("the root", nil), nil)
	between := issue(t, &root, ca("the intermediate", nil), nil)
	lower := issue(t, &between, ca("the lower intermediate", nil), nil)
	foreign := issue(t, nil, ca("a foreign root", nil), nil)
	direct := issue(t, &root, nil, nil)
	leaf := issue(t, &between, nil, nil)
	deep := issue(t, &lower, nil, nil)
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // too small on purpose
	require.NoError(t, err)
	usual, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	wide, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	of := func(issuer party, change func(*x509.Certificate)) party { return issue(t, &issuer, change, nil) }
	old := of(root, ca("an old intermediate", func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }))
	bound := of(root, ca("a bound intermediate", func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"elsewhere.test"}
	}))
	flat := of(root, ca("a flat intermediate", func(c *x509.Certificate) { c.MaxPathLenZero = true }))
	below := of(flat, ca("below the flat one", nil))
	noCA := of(root, func(c *x509.Certificate) { c.Subject.CommonName = "no CA" })

	for name, c := range map[string]struct {
		chain []party
		key   party
		want  []string // one for each line; empty: it is taken
	}{
		"with its root":                        {[]party{leaf, between, root}, leaf, nil},
		"of the root itself":                   {[]party{direct, root}, direct, nil},
		"of two intermediates":                 {[]party{deep, lower, between, root}, deep, nil},
		"signed by itself":                     {[]party{issue(t, nil, nil, nil)}, party{}, nil},
		"without its intermediate":             {[]party{leaf}, leaf, []string{"not complete: \"CN=the intermediate\""}},
		"without its intermediate, but a root": {[]party{leaf, root}, leaf, []string{"put \"CN=the intermediate\" between"}},
		"without the root of a private CA":     {[]party{leaf, between}, leaf, []string{"not complete: \"CN=the root\""}},
		"without the upper intermediate":       {[]party{deep, lower}, deep, []string{"not complete: \"CN=the intermediate\""}},
		"in the wrong order":                   {[]party{deep, between, lower, root}, deep, []string{"the order is wrong: number 1"}},
		"from the root down":                   {[]party{root, between, leaf}, leaf, []string{"the key belongs to number 3"}},
		"with a stranger behind":               {[]party{direct, root, foreign}, direct, []string{"did not issue number 2"}},
		"of a foreign root":                    {[]party{direct, foreign}, direct, []string{"did not issue number 1"}},
		"with another key":                     {[]party{leaf, between, root}, direct, []string{"private key does not match"}},
		"a CA's":                               {[]party{between, root}, between, []string{"is a CA's", "does not cover " + hosts[0], "does not cover " + hosts[1], "digitalSignature"}},
		"for clients": {[]party{of(root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), root},
			party{}, []string{"serverAuth"}},
		"for any use":             {[]party{of(root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), root}, party{}, nil},
		"for no use that is said": {[]party{of(root, func(c *x509.Certificate) { c.ExtKeyUsage, c.KeyUsage = nil, 0 }), root}, party{}, nil},
		"with a key that encrypts only": {[]party{of(root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), root},
			party{}, []string{"digitalSignature"}},
		"with a key that is too small":          {[]party{issue(t, &root, nil, small), root}, party{}, []string{"1024 bits"}},
		"with a key that browsers do not know":  {[]party{issue(t, &root, nil, edwards), root}, party{}, []string{"Ed25519, which no browser takes"}},
		"on a curve that not all browsers know": {[]party{issue(t, &root, nil, wide), root}, party{}, []string{"P-521"}},
		"of RSA":                                {[]party{issue(t, &root, nil, usual), root}, party{}, nil},
		"expired": {[]party{of(root, func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1) }), root},
			party{}, []string{"it expired at 2026-06-30T12:00:00Z"}},
		"of the future": {[]party{of(root, func(c *x509.Certificate) { c.NotBefore = now.AddDate(0, 0, 1) }), root},
			party{}, []string{"only from 2026-07-02T12:00:00Z"}},
		"of an issuer that expired":             {[]party{of(old, nil), old, root}, party{}, []string{"its issuer \"CN=an old intermediate\" expired"}},
		"of an issuer for others":               {[]party{of(bound, nil), bound, root}, party{}, []string{"would refuse the chain"}},
		"of an issuer that may have none below": {[]party{of(below, nil), below, flat, root}, party{}, []string{"would refuse the chain"}},
		"of an issuer that is no CA":            {[]party{of(noCA, nil), noCA, root}, party{}, []string{"did not issue number 1"}},
		"of no host": {[]party{of(root, func(c *x509.Certificate) { c.DNSNames = nil }), root},
			party{}, []string{hosts[0] + ": it names no host", hosts[1] + ": it names no host"}},
		"of a wildcard": {[]party{of(root, func(c *x509.Certificate) { c.DNSNames = []string{"*.example.test"} }), root}, party{}, nil},
		"of a wildcard above": {[]party{of(root, func(c *x509.Certificate) { c.DNSNames = []string{"*.test"} }), root},
			party{}, []string{"does not cover " + hosts[0], "does not cover " + hosts[1]}},
		"all at once": {[]party{of(root, func(c *x509.Certificate) {
			c.NotAfter, c.DNSNames, c.ExtKeyUsage = now.AddDate(0, 0, -1), hosts[:1], []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})}, party{}, []string{"expired", "does not cover " + hosts[1], "serverAuth", "not complete"}},
	} {
		t.Run(name, func(t *testing.T) {
			key := c.key
			if key.key == nil {
				key = c.chain[0]
			}
			text := joined(c.chain...)
			pair, err := certs.Provided(text, key.keyPEM(t), hosts, now)
			said := lines(err)
			require.Len(t, said, len(c.want), "%v", err)
			for _, want := range c.want {
				assert.True(t, slices.ContainsFunc(said, func(line string) bool { return strings.Contains(line, want) }), "%q is not in %q", want, said)
			}
			if err != nil {
				assert.NotContains(t, err.Error(), "BEGIN", "no key in a message")
				return
			}
			assert.Equal(t, text, pair.Certificate, "the chain is served as given")
			assert.Equal(t, key.keyPEM(t), pair.Key)
			assert.Empty(t, pair.Root)
			assert.Equal(t, c.chain[0].certificate.NotAfter, pair.NotAfter)
		})
	}
}

// Whichever host is missing is named, and no other.
func TestProvidedNamesExactlyTheMissingHost(t *testing.T) {
	all := []string{"alphapulse.example.test", "api.example.test", "dashboard.example.test", "monitoring.example.test"}
	root := issue(t, nil, ca("the root", nil), nil)
	for i, missing := range all {
		covered := slices.Delete(slices.Clone(all), i, i+1)
		leaf := issue(t, &root, func(c *x509.Certificate) { c.DNSNames = covered }, nil)
		_, err := certs.Provided(joined(leaf, root), leaf.keyPEM(t), all, now)
		assert.EqualError(t, err, fmt.Sprintf("certificate: it does not cover %s: it is for %s", missing, strings.Join(covered, ", ")))

		only := issue(t, &root, func(c *x509.Certificate) { c.DNSNames = []string{missing} }, nil)
		_, err = certs.Provided(joined(only, root), only.keyPEM(t), all, now)
		var want []string
		for _, h := range covered {
			want = append(want, fmt.Sprintf("certificate: it does not cover %s: it is for %s", h, missing))
		}
		assert.Equal(t, want, lines(err))
	}
}

func TestProvidedExpiresWithTheFirstOfItsChain(t *testing.T) {
	root := issue(t, nil, ca("the root", nil), nil)
	between := issue(t, &root, ca("short", func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, 9) }), nil)
	leaf := issue(t, &between, nil, nil)
	pair, err := certs.Provided(joined(leaf, between, root), leaf.keyPEM(t), hosts, now)
	require.NoError(t, err)
	assert.Equal(t, now.AddDate(0, 0, 9), pair.NotAfter)
}

func TestProvidedIsReadable(t *testing.T) {
	root := issue(t, nil, ca("the root", nil), nil)
	leaf := issue(t, &root, nil, nil)
	chain, key := joined(leaf, root), leaf.keyPEM(t)
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	for name, c := range map[string]struct{ certificate, key, want string }{
		"no PEM":                    {"x", key, "give PEM"},
		"empty":                     {"", key, "give PEM"},
		"the key first":             {key + chain, key, "it holds a private key"},
		"a request":                 {"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", key, `"CERTIFICATE REQUEST"`},
		"cut off":                   {chain[:len(chain)-40], key, "what follows number 1 is broken"},
		"not a certificate":         {chain + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key, "number 3 does not parse"},
		"no key":                    {chain, "", "private key: there is none"},
		"a certificate as the key":  {chain, chain, "private key: there is none"},
		"a key with a pass phrase":  {chain, encrypted, "it is encrypted"},
		"an old one, with one":      {chain, "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "it is encrypted"},
		"a key that does not parse": {chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "failed to parse private key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := certs.Provided(c.certificate, c.key, hosts, now)
			assert.ErrorContains(t, err, c.want)
			assert.Len(t, lines(err), 1)
		})
	}
	_, err := certs.Provided("# issued by the CA\n"+chain+"\n", key, hosts, now)
	assert.NoError(t, err, "text between the blocks is a comment")
}

func TestProvidedTakesTheDevelopmentCAs(t *testing.T) {
	made, err := certs.Development(seed, hosts, now)
	require.NoError(t, err)
	pair, err := certs.Provided(made.Certificate+made.Root, made.Key, hosts, now)
	require.NoError(t, err)
	assert.Equal(t, made.NotAfter, pair.NotAfter)
	_, err = certs.Provided(made.Certificate+made.Root, made.Key, hosts, now.Add(5*365*24*time.Hour))
	assert.ErrorContains(t, err, "it expired at 2028-01-01")
}
