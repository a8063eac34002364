package stacks

import (
	"github.com/distribution/reference"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Build says whether the stack builds the application's images, and where they go.
type Build struct {
	// Enabled builds the images.
	Enabled bool
	// Registry is the part of the references before /backend and /frontend.
	Registry string
	// Username and Password log in to push; "" asks without credentials.
	Username, Password string
}

func (s *Stack) buildSettings(set *settings.Set) {
	b := &s.Build
	g := set.Group("Images that the stack builds", "Who makes the application's images, and where they go. Images that are named belong to their rooms below.")
	g.Bool(&b.Enabled, "buildImages", "Build the backend's and the frontend's image from docker/ on a Docker engine, and deploy those instead of backendImage and frontendImage.")
	g.Text(&b.Registry, "registry", "Where built images are pushed, e.g. ghcr.io/acme for ghcr.io/acme/backend and ghcr.io/acme/frontend. On one Docker host they need not be pushed.")
	g.Text(&b.Username, "registryUsername", "User that pushes to the registry; by default it is asked without credentials.")
	g.Text(&b.Password, "registryPassword", "Password or token of registryUsername.", settings.Secret)
	g.Check(s.checkBuild)
}

// checkBuild refuses a value that would have no effect: a registry without a build
// pushes nothing.
func (s *Stack) checkBuild(p *settings.Problems) {
	b := s.Build
	if !b.Enabled {
		for _, key := range []string{"registry", "registryUsername", "registryPassword"} {
			if p.Meant(key) {
				p.Add(key, "it is set, and buildImages is false, so nothing is pushed: set buildImages true, or `pulumi config rm %s`; to pull private images set imagePullCredentials", key)
			}
		}
		return
	}
	for _, key := range []string{"backendImage", "frontendImage"} {
		if p.Meant(key) {
			p.Add(key, "%q is named, and buildImages is true: `pulumi config rm %s` to build the image, or set buildImages false to deploy the named one", p.Value(key), key)
		}
	}
	if b.Registry == "" && s.Target == room.Kubernetes {
		p.Add("registry", "it is not set, and buildImages is true: nodes pull what a registry has, set e.g. ghcr.io/acme")
	} else if b.Registry == "" && b.Username+b.Password != "" {
		p.Add("registry", "it is not set, and its credentials are: set e.g. ghcr.io/acme, or remove registryUsername and registryPassword")
	} else if b.Registry == "" {
		return // the engine that the stack runs on builds its images
	} else if named, err := reference.ParseNormalizedNamed(b.Registry + "/backend"); err != nil || !reference.IsNameOnly(named) {
		p.Add("registry", "%q is not a registry: write host, port and path without scheme and tag, in lower case, e.g. ghcr.io/acme", b.Registry)
	}
	if b.Username != "" && b.Password == "" {
		p.Add("registryPassword", "it is not set, and registryUsername is: `pulumi config set --secret registryPassword`, or remove both")
	}
	if b.Username == "" && b.Password != "" {
		p.Add("registryUsername", "it is not set, and registryPassword is: name the user, or remove both")
	}
}
