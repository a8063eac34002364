package addons

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/platform"
)

// give runs the component alone.
func give(a KubeletMetricsArgs) (registered, error) {
	r := registered{}
	return r, pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := NewKubeletMetrics(ctx, "kubelet-metrics", &a)
		return err
	}, pulumi.WithMocks("alphapulse", "addons", r))
}

// TestARightSaysWhoseItIs, so that it is found again, and somebody else's is left alone.
func TestARightSaysWhoseItIs(t *testing.T) {
	r, err := give(KubeletMetricsArgs{Namespaces: []string{"a"}, Account: "p", Owner: "organization/alphapulse/addons"})
	require.NoError(t, err)
	for _, kind := range []string{"ClusterRole", "ClusterRoleBinding"} {
		meta := r["kubernetes:rbac.authorization.k8s.io/v1:"+kind]["metadata"].ObjectValue().Mappable()
		assert.Equal(t, KubeletMetricsRole, meta["name"], kind)
		assert.Equal(t, map[string]any{platform.OwnerAnnotation: "organization/alphapulse/addons"}, meta["annotations"], kind)
	}
}

// TestARightIsForSomebody, and what is wrong is told at once, before anything is registered.
func TestARightIsForSomebody(t *testing.T) {
	for _, c := range []struct {
		args KubeletMetricsArgs
		says []string
	}{
		{KubeletMetricsArgs{}, []string{"namespaces: none is named", "account: none is named"}},
		{KubeletMetricsArgs{Namespaces: []string{"a", "B_c"}, Account: "p"}, []string{`namespace "B_c"`}},
	} {
		r, err := give(c.args)
		for _, says := range c.says {
			require.ErrorContains(t, err, says)
		}
		assert.Empty(t, r)
	}
}
