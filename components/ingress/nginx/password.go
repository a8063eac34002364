package nginx

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the format asks for it; see PasswordLine
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// PasswordUser is the user name that goes with the edge's password.
const PasswordUser = "admin"

// PasswordLine renders the password file's line for a generated password. The salt
// follows from a secret seed and the password, so the line stays the same across runs.
//
// The scheme is salted SHA-1: nginx verifies it itself on every C library, while the
// slow ones would block a worker for each request. Its weakness is guessing weak
// passwords from the file; this one is generated, and the file is a Secret.
func PasswordLine(seed, password string) (string, error) {
	if password == "" || strings.ContainsAny(password, "\r\n") {
		return "", errors.New("the Prometheus password is empty or has a line break: give one line")
	}
	mac := hmac.New(sha256.New, []byte(seed))
	mac.Write([]byte("salt " + password))
	salt := mac.Sum(nil)[:8]
	h := sha1.New()
	h.Write([]byte(password))
	h.Write(salt)
	return PasswordUser + ":{SSHA}" + base64.StdEncoding.EncodeToString(append(h.Sum(nil), salt...)) + "\n", nil
}
