package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// RemoteWrite is a server that takes samples by Prometheus' remote write protocol.
type RemoteWrite struct {
	// URL is https, with the path, e.g. "https://metrics.example.com/api/v1/write".
	URL string
	// Username of basic authentication; "" sends the credential as a bearer token.
	Username string
	// CredentialFile and CAFile are paths of files; "" for none.
	CredentialFile, CAFile string
}

// HTTPSPort is the port of an https URL without a login in it.
func HTTPSPort(raw string) (int, error) {
	u := room.Address(raw, "https")
	if u == nil {
		return 0, fmt.Errorf("%q is no https URL: write e.g. https://metrics.example.com/api/v1/write", room.Shown(raw))
	}
	if u.User != nil {
		return 0, errors.New("the URL holds a login, in plain text: leave it out, set it as a secret, and renew it")
	}
	return room.PortOf(u), nil
}

// credentialNames are what parameters of a query are called that log somebody in.
var credentialNames = []string{"token", "key", "apikey", "api_key", "access_token", "password", "secret"}

// CheckRemoteURL reports an address that samples cannot be sent to, or that holds a credential:
// the configuration has it in plain text.
func CheckRemoteURL(raw string) error {
	if _, err := HTTPSPort(raw); err != nil {
		return err
	}
	for name := range room.Address(raw, "https").Query() {
		if slices.Contains(credentialNames, strings.ToLower(name)) {
			return errors.New("the URL holds a credential in its query, in plain text: leave it out, set it as remoteWriteCredential, and renew it")
		}
	}
	return nil
}

func (w *RemoteWrite) render() []remoteWrite {
	if w == nil {
		return nil
	}
	to := remoteWrite{URL: w.URL}
	switch {
	case w.CredentialFile != "" && w.Username != "":
		to.BasicAuth = &basicAuth{Username: w.Username, PasswordFile: w.CredentialFile}
	case w.CredentialFile != "":
		to.Authorization = &authorization{Type: "Bearer", CredentialsFile: w.CredentialFile}
	}
	if w.CAFile != "" {
		to.TLSConfig = &tlsConfig{CAFile: w.CAFile}
	}
	return []remoteWrite{to}
}

type remoteWrite struct {
	URL           string         `yaml:"url"`
	BasicAuth     *basicAuth     `yaml:"basic_auth,omitempty"`
	Authorization *authorization `yaml:"authorization,omitempty"`
	TLSConfig     *tlsConfig     `yaml:"tls_config,omitempty"`
}

type basicAuth struct {
	Username     string `yaml:"username"`
	PasswordFile string `yaml:"password_file"`
}

type authorization struct {
	Type            string `yaml:"type"`
	CredentialsFile string `yaml:"credentials_file"`
}

type tlsConfig struct {
	CAFile     string `yaml:"ca_file,omitempty"`
	Unverified bool   `yaml:"insecure_skip_verify,omitempty"`
}
