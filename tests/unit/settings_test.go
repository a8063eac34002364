package unit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// prod is the recorded base that each setting is changed on.
func prod(t *testing.T, with map[string]string, secretKeys ...string) *recorder.Recording {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, with)
	r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: secretKeys})
	require.NoError(t, err)
	return r
}

// backendPods are the workloads that read the shared settings and the backend's own.
const backendPods = "Deployment/backend Deployment/backend-dashboard PodDisruptionBudget/backend-engine Deployment/backend-engine "

// applicationPods run the images that a stack can build.
const applicationPods = backendPods + "Deployment/frontend "

// builtImages are what a stack builds and pushes.
const builtImages = "RemoteImage/backend-build RegistryImage/backend-build RemoteImage/frontend-build RegistryImage/frontend-build "

// pushing are the settings of a stack that builds its images for a private registry.
var pushing = map[string]string{
	"buildImages": "true", "registry": "ghcr.io/acme", "registryUsername": "acme", "registryPassword": "push-password",
}

// effects says for each setting what an edit changes, and so that nothing else rolls.
// The base is prod; with are further settings that the edit needs.
var effects = map[string]struct {
	value string
	with  map[string]string
	// together are settings that can only change with it.
	together map[string]string
	// changes lists kinds and logical names; "…" as the whole means "every object",
	// for settings on which everything stands.
	changes string
}{
	// The others are settings of prod that have no meaning on a Docker host.
	"target":                    {value: "docker", together: map[string]string{"spreadRequired": "false", "frontendReplicas": "2", "edgeReplicas": "2"}, changes: "…"},
	"backendMinReplicas":        {value: "4", changes: "HorizontalPodAutoscaler/backend"},
	"backendMaxReplicas":        {value: "12", changes: "HorizontalPodAutoscaler/backend ResourceQuota/platform"},
	"backendCpuUtilization":     {value: "60", changes: "HorizontalPodAutoscaler/backend"},
	"backendMemoryUtilization":  {value: "70", changes: "HorizontalPodAutoscaler/backend"},
	"backendCommand":            {value: `["/app/run"]`, changes: backendPods},
	"backendArgs":               {value: `["serve"]`, changes: "Deployment/backend"},
	"backendLivenessPath":       {value: "/alive", changes: "Deployment/backend"},
	"backendReadinessPath":      {value: "-", changes: "Deployment/backend"},
	"backendStartupSeconds":     {value: "600", changes: backendPods},
	"backendEnv":                {value: `{"LOG_LEVEL":"info"}`, changes: backendPods},
	"backendSecretEnv":          {value: `{"BINANCE_API_KEY":"x"}`, changes: "Deployment/backend PodDisruptionBudget/backend-engine Deployment/backend-engine Secret/backend-credentials Secret/backend-engine-credentials"},
	"backendImage":              {value: "docker.io/alphapulse/backend:0.2.0", changes: backendPods},
	"backendResources":          {value: `{"limits":{"memory":"3Gi"}}`, changes: "Deployment/backend ResourceQuota/platform"},
	"engineArgs":                {value: `["trade"]`, changes: "PodDisruptionBudget/backend-engine Deployment/backend-engine"},
	"engineLivenessPath":        {value: "/alive", changes: "PodDisruptionBudget/backend-engine Deployment/backend-engine"},
	"engineResources":           {value: `{"limits":{"memory":"3Gi"}}`, changes: "PodDisruptionBudget/backend-engine Deployment/backend-engine ResourceQuota/platform"},
	"tradingEnabled":            {value: "true", changes: "PodDisruptionBudget/backend-engine Deployment/backend-engine"},
	"paperTrading":              {value: "false", changes: "PodDisruptionBudget/backend-engine Deployment/backend-engine"},
	"dashboardImage":            {value: "docker.io/alphapulse/dashboard:1.0.0", changes: "Deployment/backend-dashboard"},
	"dashboardArgs":             {value: `["show"]`, changes: "Deployment/backend-dashboard"},
	"dashboardHealthPath":       {value: "/health", changes: "Deployment/backend-dashboard"},
	"dashboardResources":        {value: `{"limits":{"cpu":"1"}}`, changes: "Deployment/backend-dashboard ResourceQuota/platform"},
	"debug":                     {value: "true", changes: backendPods + "ConfigMap/platform-settings"},
	"maxSymbols":                {value: "100", changes: backendPods + "ConfigMap/platform-settings"},
	"maxPortfolioRisk":          {value: "0.2", changes: backendPods + "ConfigMap/platform-settings"},
	"cacheTtlSeconds":           {value: "60", changes: backendPods + "ConfigMap/platform-settings"},
	"workerThreads":             {value: "2", changes: backendPods + "ConfigMap/platform-settings"},
	"maxConnections":            {value: "10", changes: backendPods + "ConfigMap/platform-settings"},
	"stressTestEnabled":         {value: "true", changes: backendPods + "ConfigMap/platform-settings"},
	"complianceReporting":       {value: "false", changes: backendPods + "ConfigMap/platform-settings"},
	"requestTimeoutSeconds":     {value: "60", changes: backendPods + "ConfigMap/platform-settings ConfigMap/edge-nginx Deployment/edge"},
	"databaseStorage":           {value: "200Gi", changes: "ConfigMap/database-config PersistentVolumeClaim/database PodDisruptionBudget/database ResourceQuota/platform StatefulSet/database"},
	"domain":                    {value: "example.org", changes: "ConfigMap/edge-nginx ConfigMap/frontend-settings Deployment/edge Deployment/frontend Secret/edge-tls PodDisruptionBudget/monitoring-alertmanager StatefulSet/monitoring-alertmanager PodDisruptionBudget/monitoring-grafana StatefulSet/monitoring-grafana PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"namespace":                 {value: "elsewhere", changes: "…"},
	"kubeconfig":                {value: "/etc/kubeconfig", changes: "kubernetes/cluster"},
	"kubeContext":               {value: "prod", changes: "kubernetes/cluster"},
	"protect":                   {value: "false", changes: "Namespace/platform PersistentVolumeClaim/cache PersistentVolumeClaim/database PersistentVolumeClaim/monitoring-alertmanager PersistentVolumeClaim/monitoring-grafana PersistentVolumeClaim/monitoring-prometheus RandomPassword/credentials-app-secret RandomPassword/credentials-cache-application RandomPassword/credentials-cache-monitoring RandomPassword/credentials-database-admin RandomPassword/credentials-database-application RandomPassword/credentials-database-monitoring RandomPassword/credentials-grafana-admin RandomPassword/credentials-jwt-secret RandomPassword/credentials-prometheus-admin RandomId/guard StatefulSet/cache StatefulSet/database StatefulSet/monitoring-alertmanager StatefulSet/monitoring-grafana StatefulSet/monitoring-prometheus"},
	"spreadRequired":            {value: "false", changes: "Deployment/backend Deployment/edge Deployment/frontend"},
	"storageClass":              {value: "fast", changes: "PersistentVolumeClaim/cache PersistentVolumeClaim/database PersistentVolumeClaim/monitoring-alertmanager PersistentVolumeClaim/monitoring-grafana PersistentVolumeClaim/monitoring-prometheus"},
	"imagePullCredentials":      {value: `{"auths":{}}`, changes: "Deployment/backend Deployment/backend-dashboard PodDisruptionBudget/backend-engine Deployment/backend-engine Deployment/edge Deployment/frontend PodDisruptionBudget/monitoring-kube-state-metrics Deployment/monitoring-kube-state-metrics PodDisruptionBudget/cache PodDisruptionBudget/database RandomPassword/platform-registry-naming-key Secret/platform-registry StatefulSet/cache StatefulSet/database PodDisruptionBudget/monitoring-alertmanager StatefulSet/monitoring-alertmanager PodDisruptionBudget/monitoring-grafana StatefulSet/monitoring-grafana PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"databaseExporterImage":     {value: "docker.io/prometheuscommunity/postgres-exporter:v0.20.0", changes: "PodDisruptionBudget/database StatefulSet/database"},
	"databaseImage":             {value: "docker.io/timescale/timescaledb:2.20.0-pg17", changes: "Deployment/backend Deployment/backend-dashboard PodDisruptionBudget/backend-engine Deployment/backend-engine PodDisruptionBudget/database StatefulSet/database"},
	"cacheImage":                {value: "docker.io/library/redis:8.2.0", changes: "PodDisruptionBudget/cache StatefulSet/cache"},
	"cacheExporterImage":        {value: "docker.io/oliver006/redis_exporter:v2.0.0", changes: "PodDisruptionBudget/cache StatefulSet/cache"},
	"frontendImage":             {value: "docker.io/alphapulse/frontend:0.2.0", changes: "Deployment/frontend"},
	"edgeImage":                 {value: "docker.io/nginxinc/nginx-unprivileged:1.31.0", changes: "Deployment/edge"},
	"edgeExporterImage":         {value: "docker.io/nginx/nginx-prometheus-exporter:1.6.0", changes: "Deployment/edge"},
	"prometheusImage":           {value: "docker.io/prom/prometheus:v3.17.0", changes: "PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"alertmanagerImage":         {value: "docker.io/prom/alertmanager:v0.35.0", changes: "PodDisruptionBudget/monitoring-alertmanager StatefulSet/monitoring-alertmanager"},
	"grafanaImage":              {value: "docker.io/grafana/grafana:14.0.0", changes: "PodDisruptionBudget/monitoring-grafana StatefulSet/monitoring-grafana"},
	"kubeStateMetricsImage":     {value: "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.21.0", changes: "PodDisruptionBudget/monitoring-kube-state-metrics Deployment/monitoring-kube-state-metrics"},
	"databaseResources":         {value: `{"limits":{"memory":"8Gi"}}`, changes: "ConfigMap/database-config PodDisruptionBudget/database ResourceQuota/platform StatefulSet/database"},
	"databaseMaxConnections":    {value: "150", changes: "ConfigMap/database-config PodDisruptionBudget/database StatefulSet/database"},
	"databaseAliases":           {value: `["timescaledb"]`, changes: "ResourceQuota/platform Service/timescaledb"},
	"cacheResources":            {value: `{"limits":{"memory":"3Gi"}}`, changes: "ConfigMap/cache-config PodDisruptionBudget/cache ResourceQuota/platform StatefulSet/cache"},
	"cacheStorage":              {value: "20Gi", changes: "PersistentVolumeClaim/cache ResourceQuota/platform"},
	"cacheAliases":              {value: `["redis"]`, changes: "ResourceQuota/platform Service/redis"},
	"backendPort":               {value: "9000", changes: "ConfigMap/edge-nginx ConfigMap/platform-settings Deployment/backend Deployment/backend-dashboard PodDisruptionBudget/backend-engine Deployment/backend-engine Deployment/edge NetworkPolicy/platform-backend NetworkPolicy/platform-edge NetworkPolicy/platform-monitoring-prometheus Service/backend Service/backend-pods"},
	"backendMetricsPath":        {value: "-", changes: "ConfigMap/edge-nginx ConfigMap/monitoring-grafana-dashboards ConfigMap/monitoring-prometheus-config ConfigMap/platform-settings Deployment/backend Deployment/backend-dashboard PodDisruptionBudget/backend-engine Deployment/backend-engine Deployment/edge NetworkPolicy/platform-backend NetworkPolicy/platform-monitoring-prometheus PodDisruptionBudget/monitoring-grafana StatefulSet/monitoring-grafana PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"engineEnabled":             {value: "false", changes: "ConfigMap/monitoring-grafana-dashboards ConfigMap/monitoring-prometheus-config PodDisruptionBudget/backend-engine Deployment/backend-engine NetworkPolicy/platform-backend-engine NetworkPolicy/platform-cache NetworkPolicy/platform-database NetworkPolicy/platform-monitoring-prometheus RandomPassword/backend-engine-credentials-naming-key ResourceQuota/platform Secret/backend-engine-credentials ServiceAccount/backend-engine PodDisruptionBudget/monitoring-grafana StatefulSet/monitoring-grafana PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"engineMetricsPath":         {value: "-", changes: "ConfigMap/monitoring-grafana-dashboards ConfigMap/monitoring-prometheus-config PodDisruptionBudget/backend-engine Deployment/backend-engine NetworkPolicy/platform-backend-engine NetworkPolicy/platform-monitoring-prometheus PodDisruptionBudget/monitoring-grafana StatefulSet/monitoring-grafana PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"dashboardEnabled":          {value: "false", changes: "ConfigMap/edge-nginx ConfigMap/frontend-settings Deployment/backend-dashboard Deployment/edge Deployment/frontend NetworkPolicy/platform-backend-dashboard NetworkPolicy/platform-cache NetworkPolicy/platform-database NetworkPolicy/platform-edge NetworkPolicy/platform-monitoring-prometheus RandomPassword/backend-dashboard-credentials-naming-key ResourceQuota/platform Secret/backend-dashboard-credentials Service/backend-dashboard Service/backend-dashboard-pods ServiceAccount/backend-dashboard"},
	"dashboardMetricsPath":      {value: "-", changes: "ConfigMap/edge-nginx Deployment/backend-dashboard Deployment/edge NetworkPolicy/platform-backend-dashboard NetworkPolicy/platform-monitoring-prometheus"},
	"dashboardPort":             {value: "8051", changes: "ConfigMap/edge-nginx ConfigMap/platform-settings Deployment/backend Deployment/backend-dashboard PodDisruptionBudget/backend-engine Deployment/backend-engine Deployment/edge NetworkPolicy/platform-backend-dashboard NetworkPolicy/platform-edge NetworkPolicy/platform-monitoring-prometheus Service/backend-dashboard Service/backend-dashboard-pods"},
	"metricsPort":               {value: "9100", changes: "ConfigMap/platform-settings Deployment/backend Deployment/backend-dashboard PodDisruptionBudget/backend-engine Deployment/backend-engine NetworkPolicy/platform-backend-engine NetworkPolicy/platform-monitoring-prometheus"},
	"frontendReplicas":          {value: "4", changes: "Deployment/frontend ResourceQuota/platform"},
	"frontendResources":         {value: `{"limits":{"cpu":"1"}}`, changes: "Deployment/frontend ResourceQuota/platform"},
	"frontendEnv":               {value: `{"ENVIRONMENT":"x"}`, changes: "ConfigMap/frontend-settings Deployment/frontend"},
	"frontendHealthPath":        {value: "/health", changes: "Deployment/frontend"},
	"frontendMetricsPath":       {value: "-", changes: "ConfigMap/edge-nginx Deployment/edge Deployment/frontend NetworkPolicy/platform-frontend NetworkPolicy/platform-monitoring-prometheus"},
	"edgeExposure":              {value: "nodePort", changes: "Service/edge"},
	"edgePublicPort":            {value: "8443", changes: "ConfigMap/edge-nginx ConfigMap/frontend-settings Deployment/edge Deployment/frontend PodDisruptionBudget/monitoring-alertmanager StatefulSet/monitoring-alertmanager PodDisruptionBudget/monitoring-grafana StatefulSet/monitoring-grafana PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"edgeReplicas":              {value: "4", changes: "Deployment/edge ResourceQuota/platform"},
	"edgeResources":             {value: `{"limits":{"cpu":"2"}}`, changes: "ConfigMap/edge-nginx Deployment/edge ResourceQuota/platform"},
	"edgeTrustedProxies":        {value: `["203.0.113.0/24"]`, changes: "ConfigMap/edge-nginx Deployment/edge"},
	"edgeApiRate":               {value: "50", changes: "ConfigMap/edge-nginx Deployment/edge"},
	"edgeApiBurst":              {value: "5", changes: "ConfigMap/edge-nginx Deployment/edge"},
	"edgeLoginRate":             {value: "2", changes: "ConfigMap/edge-nginx Deployment/edge"},
	"edgeWebsocketRate":         {value: "9", changes: "ConfigMap/edge-nginx Deployment/edge"},
	"edgeConnections":           {value: "9", changes: "ConfigMap/edge-nginx Deployment/edge"},
	"prometheusResources":       {value: `{"limits":{"memory":"4Gi"}}`, changes: "ResourceQuota/platform PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"prometheusStorage":         {value: "40Gi", changes: "ConfigMap/monitoring-prometheus-config PersistentVolumeClaim/monitoring-prometheus ResourceQuota/platform PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"prometheusRetention":       {value: "30d", changes: "ConfigMap/monitoring-prometheus-config PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"grafanaResources":          {value: `{"limits":{"memory":"2Gi"}}`, changes: "ResourceQuota/platform PodDisruptionBudget/monitoring-grafana StatefulSet/monitoring-grafana"},
	"grafanaStorage":            {value: "20Gi", changes: "PersistentVolumeClaim/monitoring-grafana ResourceQuota/platform"},
	"alertmanagerResources":     {value: `{"limits":{"memory":"512Mi"}}`, changes: "ResourceQuota/platform PodDisruptionBudget/monitoring-alertmanager StatefulSet/monitoring-alertmanager"},
	"kubeStateMetricsResources": {value: `{"limits":{"memory":"512Mi"}}`, changes: "PodDisruptionBudget/monitoring-kube-state-metrics Deployment/monitoring-kube-state-metrics ResourceQuota/platform"},
	"alertWebhookUrl":           {value: "https://hooks.example.com/a", changes: "ConfigMap/monitoring-alertmanager-config NetworkPolicy/platform-monitoring-alertmanager RandomPassword/monitoring-alertmanager-receivers-naming-key Secret/monitoring-alertmanager-receivers PodDisruptionBudget/monitoring-alertmanager StatefulSet/monitoring-alertmanager"},
	"heartbeatWebhookUrl":       {value: "https://hooks.example.com/b", changes: "ConfigMap/monitoring-alertmanager-config NetworkPolicy/platform-monitoring-alertmanager RandomPassword/monitoring-alertmanager-receivers-naming-key Secret/monitoring-alertmanager-receivers PodDisruptionBudget/monitoring-alertmanager StatefulSet/monitoring-alertmanager"},
	"egressCidrs":               {value: `["203.0.113.0/24"]`, changes: "NetworkPolicy/platform-backend NetworkPolicy/platform-backend-engine"},
	"buildImages":               {value: "true", together: map[string]string{"registry": "ghcr.io/acme"}, changes: applicationPods + builtImages + "Image/backend-build Image/frontend-build docker/docker"},
	"registry":                  {value: "ghcr.io/other", with: map[string]string{"buildImages": "true", "registry": "ghcr.io/acme"}, changes: applicationPods + builtImages},
	"registryUsername":          {value: "robot", with: pushing, changes: "docker/docker"},
	"registryPassword":          {value: "renewed", with: pushing, changes: "docker/docker"},
	"dockerHost":                {value: "ssh://operator@builder.example.com", with: pushing, changes: "docker/docker"},
	"edgeHstsSeconds":           {value: "0", changes: "ConfigMap/edge-nginx Deployment/edge"},
	"tlsMode": {value: "provided", with: map[string]string{"tlsCertificate": provided[0].chain, "tlsPrivateKey": provided[0].key},
		changes: "ConfigMap/monitoring-prometheus-config Deployment/edge Secret/edge-tls PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"tlsCertificate": {value: provided[1].chain, with: map[string]string{"tlsMode": "provided", "tlsCertificate": provided[0].chain, "tlsPrivateKey": provided[0].key},
		together: map[string]string{"tlsPrivateKey": provided[1].key}, changes: "ConfigMap/monitoring-prometheus-config Deployment/edge Secret/edge-tls PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"tlsPrivateKey": {value: provided[1].key, with: map[string]string{"tlsMode": "provided", "tlsCertificate": provided[0].chain, "tlsPrivateKey": provided[0].key},
		together: map[string]string{"tlsCertificate": provided[1].chain}, changes: "ConfigMap/monitoring-prometheus-config Deployment/edge Secret/edge-tls PodDisruptionBudget/monitoring-prometheus StatefulSet/monitoring-prometheus"},
	"edgeIngressClass":  {value: "nginx", with: map[string]string{"edgeExposure": "ingress", "edgeIngressClass": "any"}, changes: "Ingress/edge"},
	"edgeHttpNodePort":  {value: "30080", with: map[string]string{"edgeExposure": "nodePort"}, changes: "Service/edge"},
	"edgeHttpsNodePort": {value: "30443", with: map[string]string{"edgeExposure": "nodePort"}, changes: "Service/edge"},
}

// certificate makes a self-signed certificate for the hosts below a domain.
func certificate(domain string, days int) (chain, key string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{"*." + domain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, days),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		panic(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", raw)
}

// provided are two certificates of the user's for prod's domain.
var provided = func() (p [2]struct{ chain, key string }) {
	for i := range p {
		p[i].chain, p[i].key = certificate("alphapulse.example.com", 90+i)
	}
	return p
}()

// TestEverySettingHasAnEffect changes one setting at a time and compares what the
// program registers: a setting without a user would change nothing, and a change
// that rolls more than its readers would name them.
func TestEverySettingHasAnEffect(t *testing.T) {
	base := prod(t, nil)
	for _, s := range stacks.Settings() {
		if s.Target == room.DockerHost {
			continue // TestEverySettingHasAnEffectOnAHost changes it
		}
		t.Run(s.Key, func(t *testing.T) {
			e, ok := effects[s.Key]
			require.True(t, ok, "no test says what the setting changes")
			before := base
			if len(e.with) > 0 {
				before = prod(t, e.with, stored(e.with)...)
			}
			with := maps.Clone(e.with)
			if with == nil {
				with = map[string]string{}
			}
			maps.Copy(with, e.together)
			with[s.Key] = e.value
			keys := stored(with)
			after := prod(t, with, keys...)
			changed := recorder.Changed(before, after)
			if e.changes == "…" {
				assert.Greater(t, len(changed), 40)
				return
			}
			assert.Equal(t, words(e.changes), changed)
			assert.Empty(t, recorder.Losses(before.Resources, after.Resources), "the edit would lose what users stored")
		})
	}
}

// stored lists which of the keys are stored as secrets.
func stored(config map[string]string) []string {
	var keys []string
	for _, s := range stacks.Settings() {
		if _, set := config[s.Key]; set && s.Secret {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

func words(s string) []string {
	w := strings.Fields(s)
	slices.Sort(w)
	return w
}
