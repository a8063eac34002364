package unit

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// mistake is what somebody wrote who meant something else.
type mistake struct {
	key, value string
	with       map[string]string
	// plain keeps the key out of the secrets.
	plain bool
	says  []string
}

// noNodePorts takes dev's away.
var noNodePorts = map[string]string{"edgeHttpNodePort": "0", "edgeHttpsNodePort": "0"}

// atGateway are settings on top of those of a stack behind a Gateway.
func atGateway(with map[string]string) map[string]string {
	all := maps.Clone(gated)
	maps.Copy(all, noNodePorts)
	maps.Copy(all, with)
	return all
}

// grafanaSignOn has Grafana ask a provider.
var grafanaSignOn = map[string]string{
	"grafanaLogin": "oidc", "grafanaOidcClientId": "g", "grafanaOidcClientSecret": "s",
	"grafanaOidcAuthUrl": "https://a.example.com/a", "grafanaOidcTokenUrl": "https://a.example.com/t", "grafanaOidcApiUrl": "https://a.example.com/u",
}

// mistakes by their kind, each with what is right. They are refused on every target
// where the setting has a meaning.
var mistakes = map[string][]mistake{
	"units": {
		{key: "backendResources", value: `{"limits":{"memory":"512m"}}`, says: []string{`limits.memory: "512m"`, "thousandths of a byte", "did you mean 512Mi?"}},
		{key: "engineResources", value: `{"requests":{"memory":"400m"}}`, says: []string{"requests.memory", "did you mean 400Mi?"}},
		{key: "dashboardResources", value: `{"limits":{"memory":256}}`, says: []string{`"256" is less than 1M`, "did you mean 256Mi?"}},
		{key: "frontendResources", value: `{"limits":{"memory":"1gb"}}`, says: []string{`"1gb" is not an amount`, "did you mean 1Gi?"}},
		{key: "edgeResources", value: `{"limits":{"memory":"2g"}}`, says: []string{"did you mean 2Gi?"}},
		{key: "prometheusResources", value: `{"limits":{"memory":"900k"}}`, says: []string{`"900k" is less than 1M`}},
		{key: "grafanaResources", value: `{"limits":{"cpu":"500Mi"}}`, says: []string{`limits.cpu: "500Mi"`, "did you mean 500m?"}},
		{key: "alertmanagerResources", value: `{"requests":{"cpu":"0.0001"}}`, says: []string{"requests.cpu", "less than 1m"}},
		{key: "cacheResources", value: `{"limits":{"memory":"-1Gi"}}`, says: []string{"limits.memory", "above zero"}},
		{key: "backendResources", value: `{"limits":{"cpu":500}}`, says: []string{`"500" is more than 192 cores`, "did you mean 500m?"}},
		{key: "edgeResources", value: `{"limits":{"cpu":"1m"},"requests":{"cpu":"1m"}}`, says: []string{`limits.cpu: "1m" is too small`, "at least 10m"}},
		{key: "databaseStorage", value: "100", says: []string{`"100" is less than 1M`, "did you mean 100Mi?"}},
		{key: "prometheusStorage", value: "20m", says: []string{"did you mean 20Mi?"}},
		{key: "databaseStorage", value: "9Ei", says: []string{`"9Ei" is more than 1Pi`}},
	},
	"addresses": {
		{key: "remoteWriteUrl", value: "http://u:hunter2@x.example.com/", says: []string{`"http://…@x.example.com/" is no https URL`}},
		{key: "remoteWriteUrl", value: "https://x.example.com/write?Token=hunter2", says: []string{"holds a credential in its query", "set it as remoteWriteCredential"}},
		{key: "logsUrl", value: "http://u:hunter2@x.example.com", with: map[string]string{"logsBackend": "otlp"}, says: []string{`"http://…@x.example.com" is not an https address`}},
		{key: "grafanaLogsPlugin", value: "https://u:hunter2@x.example.com/a.zip", with: map[string]string{"logsBackend": "local"}, says: []string{"https://…@x.example.com/a.zip"}},
		{key: "grafanaOidcAuthUrl", value: "https://u:hunter2@x.example.com/a?key=hunter2", with: others(signedOn, "grafanaOidcAuthUrl"), says: []string{`"https://…@x.example.com/a?key=…" is not`}},
		{key: "edgeOidcIssuer", value: "https://u:hunter2@x.example.com", with: others(knownUsers, "edgeOidcIssuer"), says: []string{`"https://…@x.example.com" is not`}},
		{key: "operatorPrometheusUrl", value: "http://u:hunter2@x.example.com", with: operatorAlone, says: []string{`"http://…@x.example.com" is no http address`}},
		{key: "databaseBackupEndpoint", value: "https://u:hunter2@s3.example.com", says: []string{`"https://…@s3.example.com": want host or host:port`}},
		{key: "dockerHost", value: "ssh://u:hunter2%zz@x.example.com", with: map[string]string{"buildImages": "true", "registry": "ghcr.io/acme"}, says: []string{`"ssh://…@x.example.com" is not the address of an engine`}},
		{key: "remoteWriteUrl", value: "https://x.example.com:99999/", says: []string{"is no https URL"}},
		{key: "remoteWriteUrl", value: "https://x.example.com:0/", says: []string{"is no https URL"}},
		{key: "logsUrl", value: "https://x..y", with: map[string]string{"logsBackend": "otlp"}, says: []string{"is not an https address"}},
		{key: "logsUrl", value: "https://x.example.com/${env:HOME}", with: map[string]string{"logsBackend": "otlp"}, says: []string{"holds $", "write %24"}},
		{key: "tracesUrl", value: "https://.", with: map[string]string{"tracesBackend": "elasticsearch", "edgeTraceSampling": "1"}, says: []string{"is not an https address"}},
		{key: "grafanaLogsPlugin", value: "https://x.example.com:", with: map[string]string{"logsBackend": "local"}, says: []string{"is neither a version"}},
	},
	"what would be read as something else": {
		{key: "logsCredential", value: "Bearer ${env:X}", with: map[string]string{"logsBackend": "otlp", "logsUrl": "https://x.example.com"}, says: []string{"the collector would read something else"}},
		{key: "tracesCredential", value: "key: value", with: map[string]string{"tracesBackend": "otlp", "tracesUrl": "https://x.example.com", "edgeTraceSampling": "1"}, says: []string{"the collector would read something else"}},
		{key: "grafanaOidcGroups", value: `[""]`, with: grafanaSignOn, says: []string{"it is empty"}},
		{key: "grafanaOidcGroups", value: `["platform team"]`, with: grafanaSignOn, says: []string{"would take it for several"}},
		{key: "grafanaOidcDomains", value: `["a.example.com,b.example.com"]`, with: grafanaSignOn, says: []string{"would take it for several"}},
		{key: "operatorLabels", value: `{"app.kubernetes.io/name":"mine"}`, with: map[string]string{"monitoringBackend": "operator"}, says: []string{"app.kubernetes.io/name", "have this label"}},
		{key: "logsRetention", value: "23h", with: map[string]string{"logsBackend": "local"}, says: []string{"less than the day"}},
	},
	"sizes": {
		{key: "backendResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small", "at least 16Mi"}},
		{key: "engineResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small"}},
		{key: "dashboardResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small"}},
		{key: "frontendResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small"}},
		{key: "edgeResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small", "nginx"}},
		{key: "prometheusResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small"}},
		{key: "grafanaResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small"}},
		{key: "alertmanagerResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small"}},
		{key: "kubeStateMetricsResources", value: `{"requests":{"memory":"4Mi"},"limits":{"memory":"8Mi"}}`, says: []string{"8Mi is too small"}},
	},
	"versions": {
		{key: "databaseImage", value: "docker.io/timescale/timescaledb:2.19.3-pg16", says: []string{"has PostgreSQL 16", "with PostgreSQL 17"}},
		{key: "databaseImage", value: "timescale/timescaledb-ha:pg18.1-ts2.25", says: []string{"has PostgreSQL 18.1"}},
		{key: "databaseImage", value: "registry.example.com/mirror/timescaledb:2.11.0-pg15-oss@sha256:" + strings.Repeat("0", 64), says: []string{"has PostgreSQL 15"}},
		{key: "databaseImage", value: "postgres:16.3-alpine", says: []string{"has PostgreSQL 16.3"}},
		{key: "edgeImage", value: "docker.io/nginxinc/nginx-unprivileged:1.27.5-alpine", says: []string{"has nginx 1.27.5", "1.28 or later"}},
		{key: "edgeImage", value: "registry.example.com/mirror/nginx:1.9", says: []string{"has nginx 1.9"}},
		{key: "cacheImage", value: "redis:6.2-bookworm", says: []string{"has Redis 6.2", "7 or later"}},
	},
	"pull credentials": {
		{key: "imagePullCredentials", value: "not-json", says: []string{"no config.json", "not JSON"}},
		{key: "imagePullCredentials", value: `["registry.example.com"]`, says: []string{"no config.json"}},
		{key: "imagePullCredentials", value: `{}`, says: []string{"below auths"}},
		{key: "imagePullCredentials", value: `{"auths":{}}`, says: []string{"below auths"}},
		{key: "imagePullCredentials", value: `{"auths":{"https://index.docker.io/v1/":{}},"credsStore":"desktop"}`, says: []string{"credential helper", `no login for "https://index.docker.io/v1/"`}},
		{key: "imagePullCredentials", value: `{"credHelpers":{"ghcr.io":"pass"}}`, says: []string{"credential helper"}},
		{key: "imagePullCredentials", value: `{"auths":{"ghcr.io":{"auth":"dXNlcg=="}}}`, says: []string{`no login for "ghcr.io"`, "user:password in base64"}},
		{key: "imagePullCredentials", value: `{"auths":{"ghcr.io":{"auth":"user:password"}}}`, says: []string{`no login for "ghcr.io"`}},
		{key: "imagePullCredentials", value: `{"auths":{"ghcr.io":{"auth":"dXNlcjo="}}}`, says: []string{`no login for "ghcr.io"`}},
		{key: "imagePullCredentials", value: `{"auths":{"ghcr.io":{"auth":"OnB3"}}}`, says: []string{`no login for "ghcr.io"`}},
		{key: "imagePullCredentials", value: `{"auths":{"ghcr.io":{"username":"robot"}}}`, says: []string{`no login for "ghcr.io"`}},
	},
	"secrets in plain text": {
		{key: "kubeconfig", value: "apiVersion: v1\nkind: Config\nclusters: []\n", plain: true, says: []string{"plain text", "set --secret kubeconfig", "renew"}},
		{key: "kubeconfig", value: `{"apiVersion":"v1","kind":"Config"}`, plain: true, says: []string{"plain text", "set --secret kubeconfig"}},
		{key: "kubeconfig", value: "YXBpVmVyc2lvbjogdjEKa2luZDogQ29uZmlnCg==", plain: true, says: []string{"plain text"}},
		{key: "kubeconfig", value: "YXBpVmVyc2lvbjogdjEK\nY2x1c3RlcnM6IFtdCg==", plain: true, says: []string{"plain text"}},
		{key: "dockerHost", value: "ssh://operator:hunter2@host.example.com", with: map[string]string{"buildImages": "true", "registry": "ghcr.io/acme"}, says: []string{"holds a password", "by key"}},
		{key: "tlsCertificate", value: provided[0].chain + provided[0].key, plain: true, with: map[string]string{"tlsMode": "provided", "tlsPrivateKey": provided[0].key},
			says: []string{"holds a private key", "--secret tlsPrivateKey"}},
	},
	"an Operator": {
		{key: "operatorNamespace", value: "x_y", with: operatorAlone, says: []string{"cannot be a namespace"}},
		{key: "operatorLabels", value: `{"release":"a b"}`, with: operatorAlone, says: []string{"release: it cannot be a label"}},
		{key: "operatorPrometheusUrl", value: "https://prometheus.example.com", with: operatorAlone, says: []string{"is no http address"}},
		{key: "alertWebhookUrl", value: "https://hooks.example.com/a", with: operatorAlone, says: []string{"only while monitoringBackend is own"}},
		{key: "operatorNamespace", value: "watch", says: []string{"only while monitoringBackend is operator"}},
	},
	"alerts": {
		{key: "alertOwners", value: `{"databse":"dba"}`, says: []string{"alertOwners.databse", "no alert is about that", "choose from database"}},
		{key: "alertOwners", value: `{"database":" "}`, says: []string{"alertOwners.database: it is empty"}},
		{key: "databaseAlertLimits", value: `{"connections":80}`, says: []string{"connections: 80 is no share", "at most 1"}},
		{key: "databaseAlertLimits", value: `{"lag":5,"deadlocks":0.5}`, says: []string{"there is no limit lag: choose from connections", "deadlocks: 0.5: set a whole number"}},
		{key: "workloadAlertLimits", value: `{"throttled":"many"}`, says: []string{"throttled: many is no share"}},
		{key: "databaseAlertLimits", value: `{"deadlocks":"0.5"}`, says: []string{"deadlocks: 0.5: set a whole number"}},
		{key: "cacheAlertLimits", value: `{"hitRatio":0}`, says: []string{"hitRatio: 0 is no share"}},
		{key: "edgeAlertLimits", value: `{"limited":5,"tls":0.1}`, says: []string{"limited: 5 is no share", "there is no limit tls: choose from errors, slow, limited, avoided, handshakes"}},
		{key: "backendAlertLimits", value: `[1]`, says: []string{"not an object of limits", "errors"}},
		{key: "workloadAlertLimits", value: `{"flapping":0.5,"quota":90}`, says: []string{"flapping: 0.5: set a whole number", "quota: 90 is no share"}},
		{key: "workloadAlertLimits", value: `{"volumes":0.8}`, says: []string{"volumes: 0.8", "by design"}},
		{key: "workloadAlertLimits", value: `{"throttled":0.5}`, says: []string{"throttled is set", "set kubeletMetrics true"}},
		{key: "tradingAlertLimits", value: `{"routine":"risk_limit"}`, says: []string{`routine: "risk_limit" is no list`}},
		{key: "tradingAlertLimits", value: `{"routine":["risk_limit",""]}`, says: []string{`routine: "" is empty`}},
		{key: "tradingAlertLimits", value: `{"routine":[" lunch"]}`, says: []string{`routine: " lunch" is empty or has spaces around it`}},
		{key: "alertOwners", value: `{"database":"{{ x"}`, says: []string{"alertOwners.database", `"{{ x" is a template`}},
		{key: "alertOwners", value: `{"trading":"{{ $labels.job }}"}`, says: []string{"alertOwners.trading", "is a template"}},
		{key: "alertOwners", value: `{"trading":"the\ndesk"}`, says: []string{"alertOwners.trading", "line breaks"}},
		{key: "remoteWriteUrl", value: "http://metrics.example.com/write", says: []string{"is no https URL"}},
		{key: "remoteWriteUrl", value: "https://user:hunter2@metrics.example.com/write", says: []string{"holds a login, in plain text"}},
		{key: "remoteWriteUsername", value: "u", with: map[string]string{"remoteWriteUrl": "https://metrics.example.com/write"}, says: []string{"it is set, and remoteWriteCredential is not"}},
		{key: "remoteWriteUsername", value: "u:hunter2", with: sentElsewhere, says: []string{"holds a colon"}},
		{key: "remoteWriteUsername", value: "u\nv", with: sentElsewhere, says: []string{"line breaks"}},
		{key: "remoteWriteCredential", value: "hunter2\nhunter3", with: sentElsewhere, says: []string{"remoteWriteCredential: it holds line breaks"}},
		{key: "remoteWriteCredential", value: "schlüssel-hunter2", with: sentElsewhere, says: []string{"remoteWriteCredential", "what no header can hold"}},
	},
	"headers": {
		{key: "logsHeader", value: "X-Scope", with: map[string]string{"logsBackend": "elasticsearch", "logsUrl": "https://es.example.com"}, says: []string{"only while logsBackend is otlp"}},
		{key: "tracesHeader", value: "X-Scope", with: map[string]string{"tracesBackend": "elasticsearch", "tracesUrl": "https://es.example.com"}, says: []string{"only while tracesBackend is otlp"}},
		{key: "logsHeader", value: "X-Scope", with: map[string]string{"logsBackend": "local"}, says: []string{"only while logsBackend is otlp"}},
	},
	"receivers": {
		{key: "alertWebhookUrl", value: "https://hooks.slack.com/services/T0/B0/secret", says: []string{"Slack", "alertReceivers.NAME with slack"}},
		{key: "alertWebhookUrl", value: "https://HOOKS.slack.com./services/T0/B0/secret", says: []string{"Slack"}},
		{key: "alertWebhookUrl", value: "https://events.pagerduty.com/v2/enqueue", says: []string{"PagerDuty"}},
		{key: "alertWebhookUrl", value: "https://discord.com/api/webhooks/1/secret", says: []string{"Discord", "relay"}},
		{key: "alertWebhookUrl", value: "https://acme.webhook.office.com/webhookb2/secret", says: []string{"Microsoft Teams"}},
		{key: "alertWebhookUrl", value: "https://api.opsgenie.com/v2/alerts", says: []string{"Opsgenie"}},
		{key: "alertWebhookUrl", value: "https://api.telegram.org/bot1:secret/sendMessage", says: []string{"Telegram"}},
		{key: "alertWebhookUrl", value: "https://hooks.slack-gov.com/services/T0/B0/secret", says: []string{"Slack"}},
		{key: "alertWebhookUrl", value: "https://oapi.dingtalk.com/robot/send?access_token=secret", says: []string{"DingTalk", "relay"}},
		{key: "heartbeatWebhookUrl", value: "https://chat.googleapis.com/v1/spaces/secret", says: []string{"Google Chat"}},
		{key: "alertReceivers", value: `{"hook":{"webhook":{},"credential":"https://hooks.example.com/secret","owners":["tradng"]}}`, says: []string{`alertReceivers.hook.owners: no alert has the owner "tradng"; did you mean trading? There are backend, platform, trading`}},
		{key: "alertReceivers", value: `{"hook":{"webhook":{},"credential":"https://hooks.example.com/secret","owners":["platform","dba"]}}`, with: map[string]string{"alertOwners": `{"database":"dbas"}`}, says: []string{`no alert has the owner "dba"; did you mean dbas?`}},
		{key: "alertReceivers", value: `{"hook":{"webhook":{},"credential":"https://hooks.example.com/secret","workloads":["backend","engine"]}}`, says: []string{`alertReceivers.hook.workloads: no alert has the workload "engine"; did you mean `, "backend-engine"}},
		{key: "alertReceivers", value: `{"hook":{"webhook":{},"credential":"https://hooks.example.com/secret","workloads":["Database"]}}`, says: []string{`no alert has the workload "Database"; did you mean database?`}},
		{key: "alertReceivers", value: `["https://hooks.slack.com/services/T0/B0/secret"]`, says: []string{"not an object of objects", "alertReceivers.NAME.FIELD"}},
		{key: "alertReceivers", value: `{"chat":"https://hooks.slack.com/services/T0/B0/secret"}`, says: []string{"alertReceivers.chat: it is not an object", "slack, pagerDuty"}},
		{key: "alertReceivers", value: `{"chat":{"slak":{},"credential":"https://hooks.slack.com/services/T0/B0/secret"}}`, says: []string{"alertReceivers.chat.slak: no such field; did you mean slack?"}},
		{key: "alertReceivers", value: `{"chat":{"slack":{"chanel":"#a"},"credential":"https://hooks.slack.com/services/T0/B0/secret"}}`, says: []string{"alertReceivers.chat.slack.chanel", "did you mean channel?"}},
		{key: "alertReceivers", value: `{"bot":{"telegram":{"chatId":"@group"},"credential":"1:secret"}}`, says: []string{"alertReceivers.bot", "write a whole number"}},
		{key: "alertReceivers", value: `{"chat":{"slack":{}}}`, says: []string{"alertReceivers.chat: its credential is missing", "--secret --path alertReceivers.chat.credential"}},
		{key: "alertReceivers", value: `{"chat":{"slack":{},"teams":{},"credential":"https://hooks.slack.com/services/T0/B0/secret"}}`, says: []string{"receiver chat: its kinds are [Slack Teams]"}},
		{key: "alertReceivers", value: `{"chat":{"slack":{},"credential":"http://hooks.slack.com/secret"}}`, says: []string{"alertReceivers.chat: credential", "https"}},
		{key: "alertReceivers", value: `{"hook":{"webhook":{},"credential":"https://hooks.slack.com/services/T0/B0/secret"}}`, says: []string{"alertReceivers.hook: credential", "Slack", "with slack"}},
		{key: "alertReceivers", value: `{"key":{"pagerDuty":{},"credential":"secret and more"}}`, says: []string{"alertReceivers.key: credential", "spaces"}},
		{key: "alertReceivers", value: `{"mail":{"email":{"smarthost":"smtp.example.com","from":"a@example.com","to":["b@example.com"]},"credential":"secret"}}`, says: []string{`receiver mail: smarthost "smtp.example.com"`}},
		{key: "alertReceivers", value: `{"mail":{"email":{"smarthost":"smtp.example.com:587","from":"a@example.com","to":["b@example.com"],"username":"a"}}}`, says: []string{"alertReceivers.mail: its credential is missing, and email.username is set"}},
		{key: "alertReceivers", value: `{"Mail Box":{"webhook":{},"credential":"https://hooks.example.com/secret"}}`, says: []string{`"Mail Box"`, "small letters"}},
		{key: "alertReceivers", value: `{"webhook":{"webhook":{},"credential":"https://hooks.example.com/secret"}}`, with: map[string]string{"alertWebhookUrl": "https://hooks.example.com/secret"}, says: []string{"alertWebhookUrl is the receiver of that name"}},
	},
	"contradictions": {
		{key: "domain", value: "10.0.0.1", says: []string{`"10.0.0.1"`, "address", "example.com"}},
		{key: "domain", value: "192.168.1", says: []string{`"192.168.1"`, "address"}},
		{key: "domain", value: "internal.0x7f", says: []string{"address"}},
		{key: "domain", value: "fd00::1", says: []string{`"fd00::1"`}},
		{key: "edgeTraceSampling", value: "0.00001", says: []string{"1e-05", "at most four decimals"}},
		{key: "edgeTrustedProxies", value: `["0.0.0.0/0"]`, says: []string{`"0.0.0.0/0" trusts everybody`}},
		{key: "edgeTrustedProxies", value: `["203.0.113.0/24","::/0"]`, says: []string{`"::/0" trusts everybody`}},
		{key: "edgeTrustedProxies", value: `["0.0.0.0/1","128.0.0.0/1"]`, says: []string{`"0.0.0.0/1" trusts everybody`, `"128.0.0.0/1" trusts everybody`}},
		{key: "edgeTrustedProxies", value: `["::ffff:0:0/96"]`, says: []string{`"::ffff:0:0/96" trusts everybody`}},
		{key: "edgeTrustedProxies", value: `["2000::/3"]`, says: []string{`"2000::/3" trusts everybody`}},
		{key: "takeOver", value: `["namespace/trading"]`, says: []string{`"namespace/trading"`, "no object of a stack is of kind namespace"}},
		{key: "takeOver", value: `["Pod/theirs"]`, says: []string{"kind Pod"}},
		{key: "namespace", value: "kube-flannel", says: []string{`"kube-flannel" belongs to the cluster`}},
		{key: "backendEnv", value: `{"API_HOST":"::"}`, says: []string{"backendEnv.API_HOST", "listenAddress"}},
		{key: "backendEnv", value: `{"DATABASE_URL":"postgresql://elsewhere"}`, says: []string{"backendEnv.DATABASE_URL: the program sets this variable"}},
		{key: "backendEnv", value: `{"API_PORT":"1234"}`, says: []string{"backendEnv.API_PORT", "backendPort"}},
		{key: "backendEnv", value: `{"TRADING_ENABLED":"true"}`, says: []string{"backendEnv.TRADING_ENABLED", "tradingEnabled"}},
		{key: "backendEnv", value: `{"WEB_CONCURRENCY":"8"}`, says: []string{"backendEnv.WEB_CONCURRENCY"}},
		{key: "backendSecretEnv", value: `{"JWT_SECRET_KEY":"secret"}`, says: []string{"backendSecretEnv.JWT_SECRET_KEY"}},
		{key: "backendSecretEnv", value: `{"REDIS_PASSWORD_FILE":"/x"}`, says: []string{"backendSecretEnv.REDIS_PASSWORD_FILE"}},
		{key: "frontendEnv", value: `{"PORT":"80"}`, says: []string{"frontendEnv.PORT"}},
		{key: "frontendEnv", value: `{"GRAFANA_URL":"https://grafana.example.com"}`, says: []string{"frontendEnv.GRAFANA_URL", "domain"}},
	},
	"edge": {
		{key: "edgeUnlimitedCidrs", value: `["10.0.0.1/8"]`, says: []string{`"10.0.0.1/8"`}},
		{key: "edgeLoginPaths", value: `["/login;x"]`, says: []string{`"/login;x" cannot be where passwords are tried`}},
		{key: "edgeLoginPaths", value: `["/"]`, says: []string{"below the root"}},
	},
	"certificates": {
		{key: "tlsMode", value: "acme", says: []string{`"acme"`, "certManager"}},
	},
	"paths": {
		{key: "backendMetricsPath", value: "/api/", says: []string{"whole API"}},
		{key: "backendMetricsPath", value: "/", says: []string{"below the root"}},
		{key: "backendMetricsPath", value: "/ws", says: []string{"WebSockets"}},
		{key: "dashboardMetricsPath", value: "/socket.io/", says: []string{"WebSockets"}},
		{key: "frontendMetricsPath", value: "/metrics;return", says: []string{"letters, digits"}},
		{key: "engineMetricsPath", value: "/m\xff", says: []string{"no text"}},
	},
	"metrics of a build": {
		{key: "backendRequestsMetric", value: "http-requests", says: []string{`"http-requests" cannot be a metric's name`, "http_requests_total"}},
		{key: "backendDurationMetric", value: `x{y="z"}`, says: []string{"cannot be a metric's name"}},
		{key: "backendStatusLabel", value: "status-code", says: []string{`"status-code" cannot be a label`}},
		{key: "backendPathLabels", value: `["path","a b"]`, says: []string{`"a b" cannot be a label`}},
		{key: "backendUncountedPaths", value: `["ping"]`, says: []string{`"ping" is not a path`}},
		{key: "backendUncountedPaths", value: `["/-"]`, says: []string{`"/-" is not a path`}},
		{key: "backendLatencyMilliseconds", value: "0", says: []string{"1 to 60000"}},
		{key: "backendStatusLabel", value: "code", with: map[string]string{"backendMetricsPath": "-"}, says: []string{"only while backendMetricsPath is not -"}},
	},
	"placement": {
		{key: "placement", value: `{"nodeSelectors":{"a":"b"}}`, says: []string{"not an object with nodeSelector, tolerations and affinity", "nodeSelectors"}},
		{key: "placement", value: `[]`, says: []string{"not an object"}},
		{key: "databasePlacement", value: `{"nodeSelector":{"kubernetes.io/arch/":"amd64"}}`, says: []string{"cannot be a label"}},
		{key: "placement", value: `{"nodeSelector":{"kubernetes.io/arch":"x86_64"}}`, says: []string{"no node has kubernetes.io/arch x86_64, did you mean amd64?"}},
		{key: "edgePlacement", value: `{"nodeSelector":{"pool":"a b"}}`, says: []string{`"a b" cannot be the value of pool`}},
		{key: "backendPlacement", value: `{"tolerations":[{"key":"spot"},{"operator":"Equal"}]}`, says: []string{"tolerations[1]", "Exists"}},
		{key: "backendPlacement", value: `{"tolerations":[{"key":"spot","operator":"Is"}]}`, says: []string{"neither Exists nor Equal"}},
		{key: "frontendPlacement", value: `{"tolerations":[{"key":"spot","effect":"Never"}]}`, says: []string{"NoExecute"}},
		{key: "cachePlacement", value: `{"tolerations":[{"key":"spot","operator":"Exists","value":"true"}]}`, says: []string{"no meaning with the operator Exists"}},
		{key: "monitoringPlacement", value: `{"tolerations":[{"key":"spot","tolerationSeconds":5}]}`, says: []string{"needs the effect NoExecute"}},
		{key: "placement", value: `{"affinity":{"nodeAffinity":{"required":{}}}}`, says: []string{"not an object", "required"}},
		{key: "placement", value: `{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[]}}}}`, says: []string{"no nodeSelectorTerms"}},
		{key: "databasePlacement", value: `{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"cpus","operator":"Gt","values":["many"]},{"key":"a b","operator":"Is"}]}]}}}}`, says: []string{"nodeSelectorTerms[0]", "many", `"Is" is none of In`}},
		{key: "databasePlacement", value: `{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.uid","operator":"In","values":["x"]}]}]}}}}`, says: []string{"only metadata.name"}},
		{key: "backendPlacement", value: `{"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":0,"preference":{"matchExpressions":[{"key":"spot","operator":"Exists"}]}}]}}}`, says: []string{"weight 0: set 1 to 100"}},
		{key: "backendPlacement", value: `{"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{"matchExpressions":[{"key":"spot","operator":"Exists","values":["x"]}]}}]}}}`, says: []string{"preferred[0]", "must be empty"}},
		{key: "edgePlacement", value: `{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"app":"a b"}}}]}}}`, says: []string{"topologyKey is missing", "a b"}},
		{key: "cachePlacement", value: `{"affinity":{"podAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":101,"podAffinityTerm":{"topologyKey":"kubernetes.io/hostname"}}]}}}`, says: []string{"weight 101"}},
		{key: "cachePlacement", value: `{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","matchLabelKeys":["x"]}]}}}`, says: []string{"need a labelSelector"}},
	},
	"balancers": {
		{key: "edgeAnnotations", value: `["a"]`, says: []string{"not an object of texts"}},
		{key: "edgeAnnotations", value: `{"a b":"c"}`, says: []string{`"a b" cannot be an annotation`}},
		{key: "edgeAnnotations", value: `{"load-balancer.hetzner.cloud/uses-proxyprotocol":true}`, says: []string{"set edgeProxyProtocol true"}},
		{key: "edgeAnnotations", value: `{"service.beta.kubernetes.io/aws-load-balancer-target-group-attributes":"proxy_protocol_v2.enabled=true"}`, says: []string{"set edgeProxyProtocol true"}},
		{key: "edgeSourceRanges", value: `["203.0.113.1/24"]`, with: map[string]string{"edgeExposure": "loadBalancer", "edgeHttpNodePort": "0", "edgeHttpsNodePort": "0"}, says: []string{"bits set"}},
		{key: "edgeSourceRanges", value: `["203.0.113.0/24"]`, with: map[string]string{"edgeExposure": "nodePort"}, says: []string{"only while edgeExposure is loadBalancer"}},
		{key: "edgeLoadBalancerClass", value: "a b", with: map[string]string{"edgeExposure": "loadBalancer", "edgeHttpNodePort": "0", "edgeHttpsNodePort": "0"}, says: []string{`"a b" cannot be a class`}},
		{key: "edgeHealthCheckNodePort", value: "32000", with: map[string]string{"edgeExposure": "loadBalancer", "edgeHttpNodePort": "0", "edgeHttpsNodePort": "0", "edgeTrafficFromEveryNode": "true"}, says: []string{"edgeTrafficFromEveryNode"}},
		{key: "edgeProxyProtocol", value: "true", with: map[string]string{"edgeExposure": "ingress", "edgeIngressClass": "alb", "edgeHttpNodePort": "0", "edgeHttpsNodePort": "0"}, says: []string{"speaks HTTP"}},
		{key: "edgeIngressNodePorts", value: "true", says: []string{"only while edgeExposure is ingress"}},
	},
	"log lines in Grafana": {
		{key: "grafanaLogsPlugin", value: "0.31.0", says: []string{"only while logsBackend is local"}},
		{key: "grafanaLogsPlugin", value: "latest", with: map[string]string{"logsBackend": "local"}, says: []string{`"latest" is neither a version`, "or off"}},
		{key: "grafanaLogsPlugin", value: "http://mirror.example.com/plugin.zip", with: map[string]string{"logsBackend": "local"}, says: []string{"nor the https address of an archive"}},
		{key: "grafanaLogsPlugin", value: "/var/lib/grafana/plugins", with: map[string]string{"logsBackend": "local"}, says: []string{"that a volume leaves in sight"}},
	},
	"single sign-on": {
		{key: "grafanaLogin", value: "saml", says: []string{`"saml"`, "own, oidc"}},
		{key: "grafanaOidcClientId", value: "grafana", says: []string{"only while grafanaLogin is oidc"}},
		{key: "grafanaOidcAuthUrl", value: "http://login.example.com/auth", with: others(signedOn, "grafanaOidcAuthUrl"), says: []string{"is not an https address of a provider"}},
		{key: "grafanaOidcTokenUrl", value: "", with: others(signedOn, "grafanaOidcTokenUrl"), says: []string{"it is not set, and grafanaLogin is oidc", "token_endpoint"}},
		{key: "grafanaOidcClientSecret", value: "", with: others(signedOn, "grafanaOidcClientSecret"), says: []string{"it is not set, and grafanaLogin is oidc"}},
		{key: "grafanaOidcRoles", value: "$(HOSTNAME)", with: signedOn, says: []string{"it holds $"}},
		{key: "grafanaOidcCa", value: "none", with: signedOn, says: []string{"it is no certificate"}},
	},
	"logins": {
		{key: "edgeLogin", value: "oauth", says: []string{`"oauth"`, "off, basic, oidc"}},
		{key: "edgeLoginUsers", value: oneUser, says: []string{"only while edgeLogin is basic"}},
		{key: "edgeLoginUsers", value: oneUser, with: knownUsers, says: []string{"only while edgeLogin is basic"}},
		{key: "edgeOidcIssuer", value: "https://login.example.com", with: loggedIn, says: []string{"only while edgeLogin is oidc"}},
		{key: "edgeOidcIssuer", value: "http://login.example.com", with: others(knownUsers, "edgeOidcIssuer"), says: []string{"is not the https address of a provider"}},
		{key: "edgeOidcIssuer", value: "https://login.example.com/.well-known/openid-configuration", with: others(knownUsers, "edgeOidcIssuer"), says: []string{"write its issuer"}},
		{key: "edgeOidcIssuer", value: "", with: map[string]string{"edgeLogin": "oidc"}, says: []string{"edgeOidcIssuer", "edgeOidcClientId", "edgeOidcClientSecret", "it is not set, and edgeLogin is oidc"}},
		{key: "edgeOidcClientId", value: "$(HOSTNAME)", with: others(knownUsers, "edgeOidcClientId"), says: []string{"or holds a blank, a comma, a quote or $"}},
		{key: "edgeOidcGroups", value: `["a,b"]`, with: knownUsers, says: []string{`"a,b" is empty, or holds`}},
		{key: "edgeOidcCa", value: "none", with: knownUsers, says: []string{"it is no certificate"}},
		{key: "edgeOidcSessionHours", value: "0", with: knownUsers, says: []string{"1"}},
		{key: "edgeLoginUsers", value: "ada:swordfish", with: map[string]string{"edgeLogin": "basic"}, says: []string{"line 1 is no user", "htpasswd -nm"}},
		{key: "edgeLoginUsers", value: "", with: map[string]string{"edgeLogin": "basic"}, says: []string{"it is not set, and edgeLogin is basic"}},
		{key: "edgeLoginExempt", value: `["hooks"]`, with: loggedIn, says: []string{`"hooks" cannot be left without a login`}},
		{key: "edgeLoginExempt", value: `["/"]`, with: loggedIn, says: []string{`"/" cannot be left without a login`}},
		{key: "edgeLoginTokens", value: "true", says: []string{"only while edgeLogin is not off"}},
	},
	"gateways": {
		{key: "edgeGateway", value: "shared", says: []string{"only while edgeExposure is gateway"}},
		{key: "edgeGateway", value: "Shared Gateway", with: atGateway(nil), says: []string{`"Shared Gateway" cannot be an object's name`}},
		{key: "edgeGatewayNamespace", value: "a.b", with: atGateway(nil), says: []string{`"a.b" cannot be a namespace`}},
		{key: "edgeGatewayTls", value: "reencrypt", with: atGateway(nil), says: []string{`"reencrypt"`, "terminate, passthrough"}},
		{key: "edgeGatewayHttpListener", value: "web", with: atGateway(nil), says: []string{"edgeGatewayListener is not set", "set both, or none"}},
		{key: "edgeGatewayHttpListener", value: "web", with: atGateway(map[string]string{"edgeGatewayListener": "web"}), says: []string{"is edgeGatewayListener, too"}},
		{key: "edgeGatewayAuthorities", value: provided[0].chain, with: atGateway(nil), says: []string{"tlsMode is not development"}},
		{key: "edgeGatewayAuthorities", value: "none", with: atGateway(map[string]string{"tlsMode": "secret", "tlsSecret": "a"}), says: []string{"it is no certificate"}},
		{key: "edgeProxyProtocol", value: "true", with: atGateway(nil), says: []string{"speaks HTTP", "edgeTrustedProxies"}},
		{key: "edgeProxyProtocol", value: "true", with: atGateway(map[string]string{"edgeGatewayTls": "passthrough", "edgeGatewayHttpListener": "web"}), says: []string{"edgeGatewayHttpListener", "remove one of them"}},
		{key: "edgeTrafficFromEveryNode", value: "true", with: atGateway(nil), says: []string{"a Gateway connects to the pods"}},
		{key: "tlsHttp01", value: "true", with: atGateway(map[string]string{"edgeGatewayListener": "tls", "tlsMode": "certManager", "tlsIssuer": "a"}), says: []string{"challenges come by plain HTTP", "edgeGatewayHttpListener is not set"}},
		{key: "tlsHttp01", value: "true", with: atGateway(map[string]string{"edgeGatewayTls": "passthrough", "tlsMode": "certManager", "tlsIssuer": "a"}), says: []string{"edgeGatewayHttpListener is not set"}},
	},
	"scaling": {
		{key: "backendMemoryUtilization", value: "0", with: map[string]string{"backendCpuUtilization": "0"}, says: []string{"backendCpuUtilization is 0 too"}},
	},
	"own monitoring": {
		{key: "monitoringFolder", value: "/nonexistent", says: []string{`monitoringFolder: "/nonexistent": the folder cannot be read`}},
		{key: "monitoringCredentials", value: `{"GATEWAY_TOKEN":"token","EMPTY":" "}`, with: map[string]string{"monitoringFolder": customFolder, "alertReceivers": deskReceiver}, says: []string{"monitoringCredentials.EMPTY: it is empty"}},
		{key: "monitoringCredentials", value: `{"GATEWAY_TOKEN":"token"}`, with: map[string]string{"monitoringFolder": customFolder, "alertReceivers": deskReceiver, "monitoringBackend": "operator"}, says: []string{"only while monitoringFolder is set, and monitoringBackend is own"}},
	},
	"no effect": {
		{key: "logsRetention", value: "30d", with: map[string]string{"logsBackend": "otlp", "logsUrl": "https://x.example.com"}, says: []string{"only while logsBackend is local, or on a cluster elasticsearch"}},
		{key: "tlsCertificate", value: provided[0].chain, says: []string{"only while tlsMode is provided", "config rm tlsCertificate"}},
		{key: "tlsPrivateKey", value: provided[0].key, says: []string{"only while tlsMode is provided", "config rm tlsPrivateKey"}},
		{key: "edgeIngressClass", value: "nginx", says: []string{"only while edgeExposure is ingress", "config rm edgeIngressClass"}},
		{key: "engineArgs", value: `["trade"]`, with: map[string]string{"engineEnabled": "false", "tradingEnabled": "false"}, says: []string{"only while engineEnabled is true"}},
		{key: "dashboardImage", value: "docker.io/alphapulse/dashboard:1.0.0", with: map[string]string{"dashboardEnabled": "false"}, says: []string{"only while dashboardEnabled is true"}},
		{key: "dashboardArgs", value: `["show"]`, with: map[string]string{"dashboardEnabled": "false"}, says: []string{"only while dashboardEnabled is true"}},
	},
}

// TestMistakesAreRefused before anything is registered, whichever target has the
// setting, and no message repeats a secret.
func TestMistakesAreRefused(t *testing.T) {
	for kind, list := range mistakes {
		for i, m := range list {
			for _, stack := range []string{"prod", "single"} {
				t.Run(fmt.Sprintf("%s/%d %s/%s", kind, i, m.key, stack), func(t *testing.T) {
					config, err := recorder.StackConfig(stack)
					require.NoError(t, err)
					maps.Copy(config, m.with)
					config[m.key] = m.value
					secret := stored(config)
					if m.key == "kubeconfig" && !m.plain {
						secret = append(secret, m.key)
					}
					r, err := recorder.Run(recorder.Options{Stack: stack, Config: config, SecretKeys: secret})
					require.Error(t, err)
					assert.Empty(t, r.Resources)
					if strings.Contains(err.Error(), m.key+": it has no meaning with target") {
						return // it is refused whatever its value
					}
					assert.Contains(t, err.Error(), "\n"+m.key)
					for _, want := range m.says {
						assert.Contains(t, err.Error(), want)
					}
					assert.NotContains(t, err.Error(), "hunter2")
					for _, s := range stacks.Settings() {
						if s.Key == m.key && s.Secret && len(m.value) > 12 {
							assert.NotContains(t, err.Error(), m.value)
						}
					}
				})
			}
		}
	}
}

// TestNearMistakesAreAccepted: what only looks like one.
func TestNearMistakesAreAccepted(t *testing.T) {
	for _, c := range []map[string]string{
		{"backendResources": `{"limits":{"memory":"1500M","cpu":"1500m"},"requests":{"memory":"0.5Gi"}}`},
		{"databaseImage": "timescale/timescaledb-ha:pg17.5-ts2.20-all"},
		{"databaseImage": "registry.example.com/team/timescale:2024-06"},
		{"edgeImage": "nginxinc/nginx-unprivileged:1.28-alpine-slim"},
		{"edgeImage": "nginxinc/nginx-unprivileged:stable"},
		{"edgeImage": "nginxinc/nginx-unprivileged:1-alpine"},
		{"edgeTrustedProxies": `["::ffff:10.0.0.0/104"]`},
		{"edgeImage": "registry.example.com/team/edge:1.0.0"},
		{"cacheImage": "redis:7.4.1-bookworm"},
		{"cacheImage": "redis@sha256:" + strings.Repeat("0", 64)},
		{"imagePullCredentials": `{"auths":{"ghcr.io":{"auth":"dXNlcjpwdw=="},"quay.io":{"username":"u","password":"p"},"acme.azurecr.io":{"identitytoken":"t"}},"HttpHeaders":{}}`},
		{"alertWebhookUrl": "https://slack.com.example.com/hook", "heartbeatWebhookUrl": "https://hc-ping.com/uuid"},
		{"remoteWriteUrl": "https://metrics.example.com/write?tenant=a&keys=2"},
		{"alertReceivers": `{"mail":{"email":{"smarthost":"smtp.example.com:587","from":"a@example.com","to":["b@example.com"]}}}`},
		{"domain": "10-0-0-1.example.com"},
		{"tradingAlertLimits": `{"routine":["(","a|b","$job","x.y","q\"","back\\slash","%d"]}`},
		{"alertOwners": `{"database":"dba's \"team\" (EU)"}`},
		{"remoteWriteUrl": "https://metrics.example.com/write", "remoteWriteUsername": "jürgen@example.com", "remoteWriteCredential": "schlüssel: x"},
		{"alertReceivers": `{"hook":{"webhook":{},"credential":"https://hooks.example.com/secret","owners":["desk","platform"],"workloads":["backend","backend-engine","database","edge","monitoring-prometheus"]}}`,
			"alertOwners": `{"trading":"desk"}`, "monitoringBackend": "own"},
		{"domain": "4th.example.co2"},
		{"edgeTrustedProxies": `["10.0.0.0/8","fc00::/7"]`},
		{"backendEnv": `{"LOG_LEVEL":"info","API_PORTS":"1"}`},
		{"tlsMode": "provided", "tlsCertificate": provided[0].chain, "tlsPrivateKey": provided[0].key},
	} {
		for _, stack := range []string{"prod", "single"} {
			run(t, stack, c)
		}
	}
	run(t, "prod", map[string]string{"backendMemoryUtilization": "0"})
	run(t, "prod", map[string]string{"kubeconfig": "/etc/kubernetes/admin.conf"})
}

// How long an Elasticsearch keeps log lines is told to it on a cluster alone.
func TestRetentionOfAnElasticsearch(t *testing.T) {
	for stack, says := range map[string]string{"prod": "", "single": "logsRetention: it has an effect only while logsBackend is local, or on a cluster elasticsearch"} {
		config, err := recorder.StackConfig(stack)
		require.NoError(t, err)
		maps.Copy(config, map[string]string{"logsBackend": "elasticsearch", "logsUrl": "https://es.example.com", "logsRetention": "30d"})
		_, err = stacks.Parse(stack, config, nil, stacks.Previous{})
		if says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, says)
	}
}

// warned is what the stack prod warns of with these settings.
func warned(t *testing.T, with map[string]string) string {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, with)
	s, err := stacks.Parse("prod", config, stored(with), stacks.Previous{})
	require.NoError(t, err)
	return strings.Join(s.Warnings, "\n")
}

// What is decided about traces that the edge has left out already, and a volume that is taken
// at once, are no mistakes, and nobody wants them.
func TestTracesThatAreKeptBadlyAreWarnedOf(t *testing.T) {
	traced := map[string]string{"tracesBackend": "local", "edgeTraceSampling": "0.5", "tracesTailSampling": "0.1", "tracesStorage": "1Gi"}
	assert.Contains(t, warned(t, traced), "tracesStorage: Jaeger's store takes 2 GiB of 1Gi at once")
	assert.Contains(t, warned(t, traced), "tracesTailSampling: edgeTraceSampling is 0.5")
	traced["edgeTraceSampling"], traced["tracesStorage"] = "1", "4Gi"
	assert.Empty(t, warned(t, traced))
}

// TestWhatLooksLikeASecretIsNamed, and where it belongs; nothing is refused.
func TestWhatLooksLikeASecretIsNamed(t *testing.T) {
	warnings := func(with map[string]string) string { return warned(t, with) }
	assert.Empty(t, warnings(nil))
	assert.Empty(t, warnings(map[string]string{
		"backendEnv":  `{"LOG_LEVEL":"info","TOKEN_TTL":"300","SECRET":"","USE_TOKEN":"true","PUBLIC_URL":"https://example.com/a@b","KEY":"x"}`,
		"backendArgs": `["api","--token-file=/x","--verbose"]`,
	}))
	for variable, value := range map[string]string{
		"BINANCE_API_KEY": "x1", "PGPASSWORD": "x1", "dbPassword": "x1", "DB_PASS": "x1", "SMTP_PWD": "x1", "GITHUB_PAT": "x1", "BASIC_AUTH": "x:y", "apiKey": "x1",
		"STRIPE": "sk_live_abcdefghij0123456789", "LOGIN": "ghp_abcdefghij0123456789", "SIGNED": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "CERT": "-----BEGIN PRIVATE KEY-----",
		"CONNECTION": "Server=x;User Id=a;Password=hunter2;", "CHAT": "https://hooks.slack.com/services/T0/B0/x", "SLACK_WEBHOOK_URL": "https://chat.example.com/x",
		"SMTP_PASSWORD": "x1", "github_token": "x1", "AWS_SECRET_ACCESS_KEY": "x1", "SENTRY_DSN": "x1",
		"BROKER_URL": "amqp://user:hunter2@mq.example.com", "OIDC_CLIENT_SECRET": "x1",
	} {
		found := warnings(map[string]string{"backendEnv": fmt.Sprintf(`{%q:%q}`, variable, value)})
		assert.Contains(t, found, "backendEnv."+variable+": it looks like a secret")
		assert.Contains(t, found, "--secret --path backendSecretEnv."+variable)
		assert.NotContains(t, found, "hunter2")
	}
	assert.Contains(t, warnings(map[string]string{"frontendEnv": `{"MAP_API_KEY":"x1"}`}), "frontendEnv.MAP_API_KEY: it looks like a secret")
	assert.Contains(t, warnings(map[string]string{"backendArgs": `["api","--api-key=hunter2"]`}), "backendArgs: argument 2 looks like it holds a secret")
	assert.NotContains(t, warnings(map[string]string{"backendArgs": `["api","--api-key=hunter2"]`}), "hunter2")
	assert.Contains(t, warnings(map[string]string{"backendArgs": `["api","--password","hunter2"]`}), "backendArgs: argument 3 looks like")
	assert.Contains(t, warnings(map[string]string{"backendCommand": `["sh","-c","export PASSWORD=hunter2; run"]`}), "backendCommand: argument 3 looks like")
	assert.Contains(t, warnings(map[string]string{"edgeImage": "nginxinc/nginx-unprivileged:1"}), "does not tell which nginx it has")
	assert.Contains(t, warnings(map[string]string{"edgeImage": "registry.example.com/team/edge:1.0.0"}), "does not tell which nginx it has: nginx 1.28 or later is needed")
	assert.Contains(t, warnings(map[string]string{"databaseImage": "registry.example.com/team/db:5"}), "PostgreSQL 17 is needed")
}

// TestEveryVariableThatASettingDecides is the program's, and its setting exists.
func TestEveryVariableThatASettingDecides(t *testing.T) {
	keys := map[string]bool{}
	for _, s := range stacks.Settings() {
		keys[s.Key] = true
	}
	for name := range (backend.Settings{}).Environment() {
		config, err := recorder.StackConfig("prod")
		require.NoError(t, err)
		config["backendEnv"] = fmt.Sprintf(`{%q:"x"}`, name)
		_, err = stacks.Parse("prod", config, nil, stacks.Previous{})
		require.ErrorContains(t, err, "backendEnv."+name+": the program sets this variable")
		_, setting, _ := strings.Cut(err.Error(), ", from ")
		setting, _, _ = strings.Cut(setting, ":")
		assert.True(t, keys[setting], "%s follows from %q, which is no setting", name, setting)
	}
}
