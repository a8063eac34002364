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

const (
	// application are the containers that read the shared settings.
	application = "Container/backend-1 Container/backend-2 Container/backend-dashboard Container/backend-engine"
	// ofApplication is what else follows from the image of those.
	ofApplication = "Container/backend-dashboard-files Container/backend-engine-files Container/backend-files RemoteImage/backend-dashboard-image RemoteImage/backend-engine-image RemoteImage/backend-image"
	// edgeConfiguration is what follows from nginx.conf. A carrier never runs.
	edgeConfiguration = "Container/edge Container/edge-files Volume/edge-nginx"
)

// onHost says for each setting what an edit changes on a Docker host, and so that no
// other container is replaced. The base is single; fields are those of effects.
var onHost = map[string]struct {
	value    string
	with     map[string]string
	together map[string]string
	changes  string
}{
	"domain":                 {value: "example.org", changes: "Container/edge Container/edge-files Container/frontend Container/monitoring-alertmanager Container/monitoring-grafana Container/monitoring-prometheus Volume/edge-nginx Volume/edge-tls"},
	"protect":                {value: "true", changes: "RandomPassword/credentials-app-secret RandomPassword/credentials-cache-application RandomPassword/credentials-cache-monitoring RandomPassword/credentials-database-admin RandomPassword/credentials-database-application RandomPassword/credentials-database-monitoring RandomPassword/credentials-grafana-admin RandomPassword/credentials-jwt-secret RandomPassword/credentials-prometheus-admin RandomId/guard Volume/cache Volume/database Volume/monitoring-alertmanager Volume/monitoring-grafana Volume/monitoring-prometheus"},
	"buildImages":            {value: "true", changes: application + " " + ofApplication + " Container/frontend RemoteImage/frontend-image RemoteImage/backend-build RemoteImage/frontend-build Image/backend-build Image/frontend-build"},
	"registry":               {value: "ghcr.io/acme", with: map[string]string{"buildImages": "true"}, changes: application + " " + ofApplication + " Container/frontend RemoteImage/frontend-image " + builtImages + "docker/docker"},
	"registryUsername":       {value: "robot", with: pushing, changes: "docker/docker"},
	"registryPassword":       {value: "renewed", with: pushing, changes: "docker/docker"},
	"dockerHost":             {value: "ssh://operator@host.example.com", changes: "docker/docker"},
	"databaseImage":          {value: "docker.io/timescale/timescaledb:2.20.0-pg17", changes: "Container/database Container/database-files Container/database-reconcile Container/database-reconcile-files RemoteImage/database-image"},
	"databaseExporterImage":  {value: "docker.io/prometheuscommunity/postgres-exporter:v0.20.0", changes: "Container/database-exporter Container/database-exporter-files RemoteImage/database-exporter-image"},
	"cacheImage":             {value: "docker.io/library/redis:8.2.0", changes: "Container/cache Container/cache-files RemoteImage/cache-image"},
	"cacheExporterImage":     {value: "docker.io/oliver006/redis_exporter:v2.0.0", changes: "Container/cache-exporter Container/cache-exporter-files RemoteImage/cache-exporter-image"},
	"backendImage":           {value: "docker.io/alphapulse/backend:0.2.0", changes: application + " " + ofApplication},
	"frontendImage":          {value: "docker.io/alphapulse/frontend:0.2.0", changes: "Container/frontend RemoteImage/frontend-image"},
	"edgeImage":              {value: "docker.io/nginxinc/nginx-unprivileged:1.31.0", changes: "Container/edge Container/edge-files RemoteImage/edge-image"},
	"edgeExporterImage":      {value: "docker.io/nginx/nginx-prometheus-exporter:1.6.0", changes: "Container/edge-exporter RemoteImage/edge-exporter-image"},
	"prometheusImage":        {value: "docker.io/prom/prometheus:v3.17.0", changes: "Container/monitoring-prometheus Container/monitoring-prometheus-files RemoteImage/monitoring-prometheus-image"},
	"alertmanagerImage":      {value: "docker.io/prom/alertmanager:v0.35.0", changes: "Container/monitoring-alertmanager Container/monitoring-alertmanager-files RemoteImage/monitoring-alertmanager-image"},
	"grafanaImage":           {value: "docker.io/grafana/grafana:14.0.0", changes: "Container/monitoring-grafana Container/monitoring-grafana-files RemoteImage/monitoring-grafana-image"},
	"databaseResources":      {value: `{"limits":{"memory":"8Gi"}}`, changes: "Container/database Container/database-files Volume/database-config"},
	"databaseStorage":        {value: "200Gi", changes: "Container/database Container/database-files Container/database-reconcile Volume/database-config"},
	"databaseAliases":        {value: `["timescaledb"]`, changes: "Container/database"},
	"cacheResources":         {value: `{"limits":{"memory":"3Gi"}}`, changes: "Container/cache Container/cache-files Volume/cache-config"},
	"cacheAliases":           {value: `["redis"]`, changes: "Container/cache"},
	"backendResources":       {value: `{"limits":{"memory":"3Gi"}}`, changes: "Container/backend-1 Container/backend-2"},
	"backendMinReplicas":     {value: "4", changes: "Container/backend-3 Container/backend-4 Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/monitoring-prometheus-config"},
	"backendCommand":         {value: `["/app/run"]`, changes: application},
	"backendArgs":            {value: `["serve"]`, changes: "Container/backend-1 Container/backend-2"},
	"backendPort":            {value: "9000", changes: application + " Container/edge Container/edge-files Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/edge-nginx Volume/monitoring-prometheus-config"},
	"backendMetricsPath":     {value: "-", changes: application + " Container/edge Container/edge-files Container/monitoring-grafana Container/monitoring-grafana-files Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/edge-nginx Volume/monitoring-grafana-dashboards Volume/monitoring-prometheus-config"},
	"backendStartupSeconds":  {value: "600", changes: application},
	"backendEnv":             {value: `{"LOG_LEVEL":"info"}`, changes: application},
	"backendSecretEnv":       {value: `{"BINANCE_API_KEY":"x"}`, changes: "Container/backend-1 Container/backend-2 Container/backend-engine Container/backend-engine-files Container/backend-files Volume/backend-credentials Volume/backend-engine-credentials"},
	"engineResources":        {value: `{"limits":{"memory":"3Gi"}}`, changes: "Container/backend-engine"},
	"engineArgs":             {value: `["trade"]`, changes: "Container/backend-engine"},
	"engineMetricsPath":      {value: "-", changes: "Container/backend-engine Container/monitoring-grafana Container/monitoring-grafana-files Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/monitoring-grafana-dashboards Volume/monitoring-prometheus-config"},
	"tradingEnabled":         {value: "false", changes: "Container/backend-engine"},
	"paperTrading":           {value: "false", changes: "Container/backend-engine"},
	"dashboardEnabled":       {value: "false", changes: "Container/backend-dashboard Container/backend-dashboard-files Container/edge Container/edge-files Container/frontend Container/monitoring-prometheus Container/monitoring-prometheus-files RandomPassword/backend-dashboard-credentials-naming-key RemoteImage/backend-dashboard-image Volume/backend-dashboard-credentials Volume/edge-nginx Volume/monitoring-prometheus-config"},
	"dashboardResources":     {value: `{"limits":{"cpu":"1"}}`, changes: "Container/backend-dashboard"},
	"dashboardImage":         {value: "docker.io/alphapulse/dashboard:1.0.0", changes: "Container/backend-dashboard Container/backend-dashboard-files RemoteImage/backend-dashboard-image"},
	"dashboardArgs":          {value: `["show"]`, changes: "Container/backend-dashboard"},
	"dashboardMetricsPath":   {value: "-", changes: "Container/backend-dashboard Container/edge Container/edge-files Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/edge-nginx Volume/monitoring-prometheus-config"},
	"dashboardPort":          {value: "8051", changes: application + " Container/edge Container/edge-files Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/edge-nginx Volume/monitoring-prometheus-config"},
	"debug":                  {value: "true", changes: application},
	"metricsPort":            {value: "9100", changes: application + " Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/monitoring-prometheus-config"},
	"maxSymbols":             {value: "100", changes: application},
	"maxPortfolioRisk":       {value: "0.2", changes: application},
	"cacheTtlSeconds":        {value: "60", changes: application},
	"workerThreads":          {value: "2", changes: application},
	"maxConnections":         {value: "20", changes: application},
	"requestTimeoutSeconds":  {value: "60", changes: application + " " + edgeConfiguration},
	"stressTestEnabled":      {value: "true", changes: application},
	"complianceReporting":    {value: "false", changes: application},
	"frontendResources":      {value: `{"limits":{"cpu":"1"}}`, changes: "Container/frontend"},
	"frontendEnv":            {value: `{"ENVIRONMENT":"x"}`, changes: "Container/frontend"},
	"frontendMetricsPath":    {value: "-", changes: "Container/edge Container/edge-files Container/frontend Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/edge-nginx Volume/monitoring-prometheus-config"},
	"edgePublicPort":         {value: "9443", changes: "Container/edge Container/edge-files Container/frontend Container/monitoring-alertmanager Container/monitoring-grafana Container/monitoring-prometheus Volume/edge-nginx"},
	"edgeResources":          {value: `{"limits":{"cpu":"2"}}`, changes: edgeConfiguration},
	"edgeTrustedProxies":     {value: `["203.0.113.0/24"]`, changes: edgeConfiguration},
	"edgeApiRate":            {value: "50", changes: edgeConfiguration},
	"edgeApiBurst":           {value: "5", changes: edgeConfiguration},
	"edgeLoginRate":          {value: "2", changes: edgeConfiguration},
	"edgeWebsocketRate":      {value: "9", changes: edgeConfiguration},
	"edgeConnections":        {value: "9", changes: edgeConfiguration},
	"edgeHstsSeconds":        {value: "60", changes: edgeConfiguration},
	"prometheusResources":    {value: `{"limits":{"memory":"4Gi"}}`, changes: "Container/monitoring-prometheus"},
	"prometheusStorage":      {value: "40Gi", changes: "Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/monitoring-prometheus-config"},
	"prometheusRetention":    {value: "30d", changes: "Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/monitoring-prometheus-config"},
	"grafanaResources":       {value: `{"limits":{"memory":"2Gi"}}`, changes: "Container/monitoring-grafana"},
	"alertmanagerResources":  {value: `{"limits":{"memory":"512Mi"}}`, changes: "Container/monitoring-alertmanager"},
	"alertWebhookUrl":        {value: "https://hooks.example.com/a", changes: "Container/monitoring-alertmanager Container/monitoring-alertmanager-files RandomPassword/monitoring-alertmanager-receivers-naming-key Volume/monitoring-alertmanager-config Volume/monitoring-alertmanager-receivers"},
	"heartbeatWebhookUrl":    {value: "https://hooks.example.com/b", changes: "Container/monitoring-alertmanager Container/monitoring-alertmanager-files RandomPassword/monitoring-alertmanager-receivers-naming-key Volume/monitoring-alertmanager-config Volume/monitoring-alertmanager-receivers"},
	"deleteVolumes":          {value: "true", changes: "Volume/cache Volume/database Volume/monitoring-alertmanager Volume/monitoring-grafana Volume/monitoring-prometheus"},
	"edgePublicHttpPort":     {value: "8088", changes: "Container/edge"},
	"grafanaLoopbackPort":    {value: "13000", changes: "Container/monitoring-grafana"},
	"prometheusLoopbackPort": {value: "19090", changes: "Container/monitoring-prometheus"},
	"imagePullCredentials":   {value: `{"auths":{"registry.example.com":{}}}`, changes: "docker/docker"},
	"databaseMaxConnections": {value: "40", changes: "Container/database Container/database-files Volume/database-config"},
	"engineEnabled": {value: "false", with: map[string]string{"tradingEnabled": "false"},
		changes: "Container/backend-engine Container/backend-engine-files Container/monitoring-grafana Container/monitoring-grafana-files Container/monitoring-prometheus Container/monitoring-prometheus-files RandomPassword/backend-engine-credentials-naming-key RemoteImage/backend-engine-image Volume/backend-engine-credentials Volume/monitoring-grafana-dashboards Volume/monitoring-prometheus-config"},
	"tlsMode": {value: "provided", with: map[string]string{"tlsCertificate": ofHost[0].chain, "tlsPrivateKey": ofHost[0].key},
		changes: "Container/edge Container/edge-files Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/edge-tls Volume/monitoring-prometheus-config"},
	"tlsCertificate": {value: ofHost[1].chain, with: map[string]string{"tlsMode": "provided", "tlsCertificate": ofHost[0].chain, "tlsPrivateKey": ofHost[0].key},
		together: map[string]string{"tlsPrivateKey": ofHost[1].key},
		changes:  "Container/edge Container/edge-files Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/edge-tls Volume/monitoring-prometheus-config"},
	"tlsPrivateKey": {value: ofHost[1].key, with: map[string]string{"tlsMode": "provided", "tlsCertificate": ofHost[0].chain, "tlsPrivateKey": ofHost[0].key},
		together: map[string]string{"tlsCertificate": ofHost[1].chain},
		changes:  "Container/edge Container/edge-files Container/monitoring-prometheus Container/monitoring-prometheus-files Volume/edge-tls Volume/monitoring-prometheus-config"},
}

// ofHost are two certificates of the user's for single's domain.
var ofHost = func() (p [2]struct{ chain, key string }) {
	for i := range p {
		p[i].chain, p[i].key = certificate("single.localhost", 90+i)
	}
	return p
}()

// TestEverySettingHasAnEffectOnAHost changes one setting at a time, as
// TestEverySettingHasAnEffect does on a cluster.
func TestEverySettingHasAnEffectOnAHost(t *testing.T) {
	for _, s := range stacks.Settings() {
		if s.Target == room.Kubernetes || s.Key == "target" {
			continue
		}
		t.Run(s.Key, func(t *testing.T) {
			e, ok := onHost[s.Key]
			require.True(t, ok, "no test says what the setting changes on a Docker host")
			before := single(t, e.with, stored(e.with)...)
			with := map[string]string{}
			maps.Copy(with, e.with)
			maps.Copy(with, e.together)
			with[s.Key] = e.value
			after := single(t, with, stored(with)...)
			assert.Equal(t, words(e.changes), recorder.Changed(before, after))
			assert.Empty(t, recorder.Losses(before.Resources, after.Resources), "the edit would lose what users stored")
		})
	}
}

// TestElsewhereSettingsAreRefused where they have no meaning, all at once; a default,
// which the command line passes by itself, is none.
func TestElsewhereSettingsAreRefused(t *testing.T) {
	for target, stack := range map[room.Target]string{room.Kubernetes: "prod", room.DockerHost: "single"} {
		config, err := recorder.StackConfig(stack)
		require.NoError(t, err)
		meant, defaults := maps.Clone(config), maps.Clone(config)
		var keys []string
		for _, s := range stacks.Settings() {
			if s.Target == "" || s.Target == target {
				continue
			}
			e := effects[s.Key].value
			if s.Target == room.DockerHost {
				e = onHost[s.Key].value
			}
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
		{map[string]string{"protect": "true", "deleteVolumes": "true"}, []string{"deleteVolumes: true contradicts protect true"}},
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
		"databaseImage": "database database-reconcile", "databaseExporterImage": "database-exporter",
		"cacheImage": "cache", "cacheExporterImage": "cache-exporter", "frontendImage": "frontend",
		"backendImage": "backend-1 backend-2 backend-dashboard backend-engine", "dashboardImage": "backend-dashboard",
		"edgeImage": "edge", "edgeExporterImage": "edge-exporter",
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
