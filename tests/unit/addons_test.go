package unit

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestAddonsAreAskedFor: the stack's file installs nothing, asks for no domain, and what it
// then is told to install is all that there is.
func TestAddonsAreAskedFor(t *testing.T) {
	types := func(with map[string]string) map[string]int {
		r, err := recorder.Stack("addons", with)
		require.NoError(t, err)
		assert.Equal(t, "addons", r.Outputs["target"])
		found := map[string]int{}
		for _, x := range r.Resources {
			found[x.Type]++
		}
		return found
	}
	assert.Equal(t, map[string]int{"pulumi:providers:kubernetes": 1}, types(nil))
	assert.Equal(t, map[string]int{
		"pulumi:providers:kubernetes": 1, "alphapulse:index:CertManager": 1, "kubernetes:core/v1:Namespace": 1, "kubernetes:helm.sh/v4:Chart": 1,
	}, types(managed))
	assert.Equal(t, map[string]int{
		"pulumi:providers:kubernetes": 1, "alphapulse:index:LogAgent": 1, "kubernetes:core/v1:Namespace": 1, "kubernetes:core/v1:ServiceAccount": 1,
		"kubernetes:core/v1:ConfigMap": 1, "kubernetes:networking.k8s.io/v1:NetworkPolicy": 1, "kubernetes:apps/v1:DaemonSet": 1,
	}, types(agented))
	r, err := recorder.Stack("addons", managed)
	require.NoError(t, err)
	assert.True(t, r.Find("kubernetes:core/v1:Namespace", "")[0].RPC.GetRetainOnDelete(), "accounts and authorities lie there")
	assert.Equal(t, map[string]int{
		"pulumi:providers:kubernetes": 1, "alphapulse:index:GatewayController": 1, "kubernetes:core/v1:Namespace": 1,
		"kubernetes:yaml/v2:ConfigFile": 1, "kubernetes:helm.sh/v4:Chart": 1,
	}, types(controlled))
	assert.Zero(t, types(map[string]string{"gatewayController": "traefik", "gatewayDefinitions": "cluster"})["kubernetes:yaml/v2:ConfigFile"])
}

// TestMistakesWithAddonsAreRefused before anything is registered.
func TestMistakesWithAddonsAreRefused(t *testing.T) {
	for _, c := range []struct {
		with     map[string]string
		previous map[string]any
		says     string
	}{
		{with: map[string]string{"certManagerReplicas": "2"}, says: "certManagerReplicas: it has an effect only while certManager is true"},
		{with: map[string]string{"certManager": "true", "certManagerChart": "./charts/cert-manager", "certManagerVersion": "v1.20.0"}, says: "certManagerVersion: it has an effect only while certManager is true and certManagerChart is no path"},
		{with: map[string]string{"certManager": "true", "certManagerChart": "http://charts.example.com/cert-manager"}, says: `certManagerChart: "http://charts.example.com/cert-manager" is not where a chart is`},
		{with: map[string]string{"certManager": "true", "certManagerChart": "https://charts.example.com"}, says: `certManagerChart: "https://charts.example.com" is not where a chart is`},
		{with: map[string]string{"certManager": "true", "certManagerVersion": "^1.21"}, says: `certManagerVersion: "^1.21" is not one version`},
		{with: map[string]string{"certManager": "true", "certManagerVersion": ""}, says: `certManagerVersion: "" is not one version`},
		{with: map[string]string{"certManager": "true", "certManagerRegistry": "https://quay.io"}, says: `certManagerRegistry: "https://quay.io" is not a registry`},
		{with: map[string]string{"certManager": "true", "certManagerNameServers": `["dns.example.com"]`}, says: `certManagerNameServers: "dns.example.com" is not an address and a port`},
		{with: map[string]string{"logAgent": "true"}, says: "logAgentNamespaces: it is not set, and logAgent is true"},
		{with: map[string]string{"logAgentNamespaces": `["a"]`}, says: "logAgentNamespaces: it has an effect only while logAgent is true"},
		{with: map[string]string{"logAgent": "true", "logAgentNamespaces": `["A_b"]`}, says: `logAgentNamespaces: "A_b" cannot be a namespace`},
		{with: map[string]string{"logAgent": "true", "logAgentNamespaces": `["a"]`, "logAgentExclude": `["edge"]`}, says: `logAgentExclude: "edge" does not name pods and containers`},
		{with: map[string]string{"kubeletMetricsNamespaces": `["A_b"]`}, says: `kubeletMetricsNamespaces: "A_b" cannot be a namespace`},
		{with: map[string]string{"kubeletMetrics": "true"}, says: "kubeletMetrics: it has no meaning with target addons"},
		{with: map[string]string{"gatewayController": "nginx"}, says: `gatewayController: "nginx"`},
		{with: map[string]string{"gatewayControllerReplicas": "3"}, says: "gatewayControllerReplicas: it has an effect only while gatewayController is traefik"},
		{with: map[string]string{"gatewayController": "traefik", "gatewayControllerHttpNodePort": "30080"}, says: "gatewayControllerService is NodePort"},
		{with: map[string]string{"gatewayController": "traefik", "gatewayControllerService": "NodePort", "gatewayControllerHttpNodePort": "30080", "gatewayControllerHttpsNodePort": "30080"},
			says: "choose two ports"},
		{with: map[string]string{"gatewayController": "traefik", "gatewayDefinitions": "http://example.com/crds.yaml"}, says: `"http://example.com/crds.yaml" is not where a manifest is`},
		{with: map[string]string{"gatewayController": "traefik", "gatewayControllerVersion": ">=41"}, says: `gatewayControllerVersion: ">=41" is not one version`},
		{with: map[string]string{"databaseStorage": "100Gi"}, says: "databaseStorage: it has no meaning with target addons"},
		{with: map[string]string{"domain": "example.com"}, says: "domain: it has no meaning with target addons"},
		{previous: map[string]any{"target": "kubernetes", "namespace": "alphapulse-addons"}, says: `target: "addons": the stack runs on target "kubernetes"`},
	} {
		config, err := recorder.StackConfig("addons")
		require.NoError(t, err)
		maps.Copy(config, c.with)
		r, err := recorder.Run(recorder.Options{Stack: "addons", Config: config, Previous: c.previous})
		require.ErrorContains(t, err, c.says)
		assert.Empty(t, r.Resources)
	}
	_, err := recorder.Run(recorder.Options{Stack: "dev", Config: map[string]string{"domain": ""}})
	require.ErrorContains(t, err, "domain: it is not set", "elsewhere it is asked for")
}
