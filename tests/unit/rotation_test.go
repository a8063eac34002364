package unit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// rotations is what prod is after an update that left these words, with the user's.
func rotations(t *testing.T, rotate string, left map[string]any) (*recorder.Recording, []recorder.Object) {
	t.Helper()
	before := map[string]any{"databaseGeneration": 1.0, "volumes": map[string]any{"data-database-g1-0": "100Gi"}}
	if left != nil {
		before["rotations"] = left
	}
	with := map[string]string{}
	if rotate != "" {
		with["rotate"] = rotate
	}
	return restored(t, with, before)
}

func twoWords(now, before string) map[string]any { return map[string]any{"now": now, "before": before} }

// values are the generated credentials, by name.
func values(r *recorder.Recording) map[string]bool {
	all := map[string]bool{}
	for _, res := range r.Resources {
		if strings.HasSuffix(res.Type, ":RandomPassword") && strings.HasPrefix(res.Name, "credentials-") {
			all[strings.TrimPrefix(res.Name, "credentials-")] = true
		}
	}
	return all
}

// passwords is how many passwords the cache's default user has.
func passwords(t *testing.T, objects []recorder.Object) int {
	t.Helper()
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		for line := range strings.Lines(s.StringData["users.acl"]) {
			if strings.HasPrefix(line, "user default ") {
				return strings.Count(line, "#")
			}
		}
	}
	t.Fatal("no ACL")
	return 0
}

// environmentOf finds a variable of the API.
func environmentOf(objects []recorder.Object, name string) string {
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		if v, ok := s.StringData[name]; ok {
			return v
		}
	}
	return ""
}

func declaredLogins(t *testing.T, objects []recorder.Object) (declared, used string) {
	t.Helper()
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		if raw := s.StringData["roles.json"]; raw != "" {
			var d struct{ Logins []struct{ Name, Kind string } }
			require.NoError(t, json.Unmarshal([]byte(raw), &d))
			for _, l := range d.Logins {
				if l.Kind == "application" {
					declared = l.Name
				}
			}
		}
	}
	for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
		if m.Name == "database-logins" {
			used, _, _ = strings.Cut(m.Data["logins"], "\n")
		}
	}
	return declared, used
}

const all = `{"database":"2027-01","cache":"2027-01","jwt":"2027-01","grafana":"2027-01","prometheus":"2027-01"}`

// A word makes another value of each credential, and what its clients have had is accepted
// until they have been told.
func TestRotation(t *testing.T) {
	first, objects := rotations(t, "", nil)
	assert.Equal(t, 1, passwords(t, objects))
	assert.Empty(t, environmentOf(objects, "JWT_SECRET_KEY_PREVIOUS"))
	declared, used := declaredLogins(t, objects)
	assert.Equal(t, [2]string{"alphapulse_user", "alphapulse_user"}, [2]string{declared, used})
	was := environmentOf(objects, "JWT_SECRET_KEY")

	second, objects := rotations(t, all, nil)
	for _, of := range []string{"database-application", "cache-application", "jwt-secret", "grafana-admin", "prometheus-admin"} {
		assert.True(t, values(second)[of+"-2027-01"], "%s has no other value", of)
		assert.True(t, values(second)[of], "the first value of %s is deleted, which a protected stack refuses", of)
	}
	assert.Equal(t, 2, passwords(t, objects), "clients that have not been told yet are refused")
	assert.Equal(t, was, environmentOf(objects, "JWT_SECRET_KEY_PREVIOUS"), "sessions end")
	assert.NotEqual(t, was, environmentOf(objects, "JWT_SECRET_KEY"))
	declared, used = declaredLogins(t, objects)
	assert.Equal(t, [2]string{"alphapulse_user_2027_01", "alphapulse_user_2027_01"}, [2]string{declared, used})
	assert.Contains(t, environmentOf(objects, "DATABASE_URL"), "//alphapulse_user_2027_01:")
	for _, output := range []string{"databasePassword", "cachePassword", "grafanaPassword", "prometheusPassword"} {
		assert.NotEqual(t, first.Secrets[output], second.Secrets[output], output)
	}
	left := second.Outputs["rotations"].(map[string]map[string]string)
	assert.Equal(t, map[string]string{"now": "2027-01", "before": ""}, left["jwt"])

	// The next update: the cache forgets the former password, sessions go on.
	kept := map[string]any{}
	for credential, w := range left {
		kept[credential] = twoWords(w["now"], w["before"])
	}
	_, objects = rotations(t, all, kept)
	assert.Equal(t, 1, passwords(t, objects), "the former password opens the cache for ever")
	assert.Equal(t, was, environmentOf(objects, "JWT_SECRET_KEY_PREVIOUS"))

	// The next word: nothing of the first value is accepted any more.
	third, objects := rotations(t, strings.ReplaceAll(all, "2027-01", "2027-02"), kept)
	assert.True(t, values(third)["cache-application-2027-01"], "what clients have is gone before they are told")
	assert.False(t, values(third)["database-application-2027-01"])
	assert.NotEqual(t, was, environmentOf(objects, "JWT_SECRET_KEY_PREVIOUS"))
	assert.Equal(t, 2, passwords(t, objects))
}

// A stack that begins with a word has nothing to accept beside.
func TestFirstUpdateWithAWord(t *testing.T) {
	r, err := recorder.Stack("dev", map[string]string{"rotate": all})
	require.NoError(t, err)
	objects, err := r.Objects()
	require.NoError(t, err)
	assert.Equal(t, 1, passwords(t, objects))
	assert.Empty(t, environmentOf(objects, "JWT_SECRET_KEY_PREVIOUS"))
}

func TestWordsThatAreRefused(t *testing.T) {
	for rotate, says := range map[string]string{
		`{"database":"2027 01"}`:               `rotate: database: "2027 01" is no word`,
		`{"database":""}`:                      `is no word`,
		`{"database":"-a"}`:                    `is no word`,
		`{"database":"A"}`:                     `is no word`,
		`{"database":"123456789012345678901"}`: `is no word`,
		`{"database":2027}`:                    `it is not an object of words`,
		`["database"]`:                         `it is not an object of words`,
		`{"databse":"a","cachePassword":"b"}`:  `rotate: databse: there is no such credential: choose from cache, database, grafana, jwt, prometheus`,
	} {
		assert.Contains(t, refused(t, recorder.Options{Config: map[string]string{"rotate": rotate}}), says, rotate)
	}
	message := refused(t, recorder.Options{Config: map[string]string{"rotate": `{"cache":"2027-01"}`}, Previous: map[string]any{
		"namespace": "alphapulse-prod", "databaseGeneration": 1.0, "volumes": map[string]any{"data-database-g1-0": "100Gi"},
		"rotations": map[string]any{"database": twoWords("2026-12", ""), "cache": twoWords("2027-01", "")}}})
	assert.Contains(t, message, `rotate.database: it is not set, and the present value is that of "2026-12"`)
	assert.NotContains(t, message, "rotate.cache")
}

// The digest in the ACL is that of the password that clients are told.
func TestCacheAcceptsWhatItsClientsHave(t *testing.T) {
	r, objects := rotations(t, all, nil)
	sum := sha256.Sum256([]byte(r.Secrets["cachePassword"].(string)))
	found := false
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		found = found || strings.Contains(s.StringData["users.acl"], "#"+hex.EncodeToString(sum[:]))
	}
	assert.True(t, found)
}
