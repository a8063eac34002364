package stacks

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// certificates is for settings.Valid.
func certificates(v string) error {
	rest, found := []byte(v), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("it holds a %s: set certificates alone", strings.ToLower(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("it is no certificate: %w", err)
		}
		found++
	}
	if found == 0 {
		return errors.New("it is no certificate in PEM: `cat ca.crt | pulumi config set KEY`")
	}
	return nil
}
