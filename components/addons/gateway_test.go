package addons

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// installGateway runs the component alone.
func installGateway(t *testing.T, change func(*GatewayArgs)) (registered, error) {
	t.Helper()
	a, r := GatewayDefaults(), registered{}
	a.Owner = "organization/alphapulse/addons"
	change(&a)
	return r, pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := NewGateway(ctx, "gateway-controller", &a)
		return err
	}, pulumi.WithMocks("alphapulse", "addons", r))
}

// TestTheGatewayAPIComesWithItsController, or is the cluster's own; the definitions of kinds
// that nobody uses are left out.
func TestTheGatewayAPIComesWithItsController(t *testing.T) {
	const file = "kubernetes:yaml/v2:ConfigFile"
	r, err := installGateway(t, func(*GatewayArgs) {})
	require.NoError(t, err)
	assert.Equal(t, GatewayDefaults().Definitions, r[file]["file"].StringValue())
	chart := r["kubernetes:helm.sh/v4:Chart"].Mappable()
	assert.Equal(t, true, chart["skipCrds"])
	assert.Equal(t, "traefik", chart["chart"])
	assert.Equal(t, map[string]any{"repo": "https://traefik.github.io/charts"}, chart["repositoryOpts"])
	meta := r["kubernetes:core/v1:Namespace"]["metadata"].ObjectValue().Mappable()
	assert.Equal(t, "restricted", meta["labels"].(map[string]any)["pod-security.kubernetes.io/enforce"])

	r, err = installGateway(t, func(a *GatewayArgs) { a.Definitions = "" })
	require.NoError(t, err)
	assert.NotContains(t, r, file)
}

// TestWhatTheControllerServes: Gateways and Ingress objects that name it, with the clients'
// addresses; it calls nobody.
func TestWhatTheControllerServes(t *testing.T) {
	r, err := installGateway(t, func(a *GatewayArgs) {
		a.Service, a.HTTPNodePort, a.HTTPSNodePort = NodePort, 30080, 30443
	})
	require.NoError(t, err)
	values := r["kubernetes:helm.sh/v4:Chart"].Mappable()["values"].(map[string]any)
	on, off := map[string]any{"enabled": true}, map[string]any{"enabled": false}
	assert.Equal(t, map[string]any{"kubernetesCRD": off, "kubernetesIngress": on, "kubernetesGateway": on}, values["providers"])
	assert.Equal(t, map[string]any{"enabled": true, "isDefaultClass": false}, values["ingressClass"])
	assert.Equal(t, map[string]any{"enabled": true, "name": "traefik"}, values["gatewayClass"])
	assert.Equal(t, off, values["gateway"])
	assert.Equal(t, map[string]any{"type": "NodePort", "externalTrafficPolicy": "Local"}, values["service"].(map[string]any)["spec"])
	assert.Equal(t, map[string]any{
		"web": map[string]any{"port": 8000.0, "nodePort": 30080.0}, "websecure": map[string]any{"port": 8443.0, "nodePort": 30443.0},
	}, values["ports"])
	assert.Equal(t, map[string]any{"checkNewVersion": false, "sendAnonymousUsage": false}, values["global"])
	assert.Equal(t, map[string]any{"enabled": true, "maxUnavailable": 1.0}, values["podDisruptionBudget"])

	r, err = installGateway(t, func(a *GatewayArgs) { a.Replicas = 1 })
	require.NoError(t, err)
	values = r["kubernetes:helm.sh/v4:Chart"].Mappable()["values"].(map[string]any)
	assert.Equal(t, off, values["podDisruptionBudget"], "a budget of the only pod would stop every drain")
	assert.Equal(t, map[string]any{"port": 8000.0}, values["ports"].(map[string]any)["web"])
}

// TestArgumentsOfTheGatewayAreChecked, all of them at once, before anything is registered.
func TestArgumentsOfTheGatewayAreChecked(t *testing.T) {
	r, err := installGateway(t, func(a *GatewayArgs) {
		a.Chart, a.Version, a.Namespace, a.Replicas, a.Definitions, a.Service, a.HTTPNodePort = "", "", "A", 0, "http://x", "ClusterIP", 30080
	})
	require.Error(t, err)
	for _, want := range []string{`chart ""`, `namespace "A"`, "replicas", `definitions "http://x"`, `service "ClusterIP"`, "node ports 30080"} {
		assert.ErrorContains(t, err, want)
	}
	assert.Empty(t, r)
}
