package database

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/database/pgbouncer"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// poolerUser is the numeric uid of "pgbouncer" in its image; the agent beside it has the
// same, and so its sockets.
const poolerUser = 998

const (
	// poolerStartup is how long PgBouncer may take to start, in seconds.
	poolerStartup = 60
	// loginStartup is how long the agent before it may wait for the pooler's own login, in
	// seconds: the kubelet passes the declared roles on to the primary's pod within 90.
	loginStartup = 300
)

// poolerMetrics is where the agent tells of PgBouncer.
var poolerMetrics = &room.Scrape{Port: pgbouncer.MetricsPort, Path: "/metrics"}

// awaits are the agent's flags that have it wait until the pooler's own login works, which
// the first one, with no word, has no need of: there is none to come after.
func (a *Args) awaits() []string {
	if a.InternalWord == "" {
		return nil
	}
	return []string{"-login", a.internal(PoolingRole), "-database", Name, "-lookup", lookup}
}

// expects are the agent's flags that tell it how members speak who are as declared; it
// finds those of before, too, which roll after the poolers.
func (a *Args) expects() []string {
	if !a.controlTLS() {
		return nil
	}
	return []string{"-patroni-tls"}
}

// pooler is PgBouncer with the agent, through which its connections go.
func (a *Args) pooler(name string, f *memberFiles, control pulumi.StringInput) workload.Pod {
	empty := func(name string) workload.Volume {
		return workload.Volume{Name: name, Empty: &workload.Empty{Size: "1Mi"}}
	}
	sockets := []workload.Mount{
		{Volume: "console", Path: pgbouncer.SocketDir}, {Volume: "primary", Path: pgbouncer.PrimaryDir}, {Volume: "standby", Path: pgbouncer.StandbyDir},
	}
	place := a.Placement
	place.PriorityClass = nil // it holds nothing
	tls := workload.Mount{Volume: "tls", Path: pgbouncer.TLSDir, ReadOnly: true}
	agent := workload.Process{
		Name: "agent", Image: a.AgentImage, Sidecar: true,
		Args: pulumi.ToStringArray(slices.Concat([]string{"pooler", "-members", membersService(name), "-service", name, "-read", ReadName,
			"-ca", pgbouncer.TLSDir + "/ca.crt", "-certificate", pgbouncer.TLSDir}, a.expects(), a.awaits())),
		Credentials: control,
		Resources:   AgentResources,
		Ports:       []workload.Port{{Name: controlName, Number: pgbouncer.ControlPort}, {Name: "control-tls", Number: pgbouncer.ControlTLSPort}, {Name: metricsName, Number: pgbouncer.MetricsPort}},
		Mounts:      append([]workload.Mount{tls}, sockets...),
	}
	starts := poolerStartup
	if a.InternalWord != "" {
		agent.Alive = &workload.Probe{Path: "/started", Port: controlName, PeriodSeconds: 10, TimeoutSeconds: 10, Failures: 6}
		agent.StartupSeconds = loginStartup
		starts += loginStartup
	}
	return workload.Pod{
		Identity: Pooler(name), Placement: place, Replicas: pulumi.Int(poolers), Most: poolers,
		Spread: workload.SpreadOf(a.SpreadRequired),
		Init:   []workload.Process{agent},
		Processes: []workload.Process{{
			Name: "pgbouncer", Image: a.PoolerImage, User: poolerUser,
			Command:   []string{"pgbouncer", pgbouncer.ConfigDir + "/pgbouncer.ini"},
			Resources: PoolerResources,
			Ports:     []workload.Port{{Name: portName, Number: pgbouncer.Port}},
			Mounts:    append([]workload.Mount{{Volume: "config", Path: pgbouncer.ConfigDir, ReadOnly: true}, tls}, sockets...),
			// It takes connections while there is no primary, too: clients wait there.
			Alive:          &workload.Probe{Port: portName, PeriodSeconds: 10, TimeoutSeconds: 3, Failures: 3},
			Ready:          &workload.Probe{Port: portName, PeriodSeconds: 2, TimeoutSeconds: 3, Failures: 2},
			StartupSeconds: starts, AnswersWithin: poolerStartup, PreStopSeconds: poolerPause, GraceSeconds: poolerGrace,
		}},
		Volumes: []workload.Volume{
			empty("console"), empty("primary"), empty("standby"), {Name: "config", Files: f.pooling}, {Name: "tls", Files: f.poolerTLS},
		},
		Services: a.poolerServices(name), Scrape: poolerMetrics,
	}
}
