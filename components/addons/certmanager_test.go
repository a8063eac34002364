package addons

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/platform"
)

// TestDefinitionsAreKept whatever the chart says of them, carry their owner, and are
// protected where that is asked for; nothing else of the chart is.
func TestDefinitionsAreKept(t *testing.T) {
	for _, protect := range []bool{true, false} {
		a := CertManagerDefaults()
		a.Owner, a.Protect = "organization/alphapulse/addons", protect
		props := pulumi.Map{"metadata": pulumi.Map{"name": pulumi.String("issuers.cert-manager.io"), "annotations": pulumi.Map{"helm.sh/resource-policy": pulumi.String("keep")}}}
		result := keep(a.Owner, a.Protect)(t.Context(), &pulumi.ResourceTransformArgs{Type: definition, Props: props})
		require.NotNil(t, result)
		assert.True(t, result.Opts.RetainOnDelete)
		assert.Equal(t, protect, result.Opts.Protect)
		meta := result.Props["metadata"].(pulumi.Map)
		assert.Equal(t, pulumi.Map{"helm.sh/resource-policy": pulumi.String("keep"), platform.OwnerAnnotation: pulumi.String(a.Owner)}, meta["annotations"])

		props = pulumi.Map{"metadata": pulumi.Map{"name": pulumi.String("issuers.cert-manager.io")}}
		meta = keep(a.Owner, a.Protect)(t.Context(), &pulumi.ResourceTransformArgs{Type: definition, Props: props}).Props["metadata"].(pulumi.Map)
		assert.Equal(t, pulumi.Map{platform.OwnerAnnotation: pulumi.String(a.Owner)}, meta["annotations"], "one without annotations")
		assert.Nil(t, keep(a.Owner, a.Protect)(t.Context(), &pulumi.ResourceTransformArgs{Type: "kubernetes:apps/v1:Deployment", Props: props}))
	}
}

// registered is what a component asked for.
type registered map[string]resource.PropertyMap

func (r registered) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r[args.TypeToken] = args.Inputs
	return args.Name, args.Inputs, nil
}

func (r registered) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

// install runs the component alone.
func install(t *testing.T, change func(*CertManagerArgs)) (registered, error) {
	t.Helper()
	a, r := CertManagerDefaults(), registered{}
	a.Owner = "organization/alphapulse/addons"
	change(&a)
	return r, pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := NewCertManager(ctx, "cert-manager", &a)
		return err
	}, pulumi.WithMocks("alphapulse", "addons", r))
}

// chart is what is asked of Helm.
func chart(t *testing.T, change func(*CertManagerArgs)) map[string]any {
	t.Helper()
	r, err := install(t, change)
	require.NoError(t, err)
	return r["kubernetes:helm.sh/v4:Chart"].Mappable()
}

// TestChartComesFromWhereItIs: a repository and its chart are two things for Helm, and a
// folder has a version of its own.
func TestChartComesFromWhereItIs(t *testing.T) {
	for place, want := range map[string]map[string]any{
		"https://charts.jetstack.io/cert-manager":        {"chart": "cert-manager", "version": "v1.21.2", "repositoryOpts": map[string]any{"repo": "https://charts.jetstack.io"}},
		"https://mirror.example.com/helm/a/cert-manager": {"chart": "cert-manager", "version": "v1.21.2", "repositoryOpts": map[string]any{"repo": "https://mirror.example.com/helm/a"}},
		"oci://quay.io/jetstack/charts/cert-manager":     {"chart": "oci://quay.io/jetstack/charts/cert-manager", "version": "v1.21.2"},
		"/srv/charts/cert-manager":                       {"chart": "/srv/charts/cert-manager"},
	} {
		got := chart(t, func(a *CertManagerArgs) { a.Chart = place })
		for _, key := range []string{"chart", "version", "repositoryOpts"} {
			assert.Equal(t, want[key], got[key], "%s: %s", place, key)
		}
	}
}

// TestNothingDependsOnHelm: definitions are among the objects, and what only Helm runs is
// left out. Nothing lies outside of the add-on's namespace, which is restricted.
func TestNothingDependsOnHelm(t *testing.T) {
	values := chart(t, func(a *CertManagerArgs) { a.Replicas, a.NameServers = 2, []string{"192.0.2.1:53", "192.0.2.2:53"} })["values"].(map[string]any)
	assert.Equal(t, map[string]any{"enabled": true, "keep": true}, values["crds"])
	assert.Equal(t, map[string]any{"enabled": false}, values["startupapicheck"])
	assert.Equal(t, map[string]any{"leaderElection": map[string]any{"namespace": "cert-manager"}}, values["global"])
	assert.Equal(t, []any{"--acme-http01-solver-nameservers=192.0.2.1:53,192.0.2.2:53"}, values["extraArgs"])
	for _, part := range []map[string]any{values, values["webhook"].(map[string]any), values["cainjector"].(map[string]any)} {
		assert.Equal(t, 2.0, part["replicaCount"])
		assert.Equal(t, map[string]any{"enabled": true}, part["podDisruptionBudget"])
		assert.Equal(t, map[string]any{"cpu": "500m", "memory": "256Mi"}, part["resources"].(map[string]any)["limits"])
	}
	single := chart(t, func(*CertManagerArgs) {})["values"].(map[string]any)
	assert.Equal(t, map[string]any{"enabled": false}, single["podDisruptionBudget"], "a budget of the only pod would stop every drain")

	r, err := install(t, func(*CertManagerArgs) {})
	require.NoError(t, err)
	meta := r["kubernetes:core/v1:Namespace"]["metadata"].ObjectValue().Mappable()
	assert.Equal(t, "restricted", meta["labels"].(map[string]any)["pod-security.kubernetes.io/enforce"])
	assert.Equal(t, map[string]any{platform.OwnerAnnotation: "organization/alphapulse/addons"}, meta["annotations"])
}

// TestArgumentsAreChecked, all of them at once, before anything is registered.
func TestArgumentsAreChecked(t *testing.T) {
	r, err := install(t, func(a *CertManagerArgs) {
		a.Chart, a.Version, a.Namespace, a.Replicas, a.NameServers = "http://charts.example.com/x", "", "Cert_Manager", 0, []string{"1.1.1.1"}
	})
	require.Error(t, err)
	for _, want := range []string{`chart "http://charts.example.com/x"`, "version", `namespace "Cert_Manager"`, "replicas", `"1.1.1.1" is not an address and a port`} {
		assert.ErrorContains(t, err, want)
	}
	assert.Empty(t, r)
}
