package stacks

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/room/certs"
)

func TestCertificatesOfAuthorities(t *testing.T) {
	p, err := certs.Internal("a seed of at least thirty-two bytes", "s3", []string{"s3"}, time.Now())
	require.NoError(t, err)
	assert.NoError(t, certificates(p.Root))
	assert.NoError(t, certificates(p.Root+p.Root), "several")
	half := strings.Split(p.Root, "\n")
	for what, v := range map[string]string{
		"a key":                       p.Key,
		"a certificate and a key":     p.Root + p.Key,
		"nothing":                     "",
		"the file's name":             "ca.crt",
		"the first line":              "-----BEGIN CERTIFICATE-----",
		"cut off":                     strings.Join(half[:len(half)/2], "\n"),
		"something else in its frame": "-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString([]byte("hello")) + "\n-----END CERTIFICATE-----\n",
	} {
		assert.Error(t, certificates(v), what)
	}
}
