package stacks

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// Host is what a Docker host needs to be told, and an engine that builds images.
type Host struct {
	// Prefix of every name on the host.
	Prefix string
	// Address of the engine; "" for DOCKER_HOST or the local socket.
	Address string
	// DeleteVolumes lets a destroy delete what users stored.
	DeleteVolumes bool
	// HTTPPort is published and redirects to HTTPS; 0 for none.
	HTTPPort int
	// GrafanaPort and PrometheusPort are published on the loopback address; 0 for none.
	GrafanaPort, PrometheusPort int
	// MoveTo is the ID of the engine that the stack moves to on purpose.
	MoveTo string

	// id tells which engine the stack is on, folder where it keeps its data; "" where
	// nobody has asked.
	id, folder string
}

func (s *Stack) hostSettings(set *settings.Set) {
	h, only, none := &s.Host, settings.Only(room.DockerHost), settings.OrZero("for none")
	g := set.Group("Docker host", "The Docker engine that the stack runs on. One that only builds images is named here, too.")
	g.Text(&h.Address, "dockerHost", "Address of the Docker engine that the stack runs on, or that builds its images; by default DOCKER_HOST or the local socket.",
		settings.Valid(engineAddress))
	g.Text(&h.MoveTo, "dockerHostMoveTo", "ID of the engine (`docker info`) that the stack moves to on purpose, leaving its data behind.", only)
	g.Bool(&h.DeleteVolumes, "deleteVolumes", "Let a destroy delete the data, too; by default it stays on the host and is found again.", only)
	g.Int(&h.HTTPPort, "edgePublicHttpPort", "Published port of plain HTTP, which redirects to HTTPS.", settings.Between(1, 65535), none, only)
	g.Int(&h.GrafanaPort, "grafanaLoopbackPort", "Port of Grafana on the host's loopback address.", settings.Between(1, 65535), none, only)
	g.Int(&h.PrometheusPort, "prometheusLoopbackPort", "Port of Prometheus on the host's loopback address.", settings.Between(1, 65535), none, only)
	g.Check(func(p *settings.Problems) {
		if s.Target != room.DockerHost {
			if h.Address != "" && !s.Build.Enabled {
				p.Add("dockerHost", "it has no meaning with target %s and buildImages false: `pulumi config rm dockerHost` removes it", s.Target)
			}
			return
		}
		if s.Platform.Protect && h.DeleteVolumes {
			p.Add("deleteVolumes", "true contradicts protect true: a protected stack's data outlives a destroy; set one of them to false")
		}
		s.publishedPorts(p)
	})
}

// engineAddress is for settings.Valid.
func engineAddress(v string) error {
	u, err := url.Parse(v)
	if err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			return errors.New("the address holds a password, in plain text: leave it out and log in by key, and renew it")
		}
	}
	if err != nil || !slices.Contains([]string{"unix", "tcp", "ssh"}, u.Scheme) {
		return fmt.Errorf("%q is not the address of an engine: write e.g. unix:///var/run/docker.sock or ssh://user@host", room.Shown(v))
	}
	return nil
}

// publishedPorts reports a port of the host that two settings want.
func (s *Stack) publishedPorts(p *settings.Problems) {
	taken := map[int]string{s.Edge.PublicHTTPSPort: "edgePublicPort"}
	for _, published := range []struct {
		key  string
		port int
	}{{"edgePublicHttpPort", s.Host.HTTPPort}, {"grafanaLoopbackPort", s.Host.GrafanaPort}, {"prometheusLoopbackPort", s.Host.PrometheusPort}} {
		if published.port == 0 {
			continue
		}
		if other := taken[published.port]; other != "" {
			p.Add(published.key, "%d is %s too: choose two ports", published.port, other)
		}
		taken[published.port] = published.key
	}
}
