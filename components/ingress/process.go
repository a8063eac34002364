package ingress

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// Where nginx finds its files: their folders and their names in these.
const (
	ConfigDir      = "/etc/edge"
	ConfigKey      = "nginx.conf"
	TLSDir         = "/etc/edge-tls"
	CertificateKey = "tls.crt"
	PrivateKey     = "tls.key"
	PasswordDir    = "/etc/edge-password"
	PasswordKey    = "htpasswd"
	RootsDir       = "/etc/edge-authority"

	tempDir = "/tmp"
)

// preStopSeconds is how long a stopping pod keeps taking connections while nodes,
// load balancers and Ingress controllers learn that it goes.
const preStopSeconds = 10

// drainMargin is what nginx may need to exit after its last worker, in seconds.
const drainMargin = 5

// startupSeconds is generous: nginx starts at once.
const startupSeconds = 60

// files are what nginx reads.
func (a *Args) files(config pulumi.StringInput, secrets *Secrets) (volumes []workload.Volume, mounts []workload.Mount) {
	add := func(volume, hostName, path string, f *workload.Files) {
		volumes = append(volumes, workload.Volume{Name: volume, HostName: hostName, Files: f})
		mounts = append(mounts, workload.Mount{Volume: volume, Path: path, ReadOnly: true})
	}
	add("config", "nginx", ConfigDir, &workload.Files{Name: "nginx", Data: pulumi.StringMap{
		ConfigKey: config, nginx.StartFile: pulumi.String(nginx.StartScript),
	}})
	if secrets.Given != nil {
		volumes = append(volumes, workload.Volume{Name: "tls", Given: secrets.Given, Keys: []string{CertificateKey, PrivateKey}})
		mounts = append(mounts, workload.Mount{Volume: "tls", Path: TLSDir, ReadOnly: true})
	} else {
		certificate := workload.Hidden("tls", pulumi.StringMap{CertificateKey: secrets.Certificate, PrivateKey: secrets.Key})
		certificate.Type = "kubernetes.io/tls" // what an Ingress refers to
		add("tls", "", TLSDir, certificate)
	}
	if a.UpstreamRoots != nil {
		add("authority", "", RootsDir, workload.Hidden("authority", pulumi.StringMap{workload.RootsFile: a.UpstreamRoots}))
	}
	if secrets.Password != nil {
		add("password", "", PasswordDir, workload.Hidden("password", pulumi.StringMap{PasswordKey: secrets.Password}))
	}
	if a.Login.Users != nil {
		add("login", "", LoginDir, workload.Hidden("login", pulumi.StringMap{LoginKey: a.Login.Users}))
	}
	return volumes, mounts
}

// server is nginx as both targets run it. Request bodies are buffered in its writable
// folder; the limit is far above what the clients of one pod can have under way.
func (a *Args) server(name string, config pulumi.StringInput, secrets *Secrets) (workload.Process, []workload.Volume) {
	volumes, mounts := workload.Writable("512Mi", "64Mi", map[string]string{"tmp": tempDir})
	files, fileMounts := a.files(config, secrets)
	health := workload.Probe{Path: nginx.HealthPath, Port: "http", PeriodSeconds: 10, TimeoutSeconds: 3, Failures: 3}
	ports := []workload.Port{{Name: "http", Number: HTTPPort}, {Name: "https", Number: HTTPSPort}}
	if port := a.healthPort(); port != 0 {
		health.Port = "health"
		ports = append(ports, workload.Port{Name: "health", Number: port})
	}
	ready := health
	ready.PeriodSeconds, ready.Failures = 5, 2
	return workload.Process{
		Name: "nginx", Identity: Edge(name), Image: a.Image, User: User,
		// Not the image's entrypoint, which edits files that are read-only here.
		Command:   (&nginx.Config{TempDir: tempDir}).Command(ConfigDir + "/" + ConfigKey),
		Resources: a.Resources,
		Ports:     ports,
		Mounts:    append(mounts, fileMounts...),

		StartupSeconds: startupSeconds, Alive: &health, Ready: &ready,
		Health: workload.Health{Command: []string{"curl", "-fsS", "-o", "/dev/null", fmt.Sprintf("http://127.0.0.1:%d%s", HTTPPort, nginx.HealthPath)}},
		// By SIGQUIT nginx finishes what it is doing, whatever the image declares.
		PreStopSeconds: preStopSeconds, StopSignal: "SIGQUIT", GraceSeconds: a.RequestTimeoutSeconds + drainMargin,
	}, append(volumes, files...)
}

// exporter of nginx' own figures. An edge whose exporter is slow still serves: it has no
// readiness of its own.
func (a *Args) exporter(name string, on room.Target) workload.Process {
	host := "127.0.0.1"
	if on == room.DockerHost {
		host = name
	}
	return workload.Process{
		Name: "exporter", Identity: exporterOf(name), Image: a.ExporterImage, User: workload.Nobody,
		Args: pulumi.ToStringArray([]string{
			fmt.Sprintf("--nginx.scrape-uri=http://%s:%d%s", host, StatusPort, nginx.StatusPath),
			fmt.Sprintf("--web.listen-address=:%d", MetricsPort),
		}),
		Resources:    a.ExporterResources,
		Ports:        []workload.Port{{Name: "metrics", Number: MetricsPort}},
		Alive:        &workload.Probe{Path: "/", Port: "metrics", PeriodSeconds: 30, TimeoutSeconds: 5, Failures: 3},
		Health:       workload.Health{None: true},
		GraceSeconds: 5,
	}
}
