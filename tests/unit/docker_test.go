package unit

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// single is the recorded stack of a Docker host.
func single(t *testing.T, with map[string]string, secretKeys ...string) *recorder.Recording {
	t.Helper()
	config, err := recorder.StackConfig("single")
	require.NoError(t, err)
	maps.Copy(config, with)
	r, err := recorder.Run(recorder.Options{Stack: "single", Config: config, SecretKeys: secretKeys})
	require.NoError(t, err)
	return r
}

// TestElsewhereSettingsAreRefused where they have no meaning, all at once; a default,
// which the command line passes by itself, is none.
func TestElsewhereSettingsAreRefused(t *testing.T) {
	for target, stack := range map[room.Target]string{room.Kubernetes: "prod", room.DockerHost: "single", room.Addons: "addons"} {
		config, err := recorder.StackConfig(stack)
		require.NoError(t, err)
		meant, defaults := maps.Clone(config), maps.Clone(config)
		var keys []string
		for _, s := range stacks.Settings() {
			if s.On(target) {
				continue
			}
			edit, _ := editOf(s.Targets[0], s.Key)
			e := edit.value
			if e == raw(t, s) { // prod's differs from it
				require.Equal(t, settings.Boolean, s.Type, s.Key)
				e = fmt.Sprint(e == "false")
			}
			require.NotEmpty(t, e, s.Key)
			keys, meant[s.Key], defaults[s.Key] = append(keys, s.Key), e, raw(t, s)
		}
		require.NotEmpty(t, keys)
		_, err = recorder.Run(recorder.Options{Stack: stack, Config: defaults})
		require.NoError(t, err, "defaults on %s", stack)
		r, err := recorder.Run(recorder.Options{Stack: stack, Config: meant})
		require.Error(t, err)
		assert.Empty(t, r.Resources)
		for _, k := range keys {
			assert.Contains(t, err.Error(), k+": it has no meaning with target "+string(target)+": `pulumi config rm "+k+"`")
		}
	}
}

// raw is a setting's default in the form that the command line passes.
func raw(t *testing.T, s settings.Setting) string {
	t.Helper()
	if s.Type == settings.Array || s.Type == settings.Object {
		b, err := json.Marshal(s.Default)
		require.NoError(t, err)
		return string(b)
	}
	return fmt.Sprint(s.Default)
}

// TestBadInputOfAHost: each problem names the setting, its value, and what would be right.
func TestBadInputOfAHost(t *testing.T) {
	for _, c := range []struct {
		with map[string]string
		says []string
	}{
		{map[string]string{"target": "podman"}, []string{`target: "podman"`, "kubernetes, docker"}},
		{map[string]string{"dockerHost": "10.0.0.1"}, []string{`dockerHost: "10.0.0.1"`, "unix:///var/run/docker.sock"}},
		{map[string]string{"edgePublicHttpPort": "30443"}, []string{"edgePublicHttpPort: 30443 is edgePublicPort too", "two ports"}},
		{map[string]string{"grafanaLoopbackPort": "13000", "prometheusLoopbackPort": "13000"}, []string{"prometheusLoopbackPort: 13000 is grafanaLoopbackPort too"}},
		{map[string]string{"edgePublicHttpPort": "70000"}, []string{`edgePublicHttpPort: "70000"`, "65535"}},
		{map[string]string{"logsBackend": "local", "logsEngineFolder": "var/lib/docker"}, []string{`logsEngineFolder: "var/lib/docker" is no folder of a host`}},
		{map[string]string{"protect": "true", "deleteVolumes": "true"}, []string{"deleteVolumes: true contradicts protect true"}},
		{map[string]string{"tlsMode": "secret"}, []string{`tlsMode: "secret" needs a cluster's Secrets, and target is docker`, "choose development, or provided"}},
		{map[string]string{"tlsMode": "certManager"}, []string{`tlsMode: "certManager" needs a cluster's Secrets`}},
		{map[string]string{"imagePullCredentials": "{}"}, []string{"imagePullCredentials: ", "auths"}},
	} {
		config, err := recorder.StackConfig("single")
		require.NoError(t, err)
		maps.Copy(config, c.with)
		r, err := recorder.Run(recorder.Options{Stack: "single", Config: config, SecretKeys: []string{"imagePullCredentials"}})
		require.Error(t, err, "%v", c.with)
		assert.Empty(t, r.Resources)
		for _, want := range c.says {
			assert.Contains(t, err.Error(), want)
		}
	}
}

// TestTargetCannotChangeUnderData: neither way, and not from a release that knew one
// target only.
func TestTargetCannotChangeUnderData(t *testing.T) {
	for name, c := range map[string]struct {
		stack    string
		previous map[string]any
		says     string
	}{
		"a cluster's": {"single", map[string]any{"target": "kubernetes", "namespace": "alphapulse-single"}, `"docker": the stack runs on target "kubernetes"`},
		"an older":    {"single", map[string]any{"namespace": "alphapulse-single"}, `"docker": the stack runs on target "kubernetes"`},
		"a host's":    {"prod", map[string]any{"target": "docker"}, `"kubernetes": the stack runs on target "docker"`},
		"its own":     {"single", map[string]any{"target": "docker", "volumes": map[string]any{"database": "alphapulse-single-database"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := recorder.StackConfig(c.stack)
			require.NoError(t, err)
			r, err := recorder.Run(recorder.Options{Stack: c.stack, Config: config, Previous: c.previous})
			if c.says == "" {
				require.NoError(t, err)
				assert.Equal(t, c.previous["target"], r.Outputs["target"])
				return
			}
			require.ErrorContains(t, err, "target: "+c.says)
			assert.ErrorContains(t, err, "use another stack")
			assert.Empty(t, r.Resources)
		})
	}
}

// TestImageChangeReplacesOnlyItsContainers, whichever it is, and no data.
func TestImageChangeReplacesOnlyItsContainers(t *testing.T) {
	before := single(t, nil)
	for key, containers := range map[string]string{
		"databaseImage": "database database-look database-reconcile", "databaseExporterImage": "database-exporter",
		"cacheImage": "cache", "cacheExporterImage": "cache-exporter", "frontendImage": "frontend",
		"backendImage": "backend-1 backend-2 backend-dashboard backend-engine", "dashboardImage": "backend-dashboard",
		"edgeImage": "edge edge-look", "edgeExporterImage": "edge-exporter", "edgeProberImage": "edge-prober", "edgeCounterImage": "edge-counter",
		"prometheusImage": "monitoring-prometheus", "alertmanagerImage": "monitoring-alertmanager", "grafanaImage": "monitoring-grafana",
	} {
		after := single(t, map[string]string{key: "registry.example.com/another:1.0.0"})
		var replaced []string
		for _, c := range recorder.Changed(before, after) {
			if name, ok := strings.CutPrefix(c, "Container/"); ok && !strings.HasSuffix(name, "-files") {
				replaced = append(replaced, name)
			} else {
				assert.False(t, strings.HasPrefix(c, "Volume/"), "%s: %s", key, c)
			}
		}
		assert.Equal(t, words(containers), replaced, key)
	}
}

// TestPreviewOfAHostWithUnknownValues: before the first update the IDs of images and
// the names of volumes are unknown; the program must not look into them.
func TestPreviewOfAHostWithUnknownValues(t *testing.T) {
	config, err := recorder.StackConfig("single")
	require.NoError(t, err)
	r, err := recorder.Run(recorder.Options{Stack: "single", Config: config, Unknown: true})
	require.NoError(t, err)
	assert.Len(t, r.Resources, len(single(t, nil).Resources))
}

// TestHostsRunsAreEqual, so that an update of nothing changes nothing.
func TestHostsRunsAreEqual(t *testing.T) {
	assert.Empty(t, recorder.Changed(single(t, nil), single(t, nil)))
}

// TestHostsOutputs are those of a cluster, as far as there is such a thing.
func TestHostsOutputs(t *testing.T) {
	r := single(t, nil)
	assert.Equal(t, map[string]any{
		"ui": "https://alphapulse.single.localhost:30443", "api": "https://api.single.localhost:30443",
		"dashboard": "https://dashboard.single.localhost:30443", "grafana": "https://monitoring.single.localhost:30443",
		"prometheus": "https://monitoring.single.localhost:30443/prometheus",
	}, anyMap(r.Outputs["urls"]))
	assert.Equal(t, "docker", r.Outputs["target"])
	assert.Equal(t, "alphapulse-single-database", anyMap(r.Outputs["volumes"])["database"])
	assert.Contains(t, r.Outputs["caCertificate"], "BEGIN CERTIFICATE")
	for who, how := range anyMap(r.Outputs["credentials"]) {
		output := strings.Fields(how.(string))[3]
		assert.Contains(t, r.Secrets, output, "%s: `%s` shows nothing", who, how)
	}
}

// TestHostsStacksLiveSideBySide: two stacks share no name on the host.
func TestHostsStacksLiveSideBySide(t *testing.T) {
	names := func(stack string) map[string]bool {
		config, err := recorder.StackConfig("single")
		require.NoError(t, err)
		r, err := recorder.Run(recorder.Options{Stack: stack, Config: config})
		require.NoError(t, err)
		all := map[string]bool{}
		for _, x := range r.Resources {
			if name := x.Inputs["name"]; strings.HasPrefix(x.Type, "docker:") && !strings.Contains(x.Type, "Image") {
				all[x.Type+" "+name.StringValue()] = true
			}
		}
		return all
	}
	one, two := names("one"), names("two")
	require.Greater(t, len(one), 40)
	for name := range one {
		assert.False(t, two[name], "%s is used by both stacks", name)
	}
}

// TestHostsComponentsOwnTheirChildren, with the explicit provider.
func TestHostsComponentsOwnTheirChildren(t *testing.T) {
	for _, x := range single(t, nil).Resources {
		if strings.HasPrefix(x.Type, "alphapulse:index:") || strings.HasPrefix(x.Type, "pulumi:providers:") {
			continue
		}
		parent := x.RPC.GetParent()
		require.Contains(t, parent, "alphapulse:index:", "%s has no component", x.Label())
		assert.True(t, strings.HasPrefix(x.Name, parent[strings.LastIndex(parent, "::")+2:]), "%s is not named after its component", x.Label())
		if strings.HasPrefix(x.Type, "docker:") {
			assert.Contains(t, x.RPC.GetProvider(), "pulumi:providers:docker::docker", "%s uses another provider", x.Label())
		}
	}
}
