package frontend

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

func valid() *Args {
	return &Args{Placement: workload.Placement{Namespace: pulumi.String("shop")}, Image: pulumi.String("ui:1")}
}

func TestDefaults(t *testing.T) {
	a := valid()
	d := a.withDefaults()
	require.NoError(t, d.validate())
	assert.Equal(t, 2, d.Replicas)
	assert.Equal(t, DefaultPort, d.Port)
	assert.Equal(t, "/healthz", d.LivenessPath)
	assert.Equal(t, "/healthz", d.ReadinessPath)
	assert.Zero(t, a.Replicas, "the caller's value is not changed")
}

func TestFacts(t *testing.T) {
	facts := valid().Facts("ui", room.Kubernetes)
	require.Len(t, facts.Workloads, 1)
	w := facts.Workloads[0]
	assert.Equal(t, 3, w.Replicas+w.Surge, "two replicas and one that surges")
	assert.Equal(t, []room.Resources{Defaults().Resources}, w.Containers)
	assert.Equal(t, []string{"ui", "ui-pods"}, facts.Services)
	assert.Equal(t, UI("ui"), w.Identity)
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for want, spoil := range map[string]func(*Args){
		"Namespace is missing":       func(a *Args) { a.Namespace = nil },
		"Port 80: want":              func(a *Args) { a.Port = 80 },
		`LivenessPath "healthz"`:     func(a *Args) { a.LivenessPath = "healthz" },
		`MetricsPath "metrics"`:      func(a *Args) { a.MetricsPath = "metrics" },
		"StartupSeconds -1":          func(a *Args) { a.StartupSeconds = -1 },
		"Replicas -1":                func(a *Args) { a.Replicas = -1 },
		`Env: "A-B" is no variable`:  func(a *Args) { a.Env = map[string]string{"A-B": "x"} },
		"Env: PORT follows":          func(a *Args) { a.Env = map[string]string{"PORT": "1"} },
		"Resources: requests.memory": func(a *Args) { a.Resources = room.ResourcesOf("1", "2Gi", "1", "1Gi") },
	} {
		a := valid()
		spoil(a)
		assert.ErrorContains(t, a.withDefaults().validate(), want)
	}
	err := (&Args{Port: 80}).withDefaults().validate()
	assert.ErrorContains(t, err, "Namespace")
	assert.ErrorContains(t, err, "Port 80", "all problems are reported at once")
}
