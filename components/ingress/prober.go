package ingress

import (
	"fmt"
	"net"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// The prober shakes hands with nginx as a client does, so that what is known of the
// certificate is what clients are shown, wherever it came from. No exporter of nginx'
// figures tells that, and whoever reads the files tells what is mounted.

const (
	proberDir = "/etc/edge-prober"
	proberKey = "prober.yml"
	// certificateModule is the way of looking; the prober can have several.
	certificateModule = "certificate"
)

// handshakePort is where a prober beside nginx looks; 0 where the clients' port does.
func (a *Args) handshakePort() int {
	if a.Balancer.ProxyProtocol {
		return HandshakePort
	}
	return 0
}

// probe is what Prometheus asks the prober. Host is where nginx is.
func (a *Args) probe(host string) *room.Scrape {
	port := HTTPSPort
	if p := a.handshakePort(); p != 0 {
		port = p
	}
	return &room.Scrape{Port: ProbePort, Path: "/probe", Params: map[string]string{
		"module": certificateModule, "target": net.JoinHostPort(host, strconv.Itoa(port)),
	}}
}

// proberFile is the prober's configuration. Whether clients trust the certificate is not
// asked: what they trust is theirs to know, and its end holds in any case.
func (a *Args) proberFile() string {
	return fmt.Sprintf(`# Rendered from the edge's settings: change those, not this file.
modules:
  %s:
    prober: tcp
    timeout: 5s
    tcp:
      tls: true
      tls_config:
        insecure_skip_verify: true
        server_name: %s
`, certificateModule, nginx.HostsOf(a.Domain).UI)
}

// proberOf is the identity of the prober's container on a Docker host.
func proberOf(name string) room.Identity {
	return room.Identity{Name: name + "-prober", Instance: name, Component: "ingress-probe"}
}

// prober looks at the certificate that nginx serves, whenever Prometheus asks it.
func (a *Args) prober(name string) (workload.Process, workload.Volume) {
	volume := workload.Folder(workload.Plain("prober", map[string]string{proberKey: a.proberFile()}))
	return workload.Process{
		Name: "prober", Identity: proberOf(name), Image: a.ProberImage, User: workload.Nobody,
		Args: pulumi.ToStringArray([]string{
			"--config.file=" + proberDir + "/" + proberKey,
			fmt.Sprintf("--web.listen-address=:%d", ProbePort),
			"--log.level=warn",
		}),
		Resources:      a.ProberResources,
		Ports:          []workload.Port{{Name: "probe", Number: ProbePort}},
		Mounts:         []workload.Mount{{Volume: volume.Name, Path: proberDir, ReadOnly: true}},
		Alive:          &workload.Probe{Path: "/-/healthy", Port: "probe", PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 3},
		StartupSeconds: startupSeconds,
		Health:         workload.Health{Command: []string{"wget", "-q", "-O", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d/-/healthy", ProbePort)}},
		GraceSeconds:   5,
	}, volume
}
