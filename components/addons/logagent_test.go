package addons

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// agent is one for two stacks.
func agent() LogAgentArgs {
	a := LogAgentDefaults()
	a.Gateways = map[string]string{"dev": "http://tell-collector.dev:4318", "prod": "http://tell-collector.prod:4318"}
	a.GatewayPort, a.Exclude = 4318, []string{"edge-*/nginx:stdout", "backend-*/*:stdout", "batch-*/*"}
	return a
}

// TestALineGoesToItsOwnNamespace: what one stack writes is sent to its own collector, and
// nothing of anybody else's is read.
func TestALineGoesToItsOwnNamespace(t *testing.T) {
	raw, err := agent().Config()
	require.NoError(t, err)
	var file struct {
		Receivers map[string]struct {
			Include, Exclude []string
			Storage          string
			Retry            struct {
				Enabled    bool
				MaxElapsed string `yaml:"max_elapsed_time"`
			} `yaml:"retry_on_failure"`
		}
		Exporters map[string]struct {
			Endpoint string
			Queue    struct{ Enabled bool } `yaml:"sending_queue"`
			Retry    struct {
				MaxElapsed string `yaml:"max_elapsed_time"`
			} `yaml:"retry_on_failure"`
		}
		Service struct {
			Pipelines map[string]struct{ Receivers, Exporters []string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(raw), &file))
	require.Len(t, file.Service.Pipelines, 2)
	for _, namespace := range []string{"dev", "prod"} {
		p := file.Service.Pipelines["logs/"+namespace]
		require.Len(t, p.Receivers, 2)
		require.Len(t, p.Exporters, 1)
		from, to := file.Receivers[p.Receivers[0]], file.Exporters[p.Exporters[0]]
		assert.Equal(t, []string{"/var/log/pods/" + namespace + "_*_*/*/*.log"}, from.Include)
		edge, backend, batch := "/var/log/pods/"+namespace+"_edge-*_*/nginx/*.log", "/var/log/pods/"+namespace+"_backend-*_*/*/*.log", "/var/log/pods/"+namespace+"_batch-*_*/*/*.log"
		assert.ElementsMatch(t, []string{edge, backend, batch}, from.Exclude)
		stderr := file.Receivers[p.Receivers[1]]
		assert.Equal(t, []string{edge, backend}, stderr.Include)
		assert.Equal(t, []string{batch}, stderr.Exclude)
		assert.Equal(t, from.Storage, stderr.Storage)
		assert.Equal(t, "http://tell-collector."+namespace+":4318", to.Endpoint)
		// A gateway that is away costs no line that the kubelet keeps.
		assert.Equal(t, "file_storage", from.Storage, "it would read everything again, or nothing of what was written meanwhile")
		assert.True(t, from.Retry.Enabled)
		assert.Equal(t, "0s", from.Retry.MaxElapsed)
		assert.Equal(t, "0s", to.Retry.MaxElapsed)
		assert.False(t, to.Queue.Enabled, "what waits in memory would be lost with the pod")
	}
	again, err := agent().Config()
	require.NoError(t, err)
	assert.Equal(t, raw, again, "it is the same in every update")
}

// TestTheAgentSeesLogFilesAlone: it is root, and may do nothing else with it.
func TestTheAgentSeesLogFilesAlone(t *testing.T) {
	r := registered{}
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		a := agent()
		a.Owner = "organization/alphapulse/addons"
		_, err := NewLogAgent(ctx, "log-agent", &a)
		return err
	}, pulumi.WithMocks("alphapulse", "addons", r)))
	spec := r["kubernetes:apps/v1:DaemonSet"].Mappable()["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	assert.Equal(t, false, spec["automountServiceAccountToken"])
	assert.NotContains(t, spec, "hostNetwork")
	container := spec["containers"].([]any)[0].(map[string]any)
	security := container["securityContext"].(map[string]any)
	assert.Equal(t, map[string]any{"drop": []any{"ALL"}}, security["capabilities"])
	assert.Equal(t, true, security["readOnlyRootFilesystem"])
	assert.Equal(t, false, security["allowPrivilegeEscalation"])
	written := map[string]bool{}
	for _, m := range container["volumeMounts"].([]any) {
		m := m.(map[string]any)
		written[m["mountPath"].(string)] = m["readOnly"] == false
	}
	assert.Equal(t, map[string]bool{"/var/log/pods": false, "/var/lib/alphapulse-log-agent": true, "/etc/otelcol-contrib": false}, written)

	meta := r["kubernetes:core/v1:Namespace"]["metadata"].ObjectValue().Mappable()
	assert.Equal(t, "privileged", meta["labels"].(map[string]any)["pod-security.kubernetes.io/enforce"])
	policy := r["kubernetes:networking.k8s.io/v1:NetworkPolicy"].Mappable()["spec"].(map[string]any)
	assert.ElementsMatch(t, []any{"Ingress", "Egress"}, policy["policyTypes"])
	assert.NotContains(t, policy, "ingress")
	gateways := policy["egress"].([]any)[0].(map[string]any)
	assert.Len(t, gateways["to"], 2)
	assert.Equal(t, []any{map[string]any{"protocol": "TCP", "port": 4318.0}}, gateways["ports"])
}

// TestMistakesOfTheAgent are told all at once.
func TestMistakesOfTheAgent(t *testing.T) {
	a := LogAgentDefaults()
	a.Namespace, a.Exclude = "Log_Agent", []string{"edge"}
	err := a.Validate()
	for _, want := range []string{`namespace "Log_Agent"`, "gateways: none is named", `"edge" does not name pods and containers`} {
		assert.ErrorContains(t, err, want)
	}
	require.NoError(t, agent().Validate())
}
