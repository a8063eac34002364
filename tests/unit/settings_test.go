package unit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/golden"
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

// pushing are the settings of a stack that builds its images for a private registry.
var pushing = map[string]string{
	"buildImages": "true", "registry": "ghcr.io/acme", "registryUsername": "acme", "registryPassword": "push-password",
}

// edit is a change of one setting.
type edit struct {
	value string
	// with are further settings of the stack before and after it.
	with map[string]string
	// together are settings that can only change with it.
	together map[string]string
	// live says that a running cluster alone shows the effect.
	live bool
}

// gated are the settings of a stack behind a Gateway that ends TLS, passedThrough of one
// whose edge does.
var (
	gated         = map[string]string{"edgeExposure": "gateway", "edgeGateway": "shared"}
	passedThrough = map[string]string{"edgeExposure": "gateway", "edgeGateway": "shared", "edgeGatewayTls": "passthrough"}
)

// oneUser may pass the edge of a stack with the settings loggedIn.
const oneUser = "ada:$apr1$8sFt66rZ$32NPfbZ3dyKt9ifnAMouy."

var loggedIn = map[string]string{"edgeLogin": "basic", "edgeLoginUsers": oneUser}

// knownUsers are the settings of a stack whose edge knows a provider's users.
var knownUsers = map[string]string{
	"edgeLogin": "oidc", "edgeOidcIssuer": "https://login.example.com/dex", "edgeOidcClientId": "edge", "edgeOidcClientSecret": "known-to-both",
}

// signedOn are the settings of a stack whose Grafana knows a provider's users.
var signedOn = map[string]string{
	"grafanaLogin": "oidc", "grafanaOidcAuthUrl": "https://login.example.com/auth", "grafanaOidcTokenUrl": "https://login.example.com/token",
	"grafanaOidcApiUrl": "https://login.example.com/userinfo", "grafanaOidcClientId": "grafana", "grafanaOidcClientSecret": "known-to-both",
}

// others are settings without one.
func others(of map[string]string, but string) map[string]string {
	rest := maps.Clone(of)
	delete(rest, but)
	return rest
}

// issued are the settings of a stack whose certificate cert-manager keeps.
var issued = map[string]string{"tlsMode": "certManager", "tlsIssuer": "letsencrypt"}

// edits change every setting: of prod, whose target is kubernetes, and of single, whose
// target is docker, where onHost has none of its own.
var edits = map[string]edit{
	// The others are settings of prod that have no meaning on a Docker host.
	"target":               {value: "docker", together: map[string]string{"databaseBackup": "", "databaseBackupStorage": "50Gi", "spreadRequired": "false", "frontendReplicas": "2", "edgeReplicas": "2", "wireEncryption": "preferred"}},
	"domain":               {value: "example.org"},
	"protect":              {value: "false"},
	"imagePullCredentials": {value: `{"auths":{"registry.example.com":{"auth":"dXNlcjpwYXNzd29yZA=="}}}`},

	"namespace":           {value: "elsewhere"},
	"kubeconfig":          {value: "/etc/kubeconfig"},
	"kubeContext":         {value: "prod"},
	"spreadRequired":      {value: "false"},
	"storageClass":        {value: "fast"},
	"egressCidrs":         {value: `["203.0.113.0/24"]`},
	"createNamespace":     {value: "false"},
	"takeOver":            {value: `["Namespace/trading"]`, live: true},
	"clusterMoveTo":       {value: "0b9e4f6c-0000-4000-8000-000000000000", live: true},
	"apiServerPorts":      {value: `["16443"]`},
	"assignUserIds":       {value: "false"},
	"placement":           {value: `{"nodeSelector":{"kubernetes.io/arch":"amd64"}}`},
	"databasePlacement":   {value: `{"tolerations":[{"key":"data","operator":"Exists"}]}`},
	"cachePlacement":      {value: `{"tolerations":[{"key":"data","operator":"Exists"}]}`},
	"backendPlacement":    {value: `{"tolerations":[{"key":"spot","operator":"Exists"}]}`},
	"frontendPlacement":   {value: `{"tolerations":[{"key":"spot","operator":"Exists"}]}`},
	"edgePlacement":       {value: `{"nodeSelector":{"edge":"true"}}`},
	"monitoringPlacement": {value: `{"nodeSelector":{"pool":"watch"}}`},
	"dnsCidrs":            {value: `["198.51.100.53/32"]`},
	"dnsPorts":            {value: `["1053"]`},

	"dockerHost": {value: "ssh://operator@builder.example.com", with: pushing},

	"buildImages":      {value: "true", together: map[string]string{"registry": "ghcr.io/acme"}},
	"registry":         {value: "ghcr.io/other", with: map[string]string{"buildImages": "true", "registry": "ghcr.io/acme"}},
	"registryUsername": {value: "robot", with: pushing},
	"registryPassword": {value: "renewed", with: pushing},

	"databaseImage":              {value: "docker.io/timescale/timescaledb-ha:pg17.11-ts2.29.0"},
	"databaseAgentImage":         {value: "registry.example.com/agent:0.2.0"},
	"databasePoolerImage":        {value: "ghcr.io/cloudnative-pg/pgbouncer:1.27.0"},
	"databaseInstances":          {value: "2"},
	"databaseStopWithoutStandby": {value: "true"},
	"databaseDirect":             {value: "true", with: map[string]string{"maxConnections": "10"}},
	"databaseFrom":               {value: "volume", live: true},
	"databaseFromImage":          {value: "docker.io/timescale/timescaledb:2.20.0-pg17", with: map[string]string{"databaseFrom": "volume"}, live: true},
	"databaseExporterImage":      {value: "docker.io/prometheuscommunity/postgres-exporter:v0.20.0"},
	"databaseResources":          {value: `{"limits":{"memory":"8Gi"}}`},
	"databaseStorage":            {value: "200Gi"},
	"databaseMaxConnections":     {value: "150"},
	"databaseAliases":            {value: `["timescaledb"]`},

	"databaseBackup":                 {value: "off", together: map[string]string{"databaseBackupStorage": "50Gi"}},
	"databaseBackupStorage":          {value: "300Gi"},
	"databaseBackupImage":            {value: "docker.io/versity/versitygw:v1.9.0"},
	"databaseBackupHostPath":         {value: "/srv/other", with: onFolder},
	"databaseBackupEndpoint":         {value: "s3.example.org:9000", with: bucket},
	"databaseBackupBucket":           {value: "other-backups", with: bucket},
	"databaseBackupRegion":           {value: "eu-central-1", with: bucket},
	"databaseBackupPath":             {value: "/elsewhere", with: bucket},
	"databaseBackupPathStyle":        {value: "true", with: bucket},
	"databaseBackupAuthority":        {value: provided[0].chain, with: bucket},
	"databaseBackupKey":              {value: "AKIB", with: bucket},
	"databaseBackupKeySecret":        {value: "renewed", with: bucket},
	"databaseBackupPassphrase":       {value: "a-passphrase-of-the-users-own"},
	"databaseBackupFull":             {value: "0 1 * * 6"},
	"databaseBackupDifferential":     {value: "0 1 * * 0-5"},
	"databaseBackupIncremental":      {value: "30 * * * *"},
	"databaseBackupKeepFull":         {value: "4"},
	"databaseBackupKeepDifferential": {value: "3"},
	"databaseBackupProof":            {value: "0 5 * * 0"},
	"databaseBackupResources":        {value: `{"limits":{"memory":"2Gi"}}`},
	"databaseRestore":                {value: "20260131-100359F"},
	"databaseRestoreEndpoint":        {value: "s3.example.org", with: elsewhere},
	"databaseRestoreBucket":          {value: "other-backups", with: elsewhere},
	"databaseRestoreRegion":          {value: "eu-central-1", with: elsewhere},
	"databaseRestorePath":            {value: "/alphapulse/older", with: elsewhere},
	"databaseRestorePathStyle":       {value: "true", with: elsewhere},
	"databaseRestoreAuthority":       {value: provided[0].chain, with: elsewhere},
	"databaseRestoreKey":             {value: "AKIB", with: elsewhere},
	"databaseRestoreKeySecret":       {value: "renewed", with: elsewhere},
	"databaseRestorePassphrase":      {value: "renewed", with: elsewhere},
	// What there is to delete is known after a restore only.
	"databaseDeleteVolumes": {value: `["data-database-g1-0"]`, live: true},

	"cacheImage":         {value: "docker.io/library/redis:8.2.0"},
	"cacheExporterImage": {value: "docker.io/oliver006/redis_exporter:v2.0.0"},
	"cacheResources":     {value: `{"limits":{"memory":"3Gi"}}`},
	"cacheStorage":       {value: "20Gi"},
	"cacheAliases":       {value: `["redis"]`},
	"cachePolicy":        {value: "noeviction"},
	"rotate":             {value: `{"cache":"2027-01"}`},

	"wireEncryption":       {value: "off"},
	"wireEncryptionExcept": {value: `["dashboard"]`},
	"backendTlsPort":       {value: "8443"},
	"dashboardTlsPort":     {value: "8443"},
	"frontendTlsPort":      {value: "8443"},

	"backendImage":                         {value: "docker.io/alphapulse/backend:0.2.0"},
	"backendResources":                     {value: `{"limits":{"memory":"3Gi"}}`},
	"backendMinReplicas":                   {value: "4"},
	"backendMaxReplicas":                   {value: "12"},
	"backendCpuUtilization":                {value: "60"},
	"backendMemoryUtilization":             {value: "70"},
	"waitImage":                            {value: "docker.io/library/busybox:1.38.0"},
	"backendCommand":                       {value: `["/app/run"]`},
	"backendArgs":                          {value: `["serve"]`},
	"backendPort":                          {value: "9000"},
	"backendLivenessPath":                  {value: "/alive"},
	"backendReadinessPath":                 {value: "-"},
	"backendMetricsPath":                   {value: "-"},
	"backendStartupSeconds":                {value: "600"},
	"backendRequestsMetric":                {value: "http_request_duration_seconds_count"},
	"backendDurationMetric":                {value: "request_seconds"},
	"backendStatusLabel":                   {value: "code"},
	"backendPathLabels":                    {value: `["uri"]`},
	"backendUncountedPaths":                {value: `["/internal/ping"]`},
	"backendLatencyMilliseconds":           {value: "500"},
	"backendEnv":                           {value: `{"LOG_LEVEL":"info"}`},
	"backendSecretEnv":                     {value: `{"BINANCE_API_KEY":"x"}`},
	"backendScaleUpStabilizationSeconds":   {value: "0"},
	"backendScaleUpPercent":                {value: "200"},
	"backendScaleUpPeriodSeconds":          {value: "30"},
	"backendScaleDownStabilizationSeconds": {value: "600"},
	"backendScaleDownPercent":              {value: "10"},
	"backendScaleDownPeriodSeconds":        {value: "120"},

	"engineEnabled":      {value: "false"},
	"engineResources":    {value: `{"limits":{"memory":"3Gi"}}`},
	"engineArgs":         {value: `["trade"]`},
	"metricsPort":        {value: "9100"},
	"engineMetricsPath":  {value: "-"},
	"engineLivenessPath": {value: "/alive"},
	"tradingEnabled":     {value: "true"},
	"paperTrading":       {value: "false"},

	"dashboardEnabled":     {value: "false"},
	"dashboardResources":   {value: `{"limits":{"cpu":"1"}}`},
	"dashboardImage":       {value: "docker.io/alphapulse/dashboard:1.0.0"},
	"dashboardArgs":        {value: `["show"]`},
	"dashboardPort":        {value: "8051"},
	"dashboardMetricsPath": {value: "-"},
	"dashboardHealthPath":  {value: "/health"},

	"debug":                 {value: "true"},
	"listenAddress":         {value: "::"},
	"maxSymbols":            {value: "100"},
	"maxPortfolioRisk":      {value: "0.2"},
	"cacheTtlSeconds":       {value: "60"},
	"workerThreads":         {value: "2"},
	"maxConnections":        {value: "10"},
	"requestTimeoutSeconds": {value: "60"},
	"stressTestEnabled":     {value: "true"},
	"complianceReporting":   {value: "false"},

	"frontendImage":       {value: "docker.io/alphapulse/frontend:0.2.0"},
	"frontendReplicas":    {value: "4"},
	"frontendResources":   {value: `{"limits":{"cpu":"1"}}`},
	"frontendEnv":         {value: `{"ENVIRONMENT":"x"}`},
	"frontendHealthPath":  {value: "/health"},
	"frontendMetricsPath": {value: "-"},

	"edgeImage":                   {value: "docker.io/nginxinc/nginx-unprivileged:1.31.0"},
	"edgeExporterImage":           {value: "docker.io/nginx/nginx-prometheus-exporter:1.6.0"},
	"edgeProberImage":             {value: "docker.io/prom/blackbox-exporter:v0.29.0"},
	"edgeCounterImage":            {value: "docker.io/prom/statsd-exporter:v0.32.0"},
	"edgeLatencyMilliseconds":     {value: "800"},
	"edgeExposure":                {value: "nodePort"},
	"edgeIngressClass":            {value: "nginx", with: map[string]string{"edgeExposure": "ingress", "edgeIngressClass": "any"}},
	"edgeGateway":                 {value: "other", with: gated},
	"edgeGatewayNamespace":        {value: "gateways", with: gated},
	"edgeGatewayTls":              {value: "passthrough", with: gated},
	"edgeGatewayListener":         {value: "https", with: gated},
	"edgeGatewayHttpListener":     {value: "http", with: passedThrough},
	"edgeGatewayAuthorities":      {value: provided[0].chain, with: map[string]string{"edgeExposure": "gateway", "edgeGateway": "shared", "tlsMode": "secret", "tlsSecret": "wildcard"}},
	"edgeHttpNodePort":            {value: "30080", with: map[string]string{"edgeExposure": "nodePort"}},
	"edgeHttpsNodePort":           {value: "30443", with: map[string]string{"edgeExposure": "nodePort"}},
	"edgePublicPort":              {value: "8443"},
	"edgeAnnotations":             {value: `{"service.beta.kubernetes.io/aws-load-balancer-type":"external"}`},
	"edgeLoadBalancerClass":       {value: "service.k8s.aws/nlb"},
	"edgeSourceRanges":            {value: `["203.0.113.0/24"]`},
	"edgeTrafficFromEveryNode":    {value: "true"},
	"edgeHealthCheckNodePort":     {value: "32000"},
	"edgeProxyProtocol":           {value: "true"},
	"edgeIngressNodePorts":        {value: "true", with: map[string]string{"edgeExposure": "ingress", "edgeIngressClass": "alb"}},
	"edgeReplicas":                {value: "4"},
	"edgeResources":               {value: `{"limits":{"cpu":"2"}}`},
	"edgeTrustedProxies":          {value: `["203.0.113.0/24"]`},
	"edgeApiRate":                 {value: "50"},
	"edgeApiBurst":                {value: "5"},
	"edgeLoginRate":               {value: "2"},
	"edgeLoginBurst":              {value: "9"},
	"edgeWebsocketRate":           {value: "9"},
	"edgeWebsocketBurst":          {value: "99"},
	"edgeConnections":             {value: "9"},
	"edgeLogin":                   {value: "basic", together: map[string]string{"edgeLoginUsers": oneUser}},
	"edgeLoginUsers":              {value: "bob:$apr1$8sFt66rZ$32NPfbZ3dyKt9ifnAMouy.", with: loggedIn},
	"edgeLoginExempt":             {value: `["/hooks/"]`, with: loggedIn},
	"edgeLoginTokens":             {value: "true", with: loggedIn},
	"edgeOidcIssuer":              {value: "https://other.example.com:8443", with: knownUsers},
	"edgeOidcClientId":            {value: "other", with: knownUsers},
	"edgeOidcClientSecret":        {value: "renewed", with: knownUsers},
	"edgeOidcDomains":             {value: `["example.com"]`, with: knownUsers},
	"edgeOidcGroups":              {value: `["traders"]`, with: knownUsers},
	"edgeOidcCa":                  {value: provided[0].chain, with: knownUsers},
	"edgeOidcSessionHours":        {value: "8", with: knownUsers},
	"edgeOidcImage":               {value: "quay.io/oauth2-proxy/oauth2-proxy:v7.16.0", with: knownUsers},
	"edgeOidcResources":           {value: `{"limits":{"memory":"256Mi"}}`, with: knownUsers},
	"edgeUnlimitedCidrs":          {value: `["203.0.113.0/24"]`},
	"edgeLoginPaths":              {value: `["/api/session"]`},
	"edgeTraceSampling":           {value: "0.05"},
	"edgeHstsSeconds":             {value: "0"},
	"edgeHstsPreload":             {value: "true", with: map[string]string{"edgeHstsSeconds": "31536000"}},
	"edgeMaxBodyMegabytes":        {value: "20"},
	"edgeBodyPauseSeconds":        {value: "9"},
	"edgeHeaderKilobytes":         {value: "32"},
	"edgeResponseHeaderKilobytes": {value: "64"},

	"tlsMode":              {value: "provided", together: map[string]string{"tlsCertificate": provided[0].chain, "tlsPrivateKey": provided[0].key}},
	"tlsExpiryWarningDays": {value: "14"},
	"tlsSecret":            {value: "wildcard", with: map[string]string{"tlsMode": "secret", "tlsSecret": "certificate"}},
	"tlsIssuer":            {value: "zerossl", with: issued},
	"tlsIssuerKind":        {value: "Issuer", with: issued},
	"tlsHttp01":            {value: "true", with: issued},
	"tlsCertificate": {value: provided[1].chain, with: map[string]string{"tlsMode": "provided", "tlsCertificate": provided[0].chain, "tlsPrivateKey": provided[0].key},
		together: map[string]string{"tlsPrivateKey": provided[1].key}},
	"tlsPrivateKey": {value: provided[1].key, with: map[string]string{"tlsMode": "provided", "tlsCertificate": provided[0].chain, "tlsPrivateKey": provided[0].key},
		together: map[string]string{"tlsCertificate": provided[1].chain}},

	"prometheusImage":           {value: "docker.io/prom/prometheus:v3.17.0"},
	"alertmanagerImage":         {value: "docker.io/prom/alertmanager:v0.35.0"},
	"grafanaImage":              {value: "docker.io/grafana/grafana:14.0.0"},
	"kubeStateMetricsImage":     {value: "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.21.0"},
	"prometheusResources":       {value: `{"limits":{"memory":"4Gi"}}`},
	"prometheusStorage":         {value: "40Gi"},
	"prometheusRetention":       {value: "30d"},
	"grafanaResources":          {value: `{"limits":{"memory":"2Gi"}}`},
	"grafanaLogsPlugin":         {value: "/usr/share/grafana/plugins", with: keptHere},
	"grafanaLogin":              {value: "oidc", together: others(signedOn, "grafanaLogin")},
	"grafanaOidcAuthUrl":        {value: "https://other.example.com/auth", with: signedOn},
	"grafanaOidcTokenUrl":       {value: "https://other.example.com:8443/token", with: signedOn},
	"grafanaOidcApiUrl":         {value: "https://other.example.com:9443/userinfo", with: signedOn},
	"grafanaOidcClientId":       {value: "other", with: signedOn},
	"grafanaOidcClientSecret":   {value: "renewed", with: signedOn},
	"grafanaOidcScopes":         {value: `["openid","groups"]`, with: signedOn},
	"grafanaOidcGroups":         {value: `["traders"]`, with: signedOn},
	"grafanaOidcDomains":        {value: `["example.com"]`, with: signedOn},
	"grafanaOidcRoles":          {value: "contains(groups[*], 'admins') && 'Admin' || 'Viewer'", with: signedOn},
	"grafanaOidcCa":             {value: provided[0].chain, with: signedOn},
	"grafanaStorage":            {value: "20Gi"},
	"alertmanagerResources":     {value: `{"limits":{"memory":"512Mi"}}`},
	"kubeStateMetricsResources": {value: `{"limits":{"memory":"512Mi"}}`},
	"alertReceivers":            {value: `{"chat":{"slack":{},"credential":"https://hooks.slack.com/services/T0/B0/secret"}}`},
	"monitoringBackend":         {value: "operator"},
	"operatorNamespace":         {value: "watch", with: operated},
	"operatorLabels":            {value: `{"release":"other"}`, with: operated},
	"operatorPrometheusUrl":     {value: "http://thanos.monitoring.svc:10902", with: operated},
	"alertOwners":               {value: `{"trading":"desk","platform":"sre"}`},
	"databaseAlertLimits":       {value: `{"connections":0.7,"lagSeconds":5}`},
	"edgeAlertLimits":           {value: `{"limited":0.2}`},
	"cacheAlertLimits":          {value: `{"hitRatio":0.9}`},
	"backendAlertLimits":        {value: `{"errors":0.001}`},
	"tradingAlertLimits":        {value: `{"drawdown":0.02,"routine":[]}`},
	"kubeletMetrics":            {value: "true"},
	"kubeletVerify":             {value: "false", with: kubeletsTell},
	"workloadAlertLimits":       {value: `{"quota":0.7}`},
	"prometheusOtlp":            {value: "true"},
	"remoteWriteUrl":            {value: "https://metrics.example.com/api/v1/write"},
	"remoteWriteUsername":       {value: "alphapulse", with: sentElsewhere},
	"remoteWriteCredential":     {value: "renewed", with: sentElsewhere},
	"remoteWriteCa":             {value: provided[0].chain, with: sentElsewhere},
	"monitoringFolder":          {value: customFolder, with: map[string]string{"alertReceivers": deskReceiver}, together: map[string]string{"monitoringCredentials": `{"GATEWAY_TOKEN":"token"}`}},
	"monitoringCredentials":     {value: `{"GATEWAY_TOKEN":"renewed"}`, with: watchedBeside},
	"alertWebhookUrl":           {value: "https://hooks.example.com/a"},
	"heartbeatWebhookUrl":       {value: "https://hooks.example.com/b"},

	"telemetryPlacement":     {value: `{"nodeSelector":{"pool":"watch"}}`, with: keptHere},
	"collectorImage":         {value: "docker.io/otel/opentelemetry-collector-contrib:0.166.0", with: keptHere},
	"collectorResources":     {value: `{"limits":{"memory":"512Mi"}}`, with: keptHere},
	"collectorStorage":       {value: "4Gi", with: keptHere},
	"logsBackend":            {value: "local"},
	"logsAgentNamespace":     {value: "log-agent", with: keptHere},
	"logsImage":              {value: "docker.io/victoriametrics/victoria-logs:v1.53.0", with: keptHere},
	"logsResources":          {value: `{"limits":{"memory":"1Gi"}}`, with: keptHere},
	"logsStorage":            {value: "20Gi", with: keptHere},
	"logsRetention":          {value: "30d", with: keptHere},
	"logsUrl":                {value: "https://other.example.com", with: keptElsewhere},
	"logsHeader":             {value: "X-Scope", with: keptElsewhere},
	"logsCredential":         {value: "renewed", with: keptElsewhere},
	"logsCa":                 {value: provided[0].chain, with: keptElsewhere},
	"tracesBackend":          {value: "local"},
	"tracesImage":            {value: "docker.io/jaegertracing/jaeger:2.14.0", with: keptHere},
	"tracesResources":        {value: `{"limits":{"memory":"1Gi"}}`, with: keptHere},
	"tracesStorage":          {value: "10Gi", with: keptHere},
	"tracesRetention":        {value: "24h", with: keptHere},
	"tracesUrl":              {value: "https://other.example.com", with: keptElsewhere},
	"tracesHeader":           {value: "X-Scope", with: keptElsewhere},
	"tracesCredential":       {value: "renewed", with: keptElsewhere},
	"tracesCa":               {value: provided[0].chain, with: keptElsewhere},
	"tracesTailSampling":     {value: "0.1", with: keptHere},
	"tracesSlowMilliseconds": {value: "200", with: map[string]string{"tracesBackend": "local", "edgeTraceSampling": "1", "tracesTailSampling": "0"}},
}

// keptHere are the settings of a stack that keeps logs and traces itself, keptElsewhere
// those of one that sends them away.
var (
	keptHere      = map[string]string{"logsBackend": "local", "tracesBackend": "local", "edgeTraceSampling": "0.05"}
	keptElsewhere = map[string]string{
		"logsBackend": "otlp", "logsUrl": "https://otlp.example.com", "logsCredential": "token",
		"tracesBackend": "otlp", "tracesUrl": "https://otlp.example.com", "tracesCredential": "token", "edgeTraceSampling": "0.05",
	}
)

// sentElsewhere are the settings of a stack whose samples go to another server, too.
var sentElsewhere = map[string]string{"remoteWriteUrl": "https://metrics.example.com:8443/api/v1/write", "remoteWriteCredential": "token"}

// customFolder is the example of docs/custom-monitoring.md, watchedBeside a stack with it.
const (
	customFolder = "../../docs/custom-monitoring"
	deskReceiver = `{"desk":{"webhook":{},"routesOnly":true,"credential":"https://desk.example.com/alerts"}}`
)

var watchedBeside = map[string]string{
	"monitoringFolder": customFolder, "monitoringCredentials": `{"GATEWAY_TOKEN":"token"}`, "alertReceivers": deskReceiver,
}

// onHost are the edits of single that would be none, or would be refused, there.
var onHost = map[string]edit{
	"dashboardEnabled":       {value: "false", with: map[string]string{"dashboardResources": `{"requests":{"cpu":"250m","memory":"256Mi"},"limits":{"cpu":"500m","memory":"512Mi"}}`}},
	"protect":                {value: "true"},
	"buildImages":            {value: "true"},
	"registry":               {value: "ghcr.io/acme", with: map[string]string{"buildImages": "true"}},
	"dockerHost":             {value: "ssh://operator@host.example.com"},
	"tradingEnabled":         {value: "false"},
	"maxConnections":         {value: "20"},
	"edgePublicPort":         {value: "9443"},
	"edgeHstsSeconds":        {value: "60"},
	"dockerHostMoveTo":       {value: "7TRN:IPZB:QYBB:VPBQ:UMPP:KARE:6ZNR:XE6T:7EWV:PKF4:ZOJD:TPYS", live: true},
	"deleteVolumes":          {value: "true"},
	"edgePublicHttpPort":     {value: "8088"},
	"grafanaLoopbackPort":    {value: "13000"},
	"logsEngineFolder":       {value: "/data/docker", with: keptHere},
	"prometheusLoopbackPort": {value: "19090"},
	"imagePullCredentials":   {value: `{"auths":{"registry.example.com":{"auth":"dXNlcjpwYXNzd29yZA=="}}}`},
	"databaseMaxConnections": {value: "40"},
	"databaseImage":          {value: "docker.io/timescale/timescaledb:2.20.0-pg17"},

	"databaseAgentImage":             {value: "registry.example.com/agent:0.2.0", with: onFolder},
	"databaseBackup":                 {value: "s3", with: onFolder, together: maps.Collect(joined(others(toBucket, "databaseBackup"), map[string]string{"databaseBackupHostPath": ""}))},
	"databaseBackupEndpoint":         {value: "s3.example.org:9000", with: toBucket},
	"databaseBackupBucket":           {value: "other-backups", with: toBucket},
	"databaseBackupRegion":           {value: "eu-central-1", with: toBucket},
	"databaseBackupPath":             {value: "/elsewhere", with: toBucket},
	"databaseBackupPathStyle":        {value: "true", with: toBucket},
	"databaseBackupAuthority":        {value: provided[0].chain, with: toBucket},
	"databaseBackupKey":              {value: "AKIB", with: toBucket},
	"databaseBackupKeySecret":        {value: "renewed", with: toBucket},
	"databaseBackupPassphrase":       {value: "a-passphrase-of-the-users-own", with: onFolder},
	"databaseBackupFull":             {value: "0 1 * * 6", with: onFolder},
	"databaseBackupDifferential":     {value: "0 1 * * 0-5", with: onFolder},
	"databaseBackupIncremental":      {value: "30 * * * *", with: onFolder},
	"databaseBackupKeepFull":         {value: "4", with: onFolder},
	"databaseBackupKeepDifferential": {value: "3", with: onFolder},
	"databaseBackupProof":            {value: "0 5 * * 0", with: onFolder},
	"databaseBackupResources":        {value: `{"limits":{"memory":"2Gi"}}`, with: onFolder},
	"databaseRestore":                {value: "latest", with: onFolder},
	"databaseRestoreHostPath":        {value: "/srv/prod-backup", with: fromFolder},
	"databaseRestoreEndpoint":        {value: "s3.example.org", with: fromBucket},
	"databaseRestoreBucket":          {value: "other-backups", with: fromBucket},
	"databaseRestoreRegion":          {value: "eu-central-1", with: fromBucket},
	"databaseRestorePath":            {value: "/alphapulse/older", with: fromBucket},
	"databaseRestorePathStyle":       {value: "true", with: fromBucket},
	"databaseRestoreAuthority":       {value: provided[0].chain, with: fromBucket},
	"databaseRestoreKey":             {value: "AKIB", with: fromBucket},
	"databaseRestoreKeySecret":       {value: "renewed", with: fromBucket},
	"databaseRestorePassphrase":      {value: "that-of-the-other-stack", with: fromFolder},
	"databaseDeleteVolumes":          {value: `["alphapulse-single-database-g1"]`, live: true},
	"engineEnabled":                  {value: "false", with: map[string]string{"tradingEnabled": "false", "engineResources": `{"requests":{"cpu":"500m","memory":"1Gi"},"limits":{"cpu":"1","memory":"2Gi"}}`}},
}

// controlled are the settings of a stack of add-ons that has a controller of Gateways,
// onNodePorts of one that is reached at ports of nodes.
var (
	controlled  = map[string]string{"gatewayController": "traefik"}
	onNodePorts = map[string]string{"gatewayController": "traefik", "gatewayControllerService": "NodePort"}
)

// managed are the settings of a stack of add-ons that has cert-manager.
var managed = map[string]string{"certManager": "true"}

// onCluster are the edits of addons.
var onCluster = map[string]edit{
	"protect":                {value: "false", with: managed, live: true}, // the definitions are made by the provider
	"certManager":            {value: "true"},
	"certManagerChart":       {value: "oci://quay.io/jetstack/charts/cert-manager", with: managed},
	"certManagerVersion":     {value: "v1.22.0", with: managed},
	"certManagerRegistry":    {value: "registry.example.com/quay", with: managed},
	"certManagerReplicas":    {value: "2", with: managed},
	"certManagerResources":   {value: `{"limits":{"memory":"512Mi"}}`, with: managed},
	"certManagerNameServers": {value: `["1.1.1.1:53"]`, with: managed},
	"logAgent":               {value: "true", together: map[string]string{"logAgentNamespaces": `["alphapulse-prod"]`}},
	"logAgentImage":          {value: "docker.io/otel/opentelemetry-collector-contrib:0.166.0", with: agented},
	"logAgentResources":      {value: `{"limits":{"memory":"512Mi"}}`, with: agented},
	"logAgentNamespaces":     {value: `["alphapulse-prod","alphapulse-dev"]`, with: agented},
	"logAgentExclude":        {value: `["edge-*/nginx"]`, with: agented},

	"kubeletMetricsNamespaces": {value: `["alphapulse-prod"]`},

	"gatewayController":              {value: "traefik"},
	"gatewayDefinitions":             {value: "cluster", with: controlled},
	"gatewayControllerChart":         {value: "oci://ghcr.io/traefik/helm/traefik", with: controlled},
	"gatewayControllerVersion":       {value: "42.0.0", with: controlled},
	"gatewayControllerRegistry":      {value: "registry.example.com/hub", with: controlled},
	"gatewayControllerReplicas":      {value: "3", with: controlled},
	"gatewayControllerResources":     {value: `{"limits":{"memory":"512Mi"}}`, with: controlled},
	"gatewayControllerService":       {value: "NodePort", with: controlled},
	"gatewayControllerHttpNodePort":  {value: "30080", with: onNodePorts},
	"gatewayControllerHttpsNodePort": {value: "30443", with: onNodePorts},
}

// kubeletsTell are the settings of one whose Prometheus asks the kubelets.
var kubeletsTell = map[string]string{"kubeletMetrics": "true"}

// agented are the settings of one that has the agent on the nodes.
var agented = map[string]string{"logAgent": "true", "logAgentNamespaces": `["alphapulse-prod"]`}

// editOf is the edit of a setting on a target.
func editOf(target room.Target, key string) (edit, bool) {
	if e, ok := map[room.Target]map[string]edit{room.DockerHost: onHost, room.Addons: onCluster}[target][key]; ok {
		return e, true
	}
	e, ok := edits[key]
	return e, ok
}

// everything stands for the objects of an edit on which all of them stand.
const everything = 40

// certificate makes a self-signed certificate for the hosts below domains.
func certificate(days int, domains ...string) (chain, key string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domains[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, days),
	}
	for _, d := range domains {
		template.DNSNames = append(template.DNSNames, "*."+d)
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

// provided are two certificates of the user's for the domains of prod and single.
var provided = func() (p [2]struct{ chain, key string }) {
	for i := range p {
		p[i].chain, p[i].key = certificate(90+i, "alphapulse.example.com", "single.localhost")
	}
	return p
}()

// TestEverySettingHasAnEffect changes one setting at a time and compares what the
// program registers: a setting without a user would change nothing, and a change
// that rolls more than its readers would name them. The golden files say what each
// edit changes, and so that nothing else does.
func TestEverySettingHasAnEffect(t *testing.T) {
	for target, stack := range map[room.Target]string{room.Kubernetes: "prod", room.DockerHost: "single", room.Addons: "addons"} {
		base := run(t, stack, nil)
		var keys []string
		var mu sync.Mutex
		effects := map[string]string{}
		// The group ends when all of it have: each key is two runs of the whole program.
		t.Run(string(target), func(t *testing.T) {
			for _, s := range stacks.Settings() {
				if !s.On(target) || s.Key == "target" && target != room.Kubernetes {
					continue
				}
				keys = append(keys, s.Key)
				t.Run(s.Key, func(t *testing.T) {
					t.Parallel()
					effect := effectOf(t, target, stack, s.Key, base)
					mu.Lock()
					defer mu.Unlock()
					effects[s.Key] = effect
				})
			}
		})
		var page strings.Builder
		fmt.Fprintf(&page, "What an edit of each setting changes in the stack %s, on target %s.\n", stack, target)
		for _, key := range keys {
			fmt.Fprintf(&page, "\n%s\n%s", key, effects[key])
		}
		golden.File(t, "effects-"+string(target)+".txt", page.String())
	}
}

// effectOf tries the edit of one setting and lists what it changes.
func effectOf(t *testing.T, target room.Target, stack, key string, base *recorder.Recording) string {
	t.Helper()
	e, ok := editOf(target, key)
	require.True(t, ok, "no edit of %s is tried", key)
	before := base
	if len(e.with) > 0 {
		before = run(t, stack, e.with)
	}
	with := maps.Clone(e.with)
	if with == nil {
		with = map[string]string{}
	}
	maps.Copy(with, e.together)
	with[key] = e.value
	after := run(t, stack, with)
	changed := recorder.Changed(before, after)
	if len(changed) > everything {
		return "  everything\n"
	}
	assert.Equal(t, e.live, len(changed) == 0, "%s: an edit of %s changes nothing", stack, key)
	assert.Empty(t, recorder.Losses(before.Resources, after.Resources), "%s: an edit of %s would lose what users stored", stack, key)
	var list strings.Builder
	for _, object := range changed {
		fmt.Fprintf(&list, "  %s\n", object)
	}
	return list.String()
}

// run is a recording of a stack with settings on top of its file.
func run(t *testing.T, stack string, with map[string]string) *recorder.Recording {
	t.Helper()
	config, err := recorder.StackConfig(stack)
	require.NoError(t, err)
	maps.Copy(config, with)
	r, err := recorder.Run(recorder.Options{Stack: stack, Config: config, SecretKeys: stored(with)})
	require.NoError(t, err, "%v", with)
	return r
}

// stored lists which of the keys are stored as secrets.
func stored(config map[string]string) []string {
	var keys []string
	for _, s := range stacks.Settings() {
		if v, set := config[s.Key]; set && s.Secret && v != "" {
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
