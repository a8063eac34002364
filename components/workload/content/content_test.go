package content

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestDigestOfASecretNeedsItsKey: without it, whoever sees the name of an object could try
// what is in it.
func TestDigestOfASecretNeedsItsKey(t *testing.T) {
	weak := map[string]string{"password": "1234"}
	assert.NotEqual(t, Digest("", weak), Digest("key", weak))
	assert.NotEqual(t, Digest("another", weak), Digest("key", weak))
	assert.Equal(t, Digest("key", weak), Digest("key", weak))
	assert.Len(t, Digest("key", weak), nameDigits)
	assert.NotEqual(t, Digest("", map[string]string{"ab": "c"}), Digest("", map[string]string{"a": "bc"}))
}
