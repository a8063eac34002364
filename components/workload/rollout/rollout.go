// Package rollout computes how long a rollout may take from the probes and the
// replica count, so that neither Kubernetes nor Pulumi gives up on a slow start
// that the probes allow. Plain Go.
package rollout

import "fmt"

// margin is what a pod may need before its container starts: scheduling,
// attaching a volume and pulling an image. In seconds.
const margin = 120

// Startup is a start-up probe's budget: the container has
// PeriodSeconds × FailureThreshold seconds to answer for the first time.
type Startup struct {
	PeriodSeconds    int
	FailureThreshold int
}

// StartupFor gives a probe that looks every two seconds for the given number of
// seconds; looking early and often makes a fast image ready fast, and a slow one
// is still not killed before the budget is used up.
func StartupFor(seconds int) Startup {
	const period = 2
	return Startup{PeriodSeconds: period, FailureThreshold: max(1, (seconds+period-1)/period)}
}

// BudgetSeconds is how long the probe waits before the container is restarted.
func (s Startup) BudgetSeconds() int { return s.PeriodSeconds * s.FailureThreshold }

// Plan is what a workload's rollout depends on.
type Plan struct {
	Startup Startup
	// Replicas is the most pods that a rollout replaces.
	Replicas int
	// AtOnce is how many pods are replaced at the same time (maxSurge); at least 1.
	AtOnce int
	// GraceSeconds is the pods' terminationGracePeriodSeconds.
	GraceSeconds int
}

// ProgressDeadlineSeconds is a Deployment's progressDeadlineSeconds: one pod's
// whole start-up budget plus the margin, since the deadline starts anew with
// every pod that becomes available.
func (p Plan) ProgressDeadlineSeconds() int { return p.Startup.BudgetSeconds() + margin }

// PulumiTimeout is how long Pulumi awaits the rollout: every wave of pods may use
// its start-up budget and its grace period in full.
func (p Plan) PulumiTimeout() string {
	waves := (p.Replicas + max(1, p.AtOnce) - 1) / max(1, p.AtOnce)
	return fmt.Sprintf("%ds", margin+max(1, waves)*(p.Startup.BudgetSeconds()+p.GraceSeconds+margin/4))
}
