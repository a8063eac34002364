package stacks

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// pullKey is the setting with the credentials that images are pulled with.
const pullKey = "imagePullCredentials"

// login is one registry's entry of a Docker config.json.
type login struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// valid tells whether a registry would be asked with it.
func (l login) valid() bool {
	if l.Auth != "" {
		plain, err := base64.StdEncoding.DecodeString(l.Auth)
		user, password, both := strings.Cut(string(plain), ":")
		return err == nil && both && user != "" && password != ""
	}
	return l.Username != "" && l.Password != "" || l.IdentityToken != "" || l.RegistryToken != ""
}

// checkPullCredentials reports what a node could not log in with. No message repeats
// more of the secret than the names of registries.
func (s *Stack) checkPullCredentials(p *settings.Problems) {
	if s.Platform.PullCredentials == "" {
		return
	}
	var file struct {
		Auths       map[string]login  `json:"auths"`
		Store       string            `json:"credsStore"`
		CredHelpers map[string]string `json:"credHelpers"`
	}
	err := json.Unmarshal([]byte(s.Platform.PullCredentials), &file)
	const remedy = "`docker --config DIR login REGISTRY` without a helper writes one that holds the login itself"
	switch {
	case err != nil:
		p.Add(pullKey, "the value is no config.json of Docker with a registry below auths: it is not JSON of that form; %s", remedy)
		return
	case file.Store != "" || len(file.CredHelpers) > 0:
		p.Add(pullKey, "the value names a credential helper (credsStore or credHelpers), which is on the machine that wrote it and on no node: %s", remedy)
	case len(file.Auths) == 0:
		p.Add(pullKey, "the value is no config.json of Docker with a registry below auths: %s", remedy)
	}
	for _, registry := range slices.Sorted(maps.Keys(file.Auths)) {
		if registry == "" || !file.Auths[registry].valid() {
			p.Add(pullKey, "auths has no login for %q: neither auth (user:password in base64), nor username and password, nor a token; %s", registry, remedy)
		}
	}
	s.Platform.PullRegistries = slices.Sorted(maps.Keys(file.Auths))
}
