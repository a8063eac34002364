package stacks

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/distribution/reference"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Platform is what a stack is, wherever it runs.
type Platform struct {
	// Protect refuses a destroy, and keeps what users stored.
	Protect bool
	// PullCredentials is the content of a Docker config.json, secret; "" for public images.
	PullCredentials string
	// PullRegistries are those that PullCredentials are for.
	PullRegistries []string
}

func (s *Stack) platformSettings(set *settings.Set) {
	g := set.Group("Stack", "What the stack is and where it runs.")
	g.Text((*string)(&s.Target), "target", "Where the stack runs: kubernetes, or docker for one Docker host; addons is what belongs to a cluster and is shared by its stacks. It cannot change while there is data.",
		settings.OneOf(room.Kubernetes, room.DockerHost, room.Addons), settings.Also(room.Addons))
	g.Text(&s.Edge.Domain, "domain", "The hosts are alphapulse., api., dashboard. and monitoring. below this domain.",
		settings.Required("`pulumi config set domain example.com` makes alphapulse.example.com the user interface's host"))
	g.Bool(&s.Platform.Protect, "protect", "Production's guard: a destroy is refused, stateful things outlive one that is forced, and the tag latest is refused.", settings.Also(room.Addons))
	g.Text(&s.Platform.PullCredentials, pullKey, "Content of a Docker config.json with credentials for private images, the logins themselves and no helper.", settings.Secret)
	g.Check(s.checkPullCredentials)
	g.Check(func(p *settings.Problems) {
		domain := s.Edge.Domain
		if problems := validation.IsDNS1123Subdomain(domain); domain != "" && len(problems) > 0 {
			p.Add("domain", "%q is not a domain: use lower-case letters, digits, dots and dashes, e.g. example.com", domain)
		} else if len("alphapulse."+domain) > 253 {
			p.Add("domain", "%q is too long for the host names below it", domain)
		} else if number.MatchString(domain) {
			p.Add("domain", "%q ends like an address, and an address has no hosts below it: set a domain, e.g. example.com", domain)
		}
		if !s.Platform.Protect {
			return
		}
		for _, key := range p.Keys(settings.Image) {
			if v := p.Value(key); floats(v) {
				p.Add(key, "%q: a protected stack needs a version that stays the same: name another tag or a digest", v)
			}
		}
	})
}

// number ends what clients take for an IPv4 address (URL Standard, "ends in a number").
var number = regexp.MustCompile(`(?:^|\.)(?:\d+|0x[0-9a-f]*)$`)

// floats tells whether an image is another one after each release.
func floats(image string) bool {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return false
	}
	_, pinned := ref.(reference.Digested)
	return !pinned && strings.HasSuffix(ref.String(), ":latest")
}
