package unit

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/stacks/live"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

func record(t *testing.T, stack string, with map[string]string) *recorder.Recording {
	t.Helper()
	r, err := recorder.Stack(stack, with)
	require.NoError(t, err)
	return r
}

// TestProdProtectsWhatUsersStored and dev can be thrown away: the two differ by
// protection, not by the program.
func TestProdProtectsWhatUsersStored(t *testing.T) {
	for stack, protected := range map[string]bool{"prod": true, "dev": false} {
		stateful := 0
		for _, r := range record(t, stack, nil).Resources {
			if strings.HasPrefix(r.Type, "random:") && !strings.HasPrefix(r.Name, "credentials-") {
				continue // made anew, it would open nothing that is stored; or the guard
			}
			if strings.HasPrefix(r.Name, "credentials-authority-seed-") {
				continue // the CA that comes next: what stores nothing leaves with its rotation
			}
			if !r.Stateful() {
				assert.False(t, r.RPC.GetProtect(), "%s: %s holds nothing and is protected", stack, r.Label())
				continue
			}
			stateful++
			// A standby's claim may leave the stack, with its member, and is kept all the same.
			standby := r.Kind() == "PersistentVolumeClaim" && strings.HasPrefix(r.Name, "data-database-") && !strings.HasSuffix(r.Name, "-0")
			assert.Equal(t, protected && !standby, r.RPC.GetProtect(), "%s: protect of %s", stack, r.Label())
			// Others may have put something into the namespace: no destroy deletes it.
			retained := protected || r.Kind() == "Namespace"
			assert.Equal(t, retained, r.RPC.GetRetainOnDelete(), "%s: retainOnDelete of %s", stack, r.Label())
		}
		assert.Greater(t, stateful, 15)
	}
}

// TestGuardRefusesEveryDestroy: in a protected stack one protected thing depends on all
// of the others, so that it is the first that a destroy would delete: its refusal
// keeps them. Elsewhere it depends on nothing, and nothing is in an operator's way.
func TestGuardRefusesEveryDestroy(t *testing.T) {
	for stack, protected := range map[string]bool{"prod": true, "dev": false, "single": true} {
		r := record(t, stack, map[string]string{"protect": strconv.FormatBool(protected)})
		guards := r.Find("random:index/randomId:RandomId", "")
		require.Len(t, guards, 1, stack)
		guard := guards[0]
		assert.Equal(t, protected, guard.RPC.GetProtect(), stack)
		if !protected {
			assert.Empty(t, guard.RPC.GetDependencies(), stack)
			continue
		}
		guarded := map[string]bool{}
		for _, urn := range guard.RPC.GetDependencies() {
			parts := strings.Split(urn, "::")
			types := strings.Split(parts[2], "$")
			guarded[types[len(types)-1]+"::"+parts[3]] = true
		}
		for _, x := range r.Resources {
			if x.Label() == guard.Label() || strings.HasPrefix(x.Type, "alphapulse:index:") {
				continue // components are deleted after their children
			}
			assert.True(t, guarded[x.Type+"::"+x.Name], "%s would be deleted by a refused destroy", x.Label())
		}
	}
}

// TestComponentsOwnTheirChildren: every object has a component for a parent, the
// explicit provider, and a name that starts with its component's.
func TestComponentsOwnTheirChildren(t *testing.T) {
	r := record(t, "prod", nil)
	types := map[string]bool{}
	for _, x := range r.Resources {
		if name, ours := strings.CutPrefix(x.Type, "alphapulse:index:"); ours {
			types[name] = true
			continue
		}
		if x.Type == "pulumi:providers:kubernetes" {
			continue
		}
		parent := x.RPC.GetParent()
		require.Contains(t, parent, "alphapulse:index:", "%s has no component", x.Label())
		owner := parent[strings.LastIndex(parent, "::")+2:]
		if !strings.HasPrefix(strings.TrimPrefix(x.Name, "data-"), owner) { // a member's claim is called as Kubernetes does
			assert.Equal(t, "Service", x.Kind(), "%s is not named after its component %s", x.Label(), owner) // aliases
		}
		if x.Kubernetes() {
			assert.Contains(t, x.RPC.GetProvider(), "pulumi:providers:kubernetes::cluster", "%s uses another provider", x.Label())
		}
	}
	for _, want := range []string{"Platform", "Credentials", "Database", "Cache", "Backend", "Frontend", "Ingress", "Monitoring", "Guard"} {
		assert.True(t, types[want], "no component %s", want)
	}
}

// TestCredentialsAreSecretWhereverTheyFlow: outputs that open something are secret
// ones, and every generated value is 32 characters of letters and digits.
func TestCredentialsAreSecretWhereverTheyFlow(t *testing.T) {
	r := record(t, "prod", nil)
	for _, name := range []string{"grafanaPassword", "prometheusPassword", "databasePassword", "cachePassword"} {
		assert.Contains(t, r.Secrets, name)
		assert.NotContains(t, r.Outputs, name)
	}
	generated := r.Find("random:index/randomPassword:RandomPassword", "")
	require.NotEmpty(t, generated)
	for _, x := range generated {
		assert.GreaterOrEqual(t, x.Inputs["length"].NumberValue(), 32.0, x.Name)
		assert.False(t, x.Inputs["special"].BoolValue(), x.Name)
	}
	for _, x := range r.Resources {
		if x.Kind() == "Secret" {
			for key, v := range x.Inputs["stringData"].SecretValue().Element.ObjectValue() {
				assert.NotEmpty(t, v, "%s: key %s is empty", x.Label(), key)
			}
		}
	}
}

// TestEachConsumerReadsItsOwnSecret: the dashboard never sees third-party keys, and
// no two workloads share a Secret.
func TestEachConsumerReadsItsOwnSecret(t *testing.T) {
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	config["backendSecretEnv"] = `{"BINANCE_API_KEY":"third-party"}`
	r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: []string{"backendSecretEnv"}})
	require.NoError(t, err)
	keys := func(name string) map[string]any {
		found := r.Find("kubernetes:core/v1:Secret", name)
		require.Len(t, found, 1)
		return recorder.Plain(found[0].Inputs)["stringData"].(map[string]any)
	}
	assert.Contains(t, keys("backend-credentials"), "BINANCE_API_KEY")
	assert.Contains(t, keys("backend-engine-credentials"), "BINANCE_API_KEY")
	assert.NotContains(t, keys("backend-dashboard-credentials"), "BINANCE_API_KEY")
	for _, dialect := range []string{
		"DATABASE_URL", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD",
		"TIMESCALEDB_HOST", "TIMESCALEDB_PORT", "TIMESCALEDB_DATABASE", "TIMESCALEDB_USERNAME", "TIMESCALEDB_PASSWORD", "TIMESCALEDB_URL",
		"REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB", "REDIS_ENABLED", "JWT_SECRET_KEY", "SECRET_KEY",
	} {
		assert.Contains(t, keys("backend-credentials"), dialect)
	}
}

// TestOutputs: what users and scripts read.
func TestOutputs(t *testing.T) {
	r := record(t, "dev", nil)
	assert.Equal(t, map[string]any{
		"ui": "https://alphapulse.dev.localhost:30443", "api": "https://api.dev.localhost:30443",
		"dashboard": "https://dashboard.dev.localhost:30443", "grafana": "https://monitoring.dev.localhost:30443",
		"prometheus": "https://monitoring.dev.localhost:30443/prometheus",
	}, anyMap(r.Outputs["urls"]))
	assert.Equal(t, "alphapulse-dev", r.Outputs["namespace"])
	assert.Equal(t, "2Gi", anyMap(r.Outputs["volumes"])["data-database-g1-0"])
	assert.Contains(t, r.Outputs["readme"], "pulumi stack output")
	for who, how := range anyMap(r.Outputs["credentials"]) {
		output := strings.Fields(how.(string))[3]
		assert.Contains(t, r.Secrets, output, "%s: `%s` shows nothing", who, how)
	}
	assert.Contains(t, r.Outputs["caCertificate"], "BEGIN CERTIFICATE")
}

func anyMap(v any) map[string]any {
	out := map[string]any{}
	switch m := v.(type) {
	case map[string]string:
		for k, x := range m {
			out[k] = x
		}
	case map[string]any:
		return m
	}
	return out
}

// TestPreviewWithUnknownValues: before the first update every generated value is
// unknown; the program must not look into it.
func TestPreviewWithUnknownValues(t *testing.T) {
	for _, stack := range []string{"dev", "prod"} {
		config, err := recorder.StackConfig(stack)
		require.NoError(t, err)
		r, err := recorder.Run(recorder.Options{Stack: stack, Config: config, Unknown: true})
		require.NoError(t, err)
		assert.Greater(t, len(r.Resources), 80)
	}
}

// TestStacksLiveSideBySide: two stacks of one program share no name that the cluster
// has only once.
func TestStacksLiveSideBySide(t *testing.T) {
	scoped := func(stack string) map[string]bool {
		config, err := recorder.StackConfig("dev")
		require.NoError(t, err)
		r, err := recorder.Run(recorder.Options{Stack: stack, Config: config})
		require.NoError(t, err)
		names := map[string]bool{}
		for _, x := range r.Resources {
			if x.Kubernetes() && !x.Inputs["metadata"].ObjectValue()["namespace"].HasValue() {
				names[x.Kind()+"/"+x.ObjectName()] = true
			}
		}
		return names
	}
	one, two := scoped("one"), scoped("two")
	require.NotEmpty(t, one)
	for name := range one {
		assert.False(t, two[name], "%s is used by both stacks", name)
	}
}

// TestRunsAreEqual: the same configuration registers the same objects, so that an
// update of nothing changes nothing.
func TestRunsAreEqual(t *testing.T) {
	assert.Empty(t, recorder.Changed(record(t, "prod", nil), record(t, "prod", nil)))
}

// TestEveryKindIsLookedFor before one of its objects is created: else the update ends there.
func TestEveryKindIsLookedFor(t *testing.T) {
	for _, with := range []map[string]string{
		nil,
		{"edgeExposure": "ingress", "edgeIngressClass": "any"},
		gated, {"edgeExposure": "gateway", "edgeGateway": "shared", "edgeGatewayTls": "passthrough", "edgeGatewayHttpListener": "web"},
		{"tlsMode": "certManager", "tlsIssuer": "letsencrypt"},
		{"databaseImage": "registry.example.com/team/timescale:5"},
	} {
		for _, r := range prod(t, with).Resources {
			if r.Kubernetes() {
				assert.True(t, live.Looks(r.Kind()), "%s: add %s to package live", r.Label(), r.Kind())
			}
		}
	}
}

// TestNothingIsMadeWhereTheNamespaceIsRefused: every other object waits for it, those
// outside of it, too.
func TestNothingIsMadeWhereTheNamespaceIsRefused(t *testing.T) {
	r := prod(t, nil)
	namespaces := r.Find("kubernetes:core/v1:Namespace", "")
	require.Len(t, namespaces, 1)
	for _, x := range r.Resources {
		if x.Kubernetes() && x.Kind() != "Namespace" {
			assert.Contains(t, x.RPC.GetDependencies(), urn(namespaces[0]), "%s may be made though the namespace is somebody else's", x.Label())
		}
	}
}
