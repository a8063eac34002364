package tables

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/components/cache"
	"github.com/alphapulse/alphapulse-infra/components/database"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestTheKubeconfigIsASecret of the state, as is whatever else opens something: it is
// looked for in the inputs of every resource, the providers' among them.
func TestTheKubeconfigIsASecret(t *testing.T) {
	const mark = "nobody-may-read-this"
	config := map[string]string{
		"kubeconfig":           "apiVersion: v1\nkind: Config\n# " + mark,
		"backendSecretEnv":     `{"BINANCE_API_KEY":"` + mark + `"}`,
		"imagePullCredentials": `{"auths":{"registry.example.com":{"username":"u","password":"` + mark + `"}}}`,
		"alertWebhookUrl":      "https://alerts.example.com/" + mark,
		"heartbeatWebhookUrl":  "https://alive.example.com/" + mark,
	}
	for _, stack := range []string{"dev", "single"} {
		all, err := recorder.StackConfig(stack)
		require.NoError(t, err)
		var secrets []string
		for key, value := range config {
			if stack == "single" && key == "kubeconfig" {
				continue
			}
			all[key] = value
			secrets = append(secrets, key)
		}
		r, err := recorder.Run(recorder.Options{Stack: stack, Config: all, SecretKeys: secrets})
		require.NoError(t, err)
		hidden := 0
		for _, x := range r.Resources {
			shown := fmt.Sprint(x.Inputs.MapRepl(nil, func(v resource.PropertyValue) (any, bool) {
				if v.IsSecret() {
					if strings.Contains(fmt.Sprint(v.SecretValue().Element), mark) {
						hidden++
					}
					return "a secret", true
				}
				return nil, false
			}))
			assert.NotContains(t, shown, mark, "%s: %s has it in plain text", stack, x.Label())
		}
		assert.GreaterOrEqual(t, hidden, len(secrets)-1, "%s: nothing reads them", stack)
	}
}

// TestThePasswordsOpenWhatTheyAreFor: what each server compares with is made from the
// password that its clients, or its users, are given.
func TestThePasswordsOpenWhatTheyAreFor(t *testing.T) {
	r := sorted(t, "dev")
	objects, err := r.Objects()
	require.NoError(t, err)
	file := func(secret, key string) string {
		for _, s := range recorder.Of[*corev1.Secret](objects) {
			if (s.Name == secret || strings.HasPrefix(s.Name, secret+"-")) && s.StringData[key] != "" {
				return s.StringData[key]
			}
		}
		require.Fail(t, "no file "+key+" in a Secret "+secret)
		return ""
	}
	password := func(name string) string { return recorder.Generated("credentials-" + name) }
	var declared struct {
		Logins []struct{ Name, Verifier string }
	}
	require.NoError(t, json.Unmarshal([]byte(file("database-roles", "roles.json")), &declared))
	verifiers := map[string]string{}
	for _, l := range declared.Logins {
		verifiers[l.Name] = l.Verifier
	}
	roles := map[string]string{
		database.ApplicationRole: "application", database.MonitoringRole: "monitoring", database.PoolingRole: "pooling",
		database.ReplicationRole: "replication", database.RewindRole: "rewind",
	}
	for role, of := range roles {
		want, err := database.Verifier(password("database-"+of), role+recorder.Generated("database-salt"))
		require.NoError(t, err)
		assert.Equal(t, want, verifiers[role], "role %s", role)
	}
	assert.Len(t, verifiers, len(roles), "the superuser has no password: it logs in inside the pod")
	assert.Equal(t, password("database-monitoring"), file("database-exporter", database.PasswordFile))

	acl, err := cache.RenderACL(password("cache-application"), "", password("cache-monitoring"))
	require.NoError(t, err)
	assert.Equal(t, acl, file("cache-acl", "users.acl"))
	assert.Contains(t, file("cache-exporter", "passwords.json"), password("cache-monitoring"))

	assert.Equal(t, password("grafana-admin"), file("monitoring-grafana-admin", "password"))
	line, err := nginx.PasswordLine(recorder.Generated("edge-seed"), password("prometheus-admin"))
	require.NoError(t, err)
	assert.Equal(t, line, file("edge-password", "htpasswd"))
}

// TestAHostsPasswordsOpenWhatTheyAreFor is the same for a Docker host, whose database is told
// by files of its own.
func TestAHostsPasswordsOpenWhatTheyAreFor(t *testing.T) {
	r := sorted(t, "single")
	containers, err := r.Containers()
	require.NoError(t, err)
	file := func(container, name string) string {
		for _, c := range containers {
			for _, u := range c.Uploads {
				if c.Name == "alphapulse-single-"+container+"-files" && strings.HasSuffix(u.File, "/"+name) {
					return u.Content
				}
			}
		}
		require.Fail(t, container+" has no file "+name)
		return ""
	}
	for role, name := range map[string]string{database.ApplicationRole: "application", database.MonitoringRole: "monitoring"} {
		want, err := database.Verifier(recorder.Generated("credentials-database-"+name), role+recorder.Generated("database-salt"))
		require.NoError(t, err)
		assert.Equal(t, want, file("database-reconcile", name), "role %s", role)
	}
	assert.Equal(t, recorder.Generated("credentials-database-monitoring"), file("database-exporter", database.PasswordFile))
	assert.Contains(t, file("backend", "DATABASE_URL"), ":"+recorder.Generated("credentials-database-application")+"@")
	acl, err := cache.RenderACL(recorder.Generated("credentials-cache-application"), "", recorder.Generated("credentials-cache-monitoring"))
	require.NoError(t, err)
	assert.Equal(t, acl, file("cache", "users.acl"))
}
