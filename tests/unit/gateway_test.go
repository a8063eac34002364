package unit

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// gatewayObjects are the routes and policies of prod with settings of its own, by kind, all
// of them as the Gateway API's own definitions want them.
func gatewayObjects(t *testing.T, with map[string]string) (map[string]map[string]any, []recorder.Object) {
	t.Helper()
	objects := objectsOf(t, with)
	defineGatewayAPI(t)
	accepted(t, objects)
	found := map[string]map[string]any{}
	for _, c := range recorder.Of[*unstructured.Unstructured](objects) {
		if strings.HasPrefix(c.GetAPIVersion(), "gateway.networking.k8s.io/") {
			assert.Equal(t, "edge", c.GetName())
			require.NotContains(t, found, c.GetKind())
			found[c.GetKind()] = c.Object["spec"].(map[string]any)
		}
	}
	return found, objects
}

// defineGatewayAPI tells the API server's code of the kinds that the module of the Gateway
// API ships.
func defineGatewayAPI(t *testing.T) {
	t.Helper()
	root, err := recorder.Root()
	require.NoError(t, err)
	download := exec.Command("go", "mod", "download", "-json", "sigs.k8s.io/gateway-api")
	download.Dir = filepath.Join(root, "tests", "gatewayapi")
	download.Env = append(os.Environ(), "GOWORK=off")
	download.Stderr = os.Stderr
	out, err := download.Output()
	require.NoError(t, err, string(out))
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))
	files, err := filepath.Glob(filepath.Join(module.Dir, "config", "crd", "standard", "gateway.networking.k8s.io_*s.yaml"))
	require.NoError(t, err)
	server, err := startAPIServer()
	require.NoError(t, err)
	defined := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var of struct{ Kind string }
		require.NoError(t, yaml.Unmarshal(raw, &of))
		if of.Kind != "CustomResourceDefinition" {
			continue
		}
		line, err := yaml.YAMLToJSON(raw)
		require.NoError(t, err)
		said, err := server.says(string(line))
		require.NoError(t, err)
		require.Empty(t, said, file)
		defined++
	}
	require.GreaterOrEqual(t, defined, 8)
}

// parents of a route.
func parents(gateway map[string]any, sections ...string) []any {
	var all []any
	for _, s := range sections {
		parent := map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway"}
		maps.Copy(parent, gateway)
		if s != "" {
			parent["sectionName"] = s
		}
		all = append(all, parent)
	}
	return all
}

// leads says where a route leads to.
func leads(port float64) []any {
	return []any{map[string]any{"backendRefs": []any{map[string]any{"group": "", "kind": "Service", "name": "edge", "port": port}}}}
}

// TestAGatewayThatEndsTLSSpeaksItToTheEdge, for all hosts on each listener, and verifies
// the certificate that the edge has: by its own authority, by those that are given, or by
// the Gateway's.
func TestAGatewayThatEndsTLSSpeaksItToTheEdge(t *testing.T) {
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	domain := config["domain"]
	found, objects := gatewayObjects(t, gated)
	require.Len(t, found, 2)
	route := plainly(t, found["HTTPRoute"])
	assert.Equal(t, parents(map[string]any{"name": "shared"}, ""), route["parentRefs"])
	assert.Equal(t, []any{"alphapulse." + domain, "api." + domain, "dashboard." + domain, "monitoring." + domain}, route["hostnames"])
	assert.Equal(t, leads(443), route["rules"])

	policy := plainly(t, found["BackendTLSPolicy"])
	assert.Equal(t, []any{map[string]any{"group": "", "kind": "Service", "name": "edge", "sectionName": "https"}}, policy["targetRefs"])
	verified := policy["validation"].(map[string]any)
	assert.Equal(t, "alphapulse."+domain, verified["hostname"])
	assert.NotContains(t, verified, "wellKnownCACertificates")
	authorities := verified["caCertificateRefs"].([]any)[0].(map[string]any)
	var own *corev1.ConfigMap
	for _, c := range recorder.Of[*corev1.ConfigMap](objects) {
		if c.Name == authorities["name"] {
			own = c
		}
	}
	require.NotNil(t, own, "the authority is there")
	assert.Equal(t, prod(t, gated).Outputs["caCertificate"], own.Data["ca.crt"])
	for _, s := range recorder.Of[*corev1.Service](objects) {
		if s.Name == "edge" {
			assert.Equal(t, corev1.ServiceTypeClusterIP, s.Spec.Type)
			assert.Equal(t, "https", s.Spec.Ports[1].Name)
		}
	}

	public := map[string]string{"tlsMode": "secret", "tlsSecret": "wildcard", "edgeGatewayNamespace": "gateways", "edgeGatewayListener": "web-tls", "edgeGatewayHttpListener": "web"}
	maps.Copy(public, gated)
	found, _ = gatewayObjects(t, public)
	assert.Equal(t, parents(map[string]any{"name": "shared", "namespace": "gateways"}, "web-tls", "web"), plainly(t, found["HTTPRoute"])["parentRefs"])
	verified = plainly(t, found["BackendTLSPolicy"])["validation"].(map[string]any)
	assert.Equal(t, "System", verified["wellKnownCACertificates"])
	assert.NotContains(t, verified, "caCertificateRefs")

	private := maps.Clone(public)
	private["edgeGatewayAuthorities"] = provided[0].chain
	found, objects = gatewayObjects(t, private)
	verified = plainly(t, found["BackendTLSPolicy"])["validation"].(map[string]any)
	authorities = verified["caCertificateRefs"].([]any)[0].(map[string]any)
	given := false
	for _, c := range recorder.Of[*corev1.ConfigMap](objects) {
		given = given || c.Name == authorities["name"] && strings.TrimSpace(c.Data["ca.crt"]) == strings.TrimSpace(provided[0].chain)
	}
	assert.True(t, given, "the authorities that are given are there")
}

// TestAGatewayPassesTLSThrough by the names that clients ask for, and plain HTTP only where
// a listener for it is named.
func TestAGatewayPassesTLSThrough(t *testing.T) {
	found, _ := gatewayObjects(t, passedThrough)
	require.Len(t, found, 1)
	route := plainly(t, found["TLSRoute"])
	assert.Equal(t, parents(map[string]any{"name": "shared"}, ""), route["parentRefs"])
	assert.Len(t, route["hostnames"], 4)
	assert.Equal(t, leads(443), route["rules"])

	with := map[string]string{"edgeGatewayListener": "tls", "edgeGatewayHttpListener": "web"}
	maps.Copy(with, passedThrough)
	found, _ = gatewayObjects(t, with)
	require.Len(t, found, 2)
	assert.Equal(t, parents(map[string]any{"name": "shared"}, "tls"), plainly(t, found["TLSRoute"])["parentRefs"])
	assert.Equal(t, parents(map[string]any{"name": "shared"}, "web"), plainly(t, found["HTTPRoute"])["parentRefs"])
	assert.Equal(t, leads(80), plainly(t, found["HTTPRoute"])["rules"])
}

// plainly is a value as JSON has it.
func plainly(t *testing.T, v map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	var plain map[string]any
	require.NoError(t, json.Unmarshal(raw, &plain))
	return plain
}

// TestWhoIsBelievedBehindAGateway: one that ends TLS names the clients; of one that passes
// it through nothing is believed, as clients wrote it themselves.
func TestWhoIsBelievedBehindAGateway(t *testing.T) {
	conf := func(with map[string]string) string {
		for _, c := range recorder.Of[*corev1.ConfigMap](objectsOf(t, with)) {
			if conf := c.Data["nginx.conf"]; conf != "" {
				return conf
			}
		}
		t.Fatal("no nginx.conf")
		return ""
	}
	assert.Contains(t, conf(gated), "set_real_ip_from 10.0.0.0/8;")
	assert.NotContains(t, conf(passedThrough), "set_real_ip_from")
	proxied := map[string]string{"edgeProxyProtocol": "true"}
	maps.Copy(proxied, passedThrough)
	assert.Contains(t, conf(proxied), "real_ip_header proxy_protocol;")
}

// TestWaysThroughAGatewayThatAreNone are refused before anything is made.
func TestWaysThroughAGatewayThatAreNone(t *testing.T) {
	for says, with := range map[string]map[string]string{
		"edgeGateway: it is not set, and edgeExposure is gateway: name the Gateway, as `kubectl get gateways": {"edgeExposure": "gateway"},
		"edgeTrustedProxies: with edgeGatewayTls passthrough all that comes from the Gateway":                 {"edgeExposure": "gateway", "edgeGateway": "a", "edgeGatewayTls": "passthrough", "edgeTrustedProxies": `["10.0.0.0/8"]`},
	} {
		config, err := recorder.StackConfig("prod")
		require.NoError(t, err)
		maps.Copy(config, with)
		r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config})
		require.ErrorContains(t, err, says)
		assert.Empty(t, r.Resources)
	}
}

// TestTheDefinitionsAreLookedAt: what they refuse is refused here.
func TestTheDefinitionsAreLookedAt(t *testing.T) {
	defineGatewayAPI(t)
	server, err := startAPIServer()
	require.NoError(t, err)
	for object, want := range map[string]string{
		`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"a","namespace":"x"},"spec":{"parents":[]}}`:                                                                                                                      "unknown field spec.parents",
		`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"TLSRoute","metadata":{"name":"a","namespace":"x"},"spec":{"parentRefs":[{"name":"a"}],"rules":[{"backendRefs":[{"name":"a","port":1}]}]}}`:                                                      "spec.hostnames: Required value",
		`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"a","namespace":"x"},"spec":{"parentRefs":[{"name":"a"},{"name":"a"}]}}`:                                                                                          "sectionName must be unique",
		`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"BackendTLSPolicy","metadata":{"name":"a","namespace":"x"},"spec":{"targetRefs":[{"group":"","kind":"Service","name":"a"}],"validation":{"hostname":"a.example.com"}}}`:                          "must specify either CACertificateRefs or WellKnownCACertificates",
		`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"BackendTLSPolicy","metadata":{"name":"a","namespace":"x"},"spec":{"targetRefs":[{"group":"","kind":"Service","name":"a"}],"validation":{"hostname":"a b","wellKnownCACertificates":"System"}}}`: "spec.validation.hostname",
	} {
		said, err := server.says(object)
		require.NoError(t, err)
		assert.Contains(t, said, want)
	}
}
