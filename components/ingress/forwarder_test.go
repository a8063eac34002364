package ingress

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Without a place to send the log to there is no forwarder, and nginx sends nothing.
func TestForwarder(t *testing.T) {
	off := (&Args{Domain: "example.test"}).withDefaults()
	with := *off
	with.Logs.To = "http://collector:4318"
	containers := func(a *Args) int { return len(a.Facts("edge", room.Kubernetes).Workloads[0].Containers) }
	assert.Equal(t, containers(off)+1, containers(&with))
	assert.Equal(t, containers(off)-4, len((&with).Facts("edge", room.DockerHost).Workloads[0].Containers), "none on a Docker host")

	names := []string{"ui", "api", "", "", "", "", ""}
	with.Routes = Routes{UI: &Upstream{Port: 1}, API: &Upstream{Port: 2}}
	assert.Equal(t, forwarderAddress, with.config(with.onCluster("edge", "n"), names...).LogAddress)
	assert.Empty(t, with.config(Place{}, names...).LogAddress, "nobody listens on a Docker host")

	raw, err := with.forwarderConfig()
	require.NoError(t, err)
	var file struct {
		Receivers map[string]struct {
			UDP struct {
				Listen string `yaml:"listen_address"`
			}
		}
		Exporters map[string]struct {
			Endpoint string
			Queue    struct {
				Block bool `yaml:"block_on_overflow"`
			} `yaml:"sending_queue"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(raw), &file))
	assert.Equal(t, forwarderAddress, file.Receivers["syslog"].UDP.Listen)
	assert.Equal(t, "http://collector:4318", file.Exporters["otlp_http"].Endpoint)
	assert.Contains(t, raw, "endpoint: http://collector:4318/v1/metrics", "what it loses is counted")

	with.Logs.To = "collector:4318"
	_, err = with.Validated()
	assert.ErrorContains(t, err, `Logs.To is "collector:4318"`)
}
