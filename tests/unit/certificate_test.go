package unit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// objectsOf are those of prod with settings of its own.
func objectsOf(t *testing.T, with map[string]string) []recorder.Object {
	t.Helper()
	objects, err := prod(t, with).Objects()
	require.NoError(t, err)
	return objects
}

// edgeOf is the edge's Deployment.
func edgeOf(t *testing.T, objects []recorder.Object) *appsv1.Deployment {
	t.Helper()
	for _, d := range recorder.Of[*appsv1.Deployment](objects) {
		if d.Name == "edge" {
			return d
		}
	}
	t.Fatal("no edge")
	return nil
}

// certificateOf is the Secret that nginx reads.
func certificateOf(t *testing.T, objects []recorder.Object) *corev1.SecretVolumeSource {
	t.Helper()
	for _, v := range edgeOf(t, objects).Spec.Template.Spec.Volumes {
		if v.Name == "tls" {
			return v.Secret
		}
	}
	t.Fatal("no certificate is mounted")
	return nil
}

// TestACertificateOfSomebodyElsesIsMountedAsItIs: under the Secret's own name, so that a
// new certificate in it is no new revision of the pods.
func TestACertificateOfSomebodyElsesIsMountedAsItIs(t *testing.T) {
	objects := objectsOf(t, map[string]string{"tlsMode": "secret", "tlsSecret": "wildcard"})
	assert.Equal(t, "wildcard", certificateOf(t, objects).SecretName)
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		assert.False(t, strings.HasPrefix(s.Name, "edge-tls"), "%s: a second certificate", s.Name)
	}
	for key := range edgeOf(t, objects).Spec.Template.Annotations {
		assert.True(t, strings.HasPrefix(key, "prometheus.io/"), "%s: does it follow from the certificate?", key)
	}

	objects = objectsOf(t, map[string]string{"tlsMode": "secret", "tlsSecret": "wildcard", "edgeExposure": "ingress", "edgeIngressClass": "any"})
	in := recorder.Of[*networkingv1.Ingress](objects)
	require.Len(t, in, 1)
	assert.Equal(t, "wildcard", in[0].Spec.TLS[0].SecretName, "the controller in front shows the same one")
}

// TestCertManagerKeepsTheCertificate of all hosts, with a new key each time.
func TestCertManagerKeepsTheCertificate(t *testing.T) {
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	domain := config["domain"]
	objects := objectsOf(t, issued)
	custom := recorder.Of[*unstructured.Unstructured](objects)
	require.Len(t, custom, 1)
	c := custom[0]
	assert.Equal(t, "cert-manager.io/v1", c.GetAPIVersion())
	assert.Equal(t, "Certificate", c.GetKind())
	assert.Equal(t, "true", c.GetAnnotations()["cert-manager.io/issue-temporary-certificate"], "nginx runs before the first challenge is answered through it")
	spec := c.Object["spec"].(map[string]any)
	assert.Equal(t, certificateOf(t, objects).SecretName, spec["secretName"])
	assert.Equal(t, []any{"alphapulse." + domain, "api." + domain, "dashboard." + domain, "monitoring." + domain}, spec["dnsNames"])
	assert.Equal(t, map[string]any{"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt"}, spec["issuerRef"])
	assert.Equal(t, "Always", spec["privateKey"].(map[string]any)["rotationPolicy"])
	for _, p := range recorder.Of[*networkingv1.NetworkPolicy](objects) {
		assert.NotContains(t, p.Name, "acme", "a way that nothing needs")
	}
}

// TestChallengesReachTheirSolvers and nobody else does: where nothing is allowed that is
// not stated, the edge meets cert-manager's pods on their port alone; with an Ingress
// object its controller does, wherever that is.
func TestChallengesReachTheirSolvers(t *testing.T) {
	const label = "acme.cert-manager.io/http01-solver"
	policies := func(with map[string]string) map[string]*networkingv1.NetworkPolicy {
		all, settings := map[string]*networkingv1.NetworkPolicy{}, maps.Clone(issued)
		settings["tlsHttp01"] = "true"
		maps.Copy(settings, with)
		objects := objectsOf(t, settings)
		for _, p := range recorder.Of[*networkingv1.NetworkPolicy](objects) {
			if strings.HasPrefix(p.Name, "edge-acme") {
				all[p.Name] = p
			}
		}
		service := slices.ContainsFunc(recorder.Of[*corev1.Service](objects), func(s *corev1.Service) bool {
			return s.Name == "edge-acme" && s.Spec.ClusterIP == "None" && s.Spec.Selector[label] == "true"
		})
		assert.Equal(t, len(with) == 0, service, "the solvers have a name")
		return all
	}
	all := policies(nil)
	require.Len(t, all, 2)
	out, in := all["edge-acme"].Spec, all["edge-acme-solver"].Spec
	assert.Equal(t, "edge", out.PodSelector.MatchLabels["app.kubernetes.io/name"])
	assert.Equal(t, map[string]string{label: "true"}, out.Egress[0].To[0].PodSelector.MatchLabels)
	assert.Equal(t, map[string]string{label: "true"}, in.PodSelector.MatchLabels)
	require.Len(t, in.Ingress[0].From, 1)
	assert.Equal(t, "edge", in.Ingress[0].From[0].PodSelector.MatchLabels["app.kubernetes.io/name"])
	for _, ports := range [][]networkingv1.NetworkPolicyPort{out.Egress[0].Ports, in.Ingress[0].Ports} {
		require.Len(t, ports, 1)
		assert.Equal(t, 8089, ports[0].Port.IntValue())
	}

	all = policies(map[string]string{"edgeExposure": "ingress", "edgeIngressClass": "any"})
	require.Len(t, all, 1)
	assert.Empty(t, all["edge-acme-solver"].Spec.Ingress[0].From)
}

// TestACertificateThatNobodyPutsThereIsRefused before anything is made.
func TestACertificateThatNobodyPutsThereIsRefused(t *testing.T) {
	for _, c := range []struct{ with, says map[string]string }{
		{map[string]string{"tlsMode": "secret"}, map[string]string{"tlsSecret: it is not set, and tlsMode is secret": "kubernetes.io/tls"}},
		{map[string]string{"tlsMode": "certManager"}, map[string]string{"tlsIssuer: it is not set, and tlsMode is certManager": "kubectl get clusterissuers"}},
		{map[string]string{"tlsMode": "secret", "tlsSecret": "My Secret"}, map[string]string{"tlsSecret": `"My Secret" cannot be an object's name`}},
		{map[string]string{"tlsMode": "certManager", "tlsIssuer": "a", "tlsIssuerKind": "issuer"}, map[string]string{"tlsIssuerKind": `"issuer"`}},
		{map[string]string{"tlsMode": "secret", "tlsSecret": "a", "tlsIssuer": "a"}, map[string]string{"tlsIssuer": "tlsMode is certManager"}},
	} {
		config, err := recorder.StackConfig("prod")
		require.NoError(t, err)
		maps.Copy(config, c.with)
		r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config})
		assert.Empty(t, r.Resources, "%v", c.with)
		for setting, says := range c.says {
			assert.ErrorContains(t, err, setting)
			assert.ErrorContains(t, err, says)
		}
	}
}
