package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

const seed = "a seed of at least thirty-two bytes, for tests only"

var (
	hosts = []string{"alphapulse.example.test", "api.example.test"}
	now   = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode([]byte(text))
	require.NotNil(t, block)
	require.Empty(t, rest)
	c, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return c
}

func TestDevelopmentIsTheSameInEveryRun(t *testing.T) {
	first, err := certs.Development(seed, hosts, now)
	require.NoError(t, err)
	again, err := certs.Development(seed, hosts, now.Add(24*time.Hour))
	require.NoError(t, err)
	assert.Equal(t, first, again)

	other, err := certs.Development(seed+"!", hosts, now)
	require.NoError(t, err)
	assert.NotEqual(t, first.Root, other.Root)
	assert.NotEqual(t, first.Key, other.Key)
	assert.NotEqual(t, parse(t, first.Root).Subject.String(), parse(t, other.Root).Subject.String())
}

func TestDevelopmentRenewsTheLeafOnly(t *testing.T) {
	first, err := certs.Development(seed, hosts, now)
	require.NoError(t, err)
	later, err := certs.Development(seed, hosts, now.AddDate(1, 0, 0))
	require.NoError(t, err)
	assert.Equal(t, first.Root, later.Root, "who trusts the CA need not trust another one")
	assert.NotEqual(t, first.Certificate, later.Certificate)
	assert.NotEqual(t, parse(t, first.Certificate).SerialNumber, parse(t, later.Certificate).SerialNumber)
}

func TestDevelopmentIsTrustedByItsRoot(t *testing.T) {
	// Whenever it is made, it has a year left and lives less than 825 days.
	for at := now; at.Before(now.AddDate(3, 0, 0)); at = at.AddDate(0, 0, 29) {
		pair, err := certs.Development(seed, hosts, at)
		require.NoError(t, err)
		leaf := parse(t, pair.Certificate)
		roots := x509.NewCertPool()
		roots.AddCert(parse(t, pair.Root))
		for _, h := range hosts {
			for _, when := range []time.Time{at, at.AddDate(0, 0, 364)} {
				_, err := leaf.Verify(x509.VerifyOptions{DNSName: h, Roots: roots, CurrentTime: when})
				assert.NoError(t, err)
			}
		}
		_, err = leaf.Verify(x509.VerifyOptions{DNSName: "stranger.test", Roots: roots, CurrentTime: at})
		assert.Error(t, err)
		assert.Less(t, leaf.NotAfter.Sub(leaf.NotBefore), 825*24*time.Hour)
		assert.Equal(t, leaf.NotAfter, pair.NotAfter)
		_, err = tls.X509KeyPair([]byte(pair.Certificate), []byte(pair.Key))
		assert.NoError(t, err)
	}
}

func TestDevelopmentRootSignsForItsHostsOnly(t *testing.T) {
	pair, err := certs.Development(seed, hosts, now)
	require.NoError(t, err)
	root := parse(t, pair.Root)
	assert.True(t, root.IsCA)
	assert.True(t, root.MaxPathLenZero)
	assert.Equal(t, hosts, root.PermittedDNSDomains)
	assert.True(t, root.PermittedDNSDomainsCritical)
}

func TestDevelopmentRefuses(t *testing.T) {
	_, err := certs.Development("short", hosts, now)
	assert.ErrorContains(t, err, "5 bytes")
	_, err = certs.Development(seed, nil, now)
	assert.ErrorContains(t, err, "host")
	for _, clock := range []time.Time{time.Unix(0, 0), now.AddDate(30, 0, 0)} {
		_, err = certs.Development(seed, hosts, clock)
		assert.ErrorContains(t, err, "clock")
	}
}

// What is trusted before anything is signed by it is what will sign.
func TestInternalRoot(t *testing.T) {
	pair, err := certs.Internal(seed, "database", []string{"database"}, now)
	require.NoError(t, err)
	root, err := certs.InternalRoot(seed)
	require.NoError(t, err)
	assert.Equal(t, pair.Root, root)
	_, err = certs.InternalRoot("short")
	assert.ErrorContains(t, err, "5 bytes")
}
