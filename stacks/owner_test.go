package stacks

import (
	"testing"

	pulumicorev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	pulumimetav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/alphapulse/alphapulse-infra/components/platform"
	"github.com/alphapulse/alphapulse-infra/stacks/live"
)

func clusterWith(objects ...runtime.Object) *live.Cluster {
	lists := map[schema.GroupVersionResource]string{
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}: "CustomResourceDefinitionList",
	}
	return live.New(fake.NewSimpleDynamicClientWithCustomListKinds(clientscheme.Scheme, lists, objects...))
}

func namespaceOf(owner string) *corev1.Namespace {
	n := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "trading"}}
	if owner != "" {
		n.Annotations = map[string]string{platform.OwnerAnnotation: owner}
	}
	return n
}

func configMap(name string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "trading", Labels: labels}}
}

// certificateSecret is what cert-manager leaves behind.
func certificateSecret() *corev1.Secret {
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{
		Name: "edge-certificate", Namespace: "trading", Annotations: map[string]string{"cert-manager.io/certificate-name": "edge"}}}
}

var ours = map[string]string{"app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": "alphapulse"}

// TestNothingOfSomebodyElsesIsTakenOver: server-side apply would adopt it without a word,
// and a destroy delete it.
func TestNothingOfSomebodyElsesIsTakenOver(t *testing.T) {
	const me = "organization/alphapulse/dev"
	for _, c := range []struct {
		what       string
		there      []runtime.Object
		kind, name string
		deployed   bool
		takeOver   []string
		refused    string
	}{
		{what: "nothing is there", kind: "Namespace", name: "trading"},
		{what: "a stranger's namespace", there: []runtime.Object{namespaceOf("")}, kind: "Namespace", name: "trading", refused: "it is empty"},
		{what: "a stranger's namespace in use", there: []runtime.Object{namespaceOf(""), configMap("theirs", nil)},
			kind: "Namespace", name: "trading", refused: "it holds configmap/theirs"},
		{what: "another stack's namespace", there: []runtime.Object{namespaceOf("organization/alphapulse/other")}, kind: "Namespace", name: "trading", refused: "not of this stack"},
		{what: "its own, left empty by a destroy", there: []runtime.Object{namespaceOf(me), configMap("kube-root-ca.crt", nil)}, kind: "Namespace", name: "trading"},
		{what: "its own, with a certificate that cert-manager left", there: []runtime.Object{namespaceOf(me), certificateSecret()}, kind: "Namespace", name: "trading"},
		{what: "one of the same name that is in use", there: []runtime.Object{namespaceOf(me), configMap("database-config", ours)},
			kind: "Namespace", name: "trading", refused: "it holds configmap/database-config"},
		{what: "handed over", there: []runtime.Object{namespaceOf("")}, kind: "Namespace", name: "trading", takeOver: []string{"Namespace/trading"}},
		{what: "a stranger's object", there: []runtime.Object{configMap("cache", nil)}, kind: "ConfigMap", name: "cache", refused: "ConfigMap cache exists in namespace trading"},
		{what: "a stranger's object, later", there: []runtime.Object{configMap("cache", nil)}, kind: "ConfigMap", name: "cache", deployed: true, refused: "takeOver[0]"},
		{what: "another stack's object", there: []runtime.Object{configMap("cache", ours)}, kind: "ConfigMap", name: "cache", refused: "is not of this stack"},
		{what: "its own, from an update that was killed", there: []runtime.Object{namespaceOf(me), configMap("cache", ours)}, kind: "ConfigMap", name: "cache"},
		{what: "another stack's object in a namespace that is not its own", there: []runtime.Object{namespaceOf(""), configMap("cache", ours)},
			kind: "ConfigMap", name: "cache", refused: "is not of this stack"},
		{what: "a stranger's object in its own namespace", there: []runtime.Object{namespaceOf(me), configMap("cache", nil)},
			kind: "ConfigMap", name: "cache", refused: "is not of this stack"},
		{what: "a replacement of its own", there: []runtime.Object{configMap("cache", ours)}, kind: "ConfigMap", name: "cache", deployed: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			o := &owner{stack: me, namespace: "trading", deployed: c.deployed, takeOver: c.takeOver, cluster: clusterWith(c.there...)}
			err := o.refuse(t.Context(), c.kind, c.name)
			if c.refused == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, c.refused)
		})
	}
}

// TestTheClusterIsRemembered: another one that a context happens to mean is refused.
func TestTheClusterIsRemembered(t *testing.T) {
	system := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "here"}}
	port := int32(16443)
	slice := &discoveryv1.EndpointSlice{TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default", Labels: map[string]string{"kubernetes.io/service-name": "kubernetes"}},
		Ports:      []discoveryv1.EndpointPort{{Port: &port}}}
	dns := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: "anything", Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}},
		Spec:       corev1.ServiceSpec{ClusterIPs: []string{"10.233.0.3", "fd00:233::3"}}}
	for before, refused := range map[string]bool{"": false, "here": false, "elsewhere": true} {
		s := &Stack{Name: "dev", Cluster: Cluster{APIServerPorts: []string{"443"}}}
		err := s.identify(t.Context(), clusterWith(system, slice, dns), Previous{Cluster: before})
		if refused {
			assert.ErrorContains(t, err, "clusterMoveTo here", before)
			s.Cluster.MoveTo = "here"
			assert.NoError(t, s.identify(t.Context(), clusterWith(system, slice), Previous{Cluster: before}))
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, []string{"443", "16443"}, s.Cluster.APIServerPorts, "the port that the cluster tells")
		assert.Equal(t, []string{"10.233.0.3/32", "fd00:233::3/128"}, s.Cluster.DNSCIDRs, "the name servers that the cluster tells")
	}
}

// TestWhatIsHandedOverIsForced: fields that its former owner has set otherwise must not
// end the update, and nobody else's are overwritten.
func TestWhatIsHandedOverIsForced(t *testing.T) {
	o := &owner{namespace: "trading", takeOver: []string{"Namespace/trading", "ServiceAccount/frontend"}}
	shared := pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}
	for _, c := range []struct {
		typ    string
		props  func(*pulumimetav1.ObjectMetaArgs) pulumi.Input
		name   pulumi.StringPtrInput
		forced bool
	}{
		{"kubernetes:core/v1:Namespace", func(m *pulumimetav1.ObjectMetaArgs) pulumi.Input { return &pulumicorev1.NamespaceArgs{Metadata: m} }, pulumi.String("trading"), true},
		{"kubernetes:core/v1:ServiceAccount", func(m *pulumimetav1.ObjectMetaArgs) pulumi.Input {
			return &pulumicorev1.ServiceAccountArgs{Metadata: m}
		}, pulumi.String("frontend"), true},
		{"kubernetes:core/v1:ServiceAccount", func(m *pulumimetav1.ObjectMetaArgs) pulumi.Input {
			return &pulumicorev1.ServiceAccountArgs{Metadata: m}
		}, pulumi.String("backend"), false},
		{"kubernetes:core/v1:Service", func(m *pulumimetav1.ObjectMetaArgs) pulumi.Input { return &pulumicorev1.ServiceArgs{Metadata: m} }, pulumi.String("frontend"), false},
		{"kubernetes:core/v1:ServiceAccount", func(m *pulumimetav1.ObjectMetaArgs) pulumi.Input {
			return &pulumicorev1.ServiceAccountArgs{Metadata: m}
		}, pulumi.String("frontend").ToStringOutput(), false},
	} {
		meta := &pulumimetav1.ObjectMetaArgs{Name: c.name, Annotations: shared}
		o.force(c.typ, c.props(meta))
		got := meta.Annotations.(pulumi.StringMap)
		assert.Equal(t, pulumi.String("true"), got["pulumi.com/skipAwait"], "%s: what it says otherwise stays", c.typ)
		assert.Equal(t, c.forced, got["pulumi.com/patchForce"] != nil, "%s %v", c.typ, c.name)
	}
	assert.Len(t, shared, 1, "what others share is not changed")
	o.force("kubernetes:yaml:ConfigFile", nil)
	o.force("kubernetes:core/v1:Namespace", &pulumicorev1.NamespaceArgs{})
}

// TestVolumesThatCannotGrowAreRefused, where the cluster says so.
func TestVolumesThatCannotGrowAreRefused(t *testing.T) {
	class := func(name string, grows *bool) *storagev1.StorageClass {
		return &storagev1.StorageClass{TypeMeta: metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "StorageClass"},
			ObjectMeta: metav1.ObjectMeta{Name: name}, AllowVolumeExpansion: grows}
	}
	claim := func(name, class string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "trading"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class}}
	}
	yes, no := true, false
	cluster := clusterWith(class("local", nil), class("fixed", &no), class("grows", &yes),
		claim("data-database-g1-0", "local"), claim("cache", "fixed"), claim("monitoring-prometheus", "grows"), claim("monitoring-grafana", "unseen"))
	before := Previous{Namespace: "trading", Generation: 1, Volumes: map[string]string{
		"data-database-g1-0": "100Gi", "cache": "10Gi", "monitoring-prometheus": "50Gi", "monitoring-grafana": "1Gi", "monitoring-alertmanager": "1Gi"}}
	for what, values := range map[string]map[string]string{
		"": {"databaseStorage": "100Gi", "cacheStorage": "10Gi", "prometheusStorage": "60Gi", "grafanaStorage": "2Gi"},
		"databaseStorage: 200Gi: volume data-database-g1-0 has StorageClass local, which does not let a volume grow: keep 100Gi": {"databaseStorage": "200Gi", "cacheStorage": "10Gi"},
		"cacheStorage: 20Gi: volume cache has StorageClass fixed":                                                                {"databaseStorage": "200Gi", "cacheStorage": "20Gi"},
	} {
		values["domain"], values["namespace"], values["prometheusStorage"] = "example.org", "trading", "60Gi"
		s, err := Parse("dev", values, nil, before)
		require.NoError(t, err)
		if err = s.growth(t.Context(), cluster, before); what == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, what)
		}
	}
}

func TestObjectOf(t *testing.T) {
	kind, name := objectOf(resource.NewPropertyMapFromMap(map[string]any{"kind": "Secret", "metadata": map[string]any{"name": "a"}}))
	assert.Equal(t, []string{"Secret", "a"}, []string{kind, name})
	_, name = objectOf(resource.PropertyMap{"kind": resource.NewStringProperty("Secret")})
	assert.Empty(t, name, "a name that is not known yet")
}

// TestAMissingCertificateIsTold: pods that wait for a Secret say nothing.
func TestAMissingCertificateIsTold(t *testing.T) {
	s := &Stack{TLS: TLS{Mode: TLSSecret, Secret: "wildcard"}, Cluster: Cluster{Namespace: "trading"}}
	there := clusterWith(&corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "wildcard", Namespace: "trading"}})
	assert.Empty(t, s.certificateMissing(t.Context(), there))
	assert.Contains(t, s.certificateMissing(t.Context(), clusterWith()), "no Secret wildcard in namespace trading")
	s.TLS.Mode = TLSDevelopment
	assert.Empty(t, s.certificateMissing(t.Context(), clusterWith()))
}
