package stacks

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/backend"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// decides is the setting that a variable of the application follows from, where there
// is one.
var decides = map[string]string{
	"API_HOST": "listenAddress", "DASHBOARD_HOST": "listenAddress",
	"API_PORT": "backendPort", "DASHBOARD_PORT": "dashboardPort", "METRICS_PORT": "metricsPort",
	"DEBUG": "debug", "PROMETHEUS_ENABLED": "backendMetricsPath",
	"MAX_SYMBOLS": "maxSymbols", "MAX_PORTFOLIO_RISK": "maxPortfolioRisk", "CACHE_TTL": "cacheTtlSeconds",
	"WORKER_THREADS": "workerThreads", "MAX_CONNECTIONS": "maxConnections", "REQUEST_TIMEOUT": "requestTimeoutSeconds",
	"STRESS_TEST_ENABLED": "stressTestEnabled", "COMPLIANCE_REPORTING": "complianceReporting",
	"TRADING_ENABLED": "tradingEnabled", "PAPER_TRADING": "paperTrading",
	"DB_SSLMODE": "wireEncryption", "TIMESCALEDB_SSLMODE": "wireEncryption", "PGSSLMODE": "wireEncryption", "REDIS_TLS": "wireEncryption",
}

// ownVariable is for settings.Each: a variable of the application that the user names.
func ownVariable(name string) error {
	if !slices.Contains(backend.ProgramVariables(), name) {
		return nil
	}
	if setting, ok := decides[name]; ok {
		return fmt.Errorf("the program sets this variable, from %s: set that and remove this one", setting)
	}
	return fmt.Errorf("the program sets this variable itself: remove it")
}

// pageVariable is for settings.Each: a variable of the user interface.
func pageVariable(name string) error {
	switch name {
	case "PORT", "DASHBOARD_URL", "GRAFANA_URL":
		return fmt.Errorf("the program sets this variable itself, addresses from domain and edgePublicPort: remove it")
	}
	return nil
}

// What looks like a credential: a variable by its name, an address by a password in it,
// and an argument by both.
var (
	secretName = regexp.MustCompile(`(?i)((^|_)(pass|pwd|pat|jwt|dsn|basic_auth)|password|passwd|passphrase|secret|token|(api|access|private|secret|signing|session|encryption|license)_?key|credentials?|webhook_?url)$`)
	// secretValue are keys that their issuers mark as such, and passwords within texts.
	secretValue    = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----|^(sk|rk)_(live|test)_|^gh[oprsu]_|^github_pat_|^glpat-|^xox[abeprs]-|^eyJ[\w-]+\.eyJ|^AIza[\w-]{30}|^SG\.[\w-]{20}|(?i)(password|pwd|secret)=[^;\s]+|://hooks\.slack\.com/services/.`)
	secretAddress  = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@]+@`)
	secretArgument = regexp.MustCompile(`(?i)^--?[a-z0-9-]*(password|passwd|passphrase|secret|token|api-?key|credentials?)=.`)
	switched       = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|[0-9]*)$`)
)

// warnOfSecrets names what looks like a credential among the plain variables of key;
// remedy says where it belongs, for a variable's name.
func warnOfSecrets(p *settings.Problems, key string, variables map[string]string, remedy func(name string) string) {
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		v := variables[name]
		if secretName.MatchString(name) && !switched.MatchString(v) || secretAddress.MatchString(v) || secretValue.MatchString(v) {
			p.Warn(key+"."+name, "it looks like a secret and stands in plain text in the stack's file, in its state and in the pods: %s", remedy(name))
		}
	}
}

// toSecretEnv is the remedy for a variable of the application.
func toSecretEnv(name string) string {
	return fmt.Sprintf("`pulumi config rm --path backendEnv.%[1]s`, `pulumi config set --secret --path backendSecretEnv.%[1]s`, and renew it", name)
}

// warnOfArguments names credentials among the arguments of a process, which everybody
// on its machine can read.
func warnOfArguments(p *settings.Problems, key string, arguments []string) {
	for i, a := range arguments {
		// A flag and its value may be two arguments.
		value := i > 0 && secretArgument.MatchString(arguments[i-1]+"="+a) && !strings.HasPrefix(a, "-")
		if value || secretArgument.MatchString(a) || secretAddress.MatchString(a) || secretValue.MatchString(a) {
			p.Warn(key, "argument %d looks like it holds a secret, which everybody sees who may list processes or pods: pass it in backendSecretEnv", i+1)
		}
	}
}
