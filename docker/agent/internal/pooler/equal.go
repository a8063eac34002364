package pooler

import (
	"crypto/sha256"
	"crypto/subtle"
)

// equal compares without telling by its time how much is right.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
