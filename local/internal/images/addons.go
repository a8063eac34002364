package images

import (
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/debian"
	"github.com/alphapulse/alphapulse-infra/local/internal/oci"
)

// CertManagerVersion is the version of cert-manager: of its images and of its chart.
const CertManagerVersion = "1.21.2"

// addonImages are what a cluster's own layer consists of, and what it is tested with.
func addonImages() []Image { return append(certManager(), pebble(), traefik()) }

// certManager are the images that cert-manager's chart names.
func certManager() []Image {
	const differs = "upstream's packages with a main of its own, which takes the flags that the chart sets and holds no election; without the issuers of Vault, Venafi and CyberArk, and without the Gateway API"
	program := func(name, tool, differs string) Image {
		path := "/app/cmd/" + name + "/" + name
		return static(path, tool, "1000").
			with(func(i *Image) { i.Optional = true }).
			row("cert-manager-"+name, "local/modules/certmanager", CertManagerVersion, differs, "quay.io/jetstack/cert-manager-"+name+":v"+CertManagerVersion)
	}
	return []Image{
		program("controller", "cert-manager", differs),
		program("webhook", "cert-manager", "upstream's packages with a main of its own"),
		program("cainjector", "cert-manager", "upstream's packages with a main of its own, which holds no election"),
		program("acmesolver", "acmesolver", "upstream's package with a main of its own"),
	}
}

// traefik serves Gateways, and Ingress objects.
func traefik() Image {
	return Image{
		Optional: true,
		layers:   []debian.Recipe{certificates, busybox},
		tools:    map[string]string{"/usr/local/bin/traefik": "traefik"},
		tree: join(accounts("", 0, ""), shell(), oci.Tree{
			"/entrypoint.sh": file("traefik-entrypoint.sh", 0o755),
		}),
		config: v1.Config{
			Env: []string{searchPath}, WorkingDir: "/", Entrypoint: []string{"/entrypoint.sh"}, Cmd: []string{"traefik"}, ExposedPorts: set("80/tcp"),
		},
	}.row("traefik", "Go module github.com/traefik/traefik/v3", strings.TrimPrefix(build.TraefikVersion, "v"),
		"without the pages of its dashboard, which its Go module lacks, and without the clients of clouds' name servers, by which it would prove hosts to an authority",
		"docker.io/library/traefik:"+build.TraefikVersion)
}

// pebble is an authority that speaks ACME, for tests, and the name server that tells it
// where hosts are.
func pebble() Image {
	return Image{
		Optional:   true,
		debPackage: "pebble",
		layers: []debian.Recipe{{
			Suite:    debian.Unstable,
			Packages: []string{"pebble", "base-files", "busybox-static", "ca-certificates", "libc6"},
			Keep:     []string{"/usr/bin/pebble", "/usr/bin/pebble-challtestsrv", "/usr/bin/busybox", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/lib", "/lib64"},
		}},
		tree: join(accounts("", 0, ""), shell(), oci.Tree{
			"/app": link("/usr/bin/pebble"),
		}),
		config: v1.Config{
			Env: []string{searchPath}, WorkingDir: "/", ExposedPorts: set("14000/tcp", "15000/tcp"), Entrypoint: []string{"/app"},
		},
	}.row("pebble", "Debian sid: pebble", "2.10.0", "with its name server in the same image, and without upstream's certificates and configuration",
		"ghcr.io/letsencrypt/pebble:2.10.0")
}
