package database

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// scramIterations is PostgreSQL's default scram_iterations.
const scramIterations = 4096

// Verifier turns a password into what PostgreSQL itself stores for it
// (SCRAM-SHA-256, RFC 5802 and RFC 7677, in the form of the documentation's
// "pg_authid"). The server takes it in place of the password, so neither the
// database's pod nor a log of it ever holds the password of a role.
//
// The password must be printable ASCII, which SASLprep leaves as it is; the salt
// is any secret that stays the same while the password does.
func Verifier(password, salt string) (string, error) {
	if password == "" {
		return "", errors.New("database: a password is empty: pass a generated one")
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", errors.New("database: a password has a character that is not printable ASCII: use letters and digits")
	}
	digest := sha256.Sum256([]byte(salt))
	raw := digest[:16] // the length that PostgreSQL generates
	salted, err := pbkdf2.Key(sha256.New, password, raw, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("database: derive a password verifier: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, b64(raw), b64(stored[:]), b64(mac(salted, "Server Key"))), nil
}

func mac(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
