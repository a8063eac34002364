package livetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// leastSecret is the length from which on a text is looked for: shorter ones occur by chance.
const leastSecret = 12

// Generated returns the passwords, keys and seeds that were made up for a stack, by their
// resources' names, from what `pulumi stack export --show-secrets` printed.
func Generated(export []byte) (map[string]string, error) {
	var state struct {
		Deployment struct {
			Resources []struct {
				URN     string                     `json:"urn"`
				Type    string                     `json:"type"`
				Outputs map[string]json.RawMessage `json:"outputs"`
			} `json:"resources"`
		} `json:"deployment"`
	}
	if err := json.Unmarshal(export, &state); err != nil {
		return nil, fmt.Errorf("exported state: %w", err)
	}
	found := map[string]string{}
	for _, r := range state.Deployment.Resources {
		var v struct {
			Plaintext string `json:"plaintext"` // JSON again
		}
		var value string
		if r.Type != "random:index/randomPassword:RandomPassword" || json.Unmarshal(r.Outputs["result"], &v) != nil || json.Unmarshal([]byte(v.Plaintext), &value) != nil {
			continue
		}
		found[r.URN[strings.LastIndex(r.URN, "::")+2:]] = value
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("exported state: none of %d resources has a generated secret", len(state.Deployment.Resources))
	}
	return found, nil
}

// Leaks names the secrets that occur in a text, as they are or in a form that programs
// print.
func Leaks(text string, secrets map[string]string) []string {
	var found []string
	for name, secret := range secrets {
		if len(secret) < leastSecret {
			continue
		}
		for _, form := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, strings.TrimRight(form, "=")) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}
