package unit

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// refused runs prod with the given settings and returns the problems; nothing may
// have been registered.
func refused(t *testing.T, o recorder.Options) string {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, o.Config)
	o.Config, o.Stack = config, "prod"
	r, err := recorder.Run(o)
	require.Error(t, err)
	assert.Empty(t, r.Resources, "something was registered before the configuration was checked")
	return err.Error()
}

// TestBadInput: each problem names the setting, its value, and what would be right.
func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		key, value string
		says       []string
	}{
		{"databaseStorge", "5Gi", []string{"no such setting", "databaseStorage"}},
		{"domain", "Not A Domain", []string{`"Not A Domain"`, "example.com"}},
		{"namespace", "kube-system", []string{`"kube-system"`, "stack's own"}},
		{"namespace", "UPPER", []string{`"UPPER"`}},
		{"databaseImage", "timescale/timescaledb", []string{"no tag and no digest", ":1.2.3"}},
		{"backendImage", "alphapulse/backend:latest", []string{":latest", "another tag or a digest"}},
		{"backendImage", "team/api 2:1", []string{`"team/api 2:1"`, "not an image reference"}},
		{"databaseStorage", "5 GB", []string{`"5 GB"`, "2Gi"}},
		{"databaseStorage", "1Mi", []string{`"1Mi"`, "too small"}},
		{"backendResources", `{"requests":{"cpu":"4"}}`, []string{"requests.cpu 4 is above limits.cpu 1"}},
		{"backendResources", `{"requests":{"gpu":"4"}}`, []string{"backendResources.requests.gpu", "cpu or memory"}},
		{"backendResources", `{"request":{"cpu":"4"}}`, []string{"backendResources.request", "requests or limits"}},
		{"backendResources", `"4"`, []string{"not an object"}},
		{"cacheResources", `{"limits":{"memory":"lots"}}`, []string{"cacheResources.limits.memory", `"lots"`, "512Mi"}},
		{"backendMinReplicas", "20", []string{"20 is above backendMaxReplicas 10"}},
		{"backendMinReplicas", "many", []string{`"many"`, "from 1 to 100"}},
		{"backendCpuUtilization", "5", []string{`"5"`, "from 10 to 100, or 0 to leave the metric out"}},
		{"backendScaleUpPercent", "0", []string{`"0"`, "from 1 to 1000"}},
		{"backendScaleDownStabilizationSeconds", "4000", []string{`"4000"`, "from 0 to 3600"}},
		{"backendCpuUtilization", "150", []string{`"150"`, "from 10 to 100"}},
		{"protect", "maybe", []string{`"maybe"`, "true nor false"}},
		{"maxPortfolioRisk", "7", []string{`"7"`, "from 0 to 1"}},
		{"egressCidrs", `["10.0.0.1/8"]`, []string{`"10.0.0.1/8"`, "write 10.0.0.0/8"}},
		{"egressCidrs", `["everywhere"]`, []string{`"everywhere"`, "203.0.113.0/24"}},
		{"edgeTrustedProxies", `"x"`, []string{"not a list"}},
		{"edgeExposure", "magic", []string{`"magic"`, "nodePort, loadBalancer, ingress, gateway"}},
		{"edgeExposure", "ingress", []string{"edgeIngressClass", "name the class"}},
		{"edgeHttpsNodePort", "443", []string{"443", "30000 to 32767"}},
		{"backendLivenessPath", "health", []string{`"health"`, "start it with a slash"}},
		{"backendEnv", `{"a b":"c"}`, []string{"backendEnv.a b", "variable"}},
		{"backendEnv", `["a"]`, []string{"backendEnv", "--path backendEnv.NAME"}},
		{"databaseAliases", `["Bad_Name"]`, []string{`"Bad_Name"`, "Service"}},
		{"prometheusRetention", "forever", []string{`"forever"`, "200h"}},
		{"tlsMode", "provided", []string{"tlsCertificate", "tlsPrivateKey", "--secret"}},
		{"alertWebhookUrl", "https://hook.example.com/secret", []string{"stored in plain text", "--secret alertWebhookUrl"}},
		{"alertReceivers", `{"chat":{"slack":{},"credential":"https://hooks.slack.com/services/T0/B0/x"}}`, []string{"stored in plain text", "--secret alertReceivers"}},
		{"databaseResources", `{"requests":{"memory":"64Mi"},"limits":{"memory":"128Mi"}}`, []string{"128Mi is too small", "256Mi"}},
		{"databaseMaxConnections", "900", []string{"900 is too many", "4Gi", "at most 409"}},
		{"cachePolicy", "sometimes", []string{`"sometimes"`, "allkeys-lru", "noeviction"}},
		{"cacheStorage", "1Gi", []string{"1Gi is too small", "append-only file", "2Gi"}},
		{"databaseAliases", `["backend"]`, []string{`"backend"`, "another Service"}},
		{"edgeHstsSeconds", "-1", []string{`"-1"`, "from 0"}},
		{"storageClass", "No Such", []string{`"No Such"`}},
		{"buildImages", "true", []string{"registry: it is not set", "ghcr.io/acme"}},
		{"registry", "ghcr.io/acme", []string{"buildImages is false", "config rm registry", "imagePullCredentials"}},
		{"registryUsername", "acme", []string{"buildImages is false", "config rm registryUsername"}},
		{"registryPassword", "push-password", []string{"stored in plain text", "--secret registryPassword", "buildImages is false"}},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			message := refused(t, recorder.Options{Config: map[string]string{c.key: c.value}})
			assert.Contains(t, message, c.key)
			for _, want := range c.says {
				assert.Contains(t, message, want)
			}
		})
	}
}

// TestBadCertificate: a certificate that cannot serve the hosts is refused with the
// reason, before anything changes.
func TestBadCertificate(t *testing.T) {
	other, _ := certificate(90, "elsewhere.example.com")
	for name, c := range map[string]struct{ chain, key, says string }{
		"not PEM":     {"x", "y", "give PEM"},
		"another key": {provided[0].chain, provided[1].key, "private key does not match"},
		"expired": func() struct{ chain, key, says string } {
			c, k := certificate(-1, "alphapulse.example.com")
			return struct{ chain, key, says string }{c, k, "expired"}
		}(),
		"other hosts": func() struct{ chain, key, says string } {
			c, k := certificate(90, "elsewhere.example.com")
			return struct{ chain, key, says string }{c, k, "api.alphapulse.example.com"}
		}(),
		"other hosts' cert": {other, provided[0].key, "private key does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			message := refused(t, recorder.Options{
				Config:     map[string]string{"tlsMode": "provided", "tlsCertificate": c.chain, "tlsPrivateKey": c.key},
				SecretKeys: []string{"tlsPrivateKey"},
			})
			assert.Contains(t, message, "tlsCertificate: ")
			assert.Contains(t, message, c.says)
		})
	}
}

// TestAllProblemsAtOnce, two of a kind among them: a user corrects the file once.
func TestAllProblemsAtOnce(t *testing.T) {
	message := refused(t, recorder.Options{
		Config:   map[string]string{"domain": "", "databaseStorage": "10Gi", "backendMinReplicas": "99", "oops": "1", "typo": "1", "cacheImage": "redis"},
		Previous: map[string]any{"volumes": map[string]any{"data-database-g1-0": "50Gi"}, "namespace": "elsewhere"},
	})
	for _, key := range []string{"domain:", "databaseStorage:", "backendMinReplicas:", "oops:", "typo:", "cacheImage:", "namespace:"} {
		assert.Contains(t, message, "\n"+key)
	}
	assert.Contains(t, message, "7 problem(s), nothing was changed")
	assert.Contains(t, message, "10Gi is smaller than the 50Gi")
	assert.Equal(t, 1, strings.Count(message, "databaseStorage:"))
}

// TestNoVolumeShrinks: the size of every claim that the last update left is looked at.
func TestNoVolumeShrinks(t *testing.T) {
	volumes := map[string]any{}
	for claim := range anyMap(record(t, "prod", nil).Outputs["volumes"]) {
		volumes[claim] = "900Gi"
	}
	message := refused(t, recorder.Options{Previous: map[string]any{"volumes": volumes}})
	assert.Contains(t, message, "5 problem(s), nothing was changed")
	for _, key := range []string{"databaseStorage: 100Gi", "databaseBackupStorage: 200Gi", "cacheStorage: 10Gi", "prometheusStorage: 20Gi", "grafanaStorage: 10Gi"} {
		assert.Contains(t, message, "\n"+key+" is smaller than the 900Gi")
	}
}

// TestTheNamespaceStaysUnderData: in another one the stack would begin anew, without it.
func TestTheNamespaceStaysUnderData(t *testing.T) {
	was := map[string]any{"target": "kubernetes", "namespace": "alphapulse-prod"}
	message := refused(t, recorder.Options{Config: map[string]string{"namespace": "trading"}, Previous: was})
	assert.Contains(t, message, `namespace: "trading": the stack's data is in namespace "alphapulse-prod" and would stay behind`)
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	_, err = recorder.Run(recorder.Options{Stack: "prod", Config: config, Previous: was})
	assert.NoError(t, err, "its own")
}

// TestSecretsAreNotRepeated: a refused secret does not end up in a build's log.
func TestSecretsAreNotRepeated(t *testing.T) {
	message := refused(t, recorder.Options{
		Config:     map[string]string{"alertWebhookUrl": "not-a-url-but-secret"},
		SecretKeys: []string{"alertWebhookUrl"},
	})
	assert.Contains(t, message, "alertWebhookUrl")
	assert.NotContains(t, message, "not-a-url-but-secret")
}

// TestHalfWrittenStateIsReadAgain: a backend of files writes the state of the update
// that begins while the program reads that of the last one.
func TestHalfWrittenStateIsReadAgain(t *testing.T) {
	config, err := recorder.StackConfig("dev")
	require.NoError(t, err)
	_, err = recorder.Run(recorder.Options{Stack: "dev", Config: config, HalfWritten: 2})
	require.NoError(t, err)
	_, err = recorder.Run(recorder.Options{Stack: "dev", Config: config, HalfWritten: 100})
	assert.ErrorContains(t, err, "reading the outputs of the last update")
}
