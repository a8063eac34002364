package settings

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Image declares the reference of an image, with a tag or a digest. A nil one has no
// default of its own.
func (g *Group) Image(p *pulumi.StringInput, key, description string, options ...Option) {
	s := g.declare(Image, key, plain(*p), description, options)
	s.read = func(raw string, fail failer) {
		v := strings.TrimSpace(raw)
		if v == "" && s.Default == "" {
			return
		}
		if image(v, fail) {
			*p = pulumi.String(v)
		}
	}
}

// SecretText declares a text that is a Pulumi secret from the moment that it is read;
// "" leaves it nil.
func (g *Group) SecretText(p *pulumi.StringInput, key, description string, options ...Option) {
	s := g.declare(Text, key, plain(*p), description, append([]Option{Secret}, options...))
	s.read = func(raw string, fail failer) {
		if v := strings.TrimSpace(raw); v != "" && s.text(v, fail) {
			*p = pulumi.ToSecret(pulumi.String(v)).(pulumi.StringOutput)
		}
	}
}

// plain is a default, which is known before the program runs.
func plain(input pulumi.StringInput) string {
	v, _ := input.(pulumi.String)
	return string(v)
}
