package ingress

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// The counter is Prometheus' StatsD exporter. nginx writes a datagram for each request
// and never waits: a counter that is slow or gone costs figures, and no request.
//
// nginx' own figures know neither host nor status. Of what makes metrics of its log, this
// one is released several times a year by those who make Prometheus, takes 20 MiB and
// parses no text: prometheus-nginxlog-exporter was last released in July 2023, mtail's
// repository is archived since October 2026 and has no image of its own, the Collector's
// signal_to_metrics is alpha, needs a second alpha component to add up, and a hundred MiB
// beside each nginx. nginx' OpenTelemetry module makes traces alone, and comes in other
// images than users have.

const (
	counterDir  = "/etc/edge-counter"
	counterFile = "mapping.yml"
	// countAddress is where the counter listens in a pod. Datagrams of the loopback address
	// wait in a larger buffer than those of a socket in a folder.
	countAddress = "127.0.0.1:9125"
	// countDir is shared with nginx on a Docker host, where addresses change and nginx looks
	// a name up at its start alone; countSocket is the counter's in it.
	countDir    = "/run/edge-counter"
	countSocket = countDir + "/statsd.sock"
	// countBuffer is what is asked for of the kernel to hold what waits, in bytes.
	countBuffer = 4 << 20
)

// latencyBuckets are the bounds of the histograms, in seconds, beside the objective.
var latencyBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// counterConfig maps what nginx counts to metrics, and drops everything else.
func (a *Args) counterConfig() (string, error) {
	type section = map[string]any
	buckets := append(slices.Clone(latencyBuckets), a.latency())
	slices.Sort(buckets)
	seconds := section{"buckets": slices.Compact(buckets)}
	file := section{"mappings": []section{
		{"match": nginx.CountRequests, "name": "edge_requests_total", "help": "Requests by host, route, status and what became of them."},
		{"match": nginx.CountSeconds, "name": "edge_request_duration_seconds", "observer_type": "histogram", "histogram_options": seconds,
			"help": "How long requests took that a service was asked for, from their first byte to the last of the answer."},
		{"match": nginx.CountUpstreamSeconds, "name": "edge_upstream_duration_seconds", "observer_type": "histogram", "histogram_options": seconds,
			"help": "How long the service took of it, the last one asked."},
		{"match": nginx.CountHandshakes, "name": "edge_tls_failures_total", "help": "TLS handshakes with clients that failed, by reason."},
		{"match": ".*", "match_type": "regex", "name": "dropped", "action": "drop"},
	}}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(file); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}

// latency is LatencyMilliseconds in seconds.
func (a *Args) latency() float64 { return float64(a.LatencyMilliseconds) / 1000 }

// counterOf is the identity of the counter's container on a Docker host.
func counterOf(name string) room.Identity {
	return room.Identity{Name: name + "-counter", Instance: name, Component: "ingress-counts"}
}

// countVolume is the folder that nginx and the counter share on a Docker host.
var countVolume = workload.Volume{Name: "counts", Empty: &workload.Empty{Size: "1Mi", Shared: true}}

// counter counts what nginx answers. An edge whose counter is slow still serves: it has
// no readiness of its own.
func (a *Args) counter(name string, on room.Target) (workload.Process, []workload.Volume, error) {
	file, err := a.counterConfig()
	if err != nil {
		return workload.Process{}, nil, err
	}
	volume := workload.Folder(workload.Plain("counter", map[string]string{counterFile: file}))
	volumes, mounts := []workload.Volume{volume}, []workload.Mount{{Volume: volume.Name, Path: counterDir, ReadOnly: true}}
	args := []string{
		"--statsd.mapping-config=" + counterDir + "/" + counterFile,
		fmt.Sprintf("--web.listen-address=:%d", CountsPort),
		"--statsd.listen-tcp=", fmt.Sprintf("--statsd.read-buffer=%d", countBuffer),
		"--log.level=warn",
	}
	var command []string
	if on == room.DockerHost {
		// What an unclean end leaves behind would be in its way.
		command = []string{"/bin/sh", "-c", `rm -f ` + countSocket + ` && exec /bin/statsd_exporter "$@"`, "statsd_exporter"}
		args = append(args, "--statsd.listen-udp=", "--statsd.listen-unixgram="+countSocket, "--statsd.unixsocket-mode=777")
		volumes, mounts = append(volumes, countVolume), append(mounts, workload.Mount{Volume: countVolume.Name, Path: countDir})
	} else {
		args = append(args, "--statsd.listen-udp="+countAddress)
	}
	return workload.Process{
		Name: "counter", Identity: counterOf(name), Image: a.CounterImage, User: workload.Nobody,
		Command: command, Args: pulumi.ToStringArray(args),
		Resources:      a.CounterResources,
		Ports:          []workload.Port{{Name: "counts", Number: CountsPort}},
		Mounts:         mounts,
		Alive:          &workload.Probe{Path: "/-/healthy", Port: "counts", PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 3},
		StartupSeconds: startupSeconds,
		Health:         workload.AskHTTP(CountsPort, "/-/healthy"),
		GraceSeconds:   5,
	}, volumes, nil
}
