package unit

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
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
		`{"databse":"a","cachePassword":"b"}`:  `rotate: databse: there is no such credential: choose from authority, cache, database, databaseInternal, grafana, jwt, prometheus`,
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

// internalRotation is an update of prod that changes what the database's parts know each
// other by.
func internalRotation(t *testing.T, rotate string, left map[string]any) (*recorder.Recording, []recorder.Object) {
	t.Helper()
	if left == nil {
		left = twoWords("", "")
	}
	return rotations(t, rotate, map[string]any{"databaseInternal": left})
}

// kinds are the declared logins by kind, and what the poolers' control knows.
func kinds(t *testing.T, objects []recorder.Object) (logins map[string]map[string]string, control map[string]string) {
	t.Helper()
	logins = map[string]map[string]string{}
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		if raw := s.StringData["roles.json"]; raw != "" {
			var d struct{ Logins []map[string]string }
			require.NoError(t, json.Unmarshal([]byte(raw), &d))
			for _, l := range d.Logins {
				logins[l["kind"]] = l
			}
		}
		if strings.HasPrefix(s.Name, "database-pooler-control-") {
			control = s.StringData
		}
	}
	return logins, control
}

// secretFile is a file of a Secret or a ConfigMap, by what its name begins with.
func secretFile(t *testing.T, objects []recorder.Object, name, key string) string {
	t.Helper()
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		if strings.HasPrefix(s.Name, name) && s.StringData[key] != "" {
			return s.StringData[key]
		}
	}
	for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
		if strings.HasPrefix(m.Name, name) && m.Data[key] != "" {
			return m.Data[key]
		}
	}
	t.Fatalf("no %s in %s…", key, name)
	return ""
}

// What the database's parts log in as is made anew, poolers first: they wait until the
// primary has it, and they obey members that have not been told yet.
func TestRotationOfTheDatabasesOwn(t *testing.T) {
	const word = `{"databaseInternal":"2027-01"}`
	roles := map[string]string{"monitoring": "alphapulse_monitor", "pooling": "alphapulse_pooler", "replication": "alphapulse_replicator", "rewinding": "alphapulse_rewinder"}
	first, objects := internalRotation(t, "", nil)
	logins, control := kinds(t, objects)
	for kind, role := range roles {
		assert.Equal(t, role, logins[kind]["name"])
		assert.Empty(t, logins[kind]["group"])
	}
	assert.Nil(t, control, "poolers of a stack that rotates nothing wait for nothing")
	assert.Equal(t, map[string]string{"now": "", "before": ""}, first.Outputs["rotations"].(map[string]map[string]string)["databaseInternal"],
		"the next update does not know that the members admit other logins")
	rules := func(objects []recorder.Object) string {
		_, after, found := strings.Cut(secretFile(t, objects, "database-patroni-", "patroni.yml"), "pg_hba:")
		require.True(t, found)
		rules, _, _ := strings.Cut(after, "use_unix_socket")
		return rules
	}
	was, formerControl := rules(objects), secretFile(t, objects, "database-control-", "CONTROL_PASSWORD")

	second, objects := internalRotation(t, word, nil)
	logins, control = kinds(t, objects)
	for kind, role := range roles {
		assert.Equal(t, role+"_2027_01", logins[kind]["name"])
		assert.Equal(t, role, logins[kind]["group"], "the rules of access do not know it")
	}
	assert.Equal(t, was, rules(objects), "another rule restarts servers")
	patroni := secretFile(t, objects, "database-patroni-", "patroni.yml")
	assert.Contains(t, patroni, "username: alphapulse_replicator_2027_01")
	assert.Contains(t, patroni, "username: alphapulse_rewinder_2027_01")
	assert.Contains(t, secretFile(t, objects, "database-pooler-config-", "pgbouncer.ini"), "auth_user = alphapulse_pooler_2027_01\n")
	assert.Contains(t, secretFile(t, objects, "database-pooler-config-", "userlist.txt"), `"alphapulse_pooler_2027_01" "`+control["POOLING_PASSWORD"]+`"`)
	assert.Equal(t, formerControl, control["CONTROL_FORMER_PASSWORD"], "a member that has not been told yet hands over unheard")
	assert.Equal(t, secretFile(t, objects, "database-credentials-", "PATRONI_RESTAPI_PASSWORD"), control["CONTROL_PASSWORD"])
	assert.NotEqual(t, formerControl, control["CONTROL_PASSWORD"])
	for _, of := range []string{"monitoring", "pooling", "replication", "rewind", "control"} {
		assert.True(t, values(second)["database-"+of+"-2027-01"], "%s has no other value", of)
	}
	pods, members := second.Find("kubernetes:apps/v1:Deployment", "database-pooler"), second.Find("kubernetes:apps/v1:StatefulSet", "database-g1")
	require.Len(t, pods, 1)
	require.Len(t, members, 1)
	assert.Contains(t, members[0].RPC.GetDependencies(), urn(pods[0]), "members start anew before the primary has their logins")
	raw, err := json.Marshal(recorder.Plain(pods[0].Inputs))
	require.NoError(t, err)
	assert.Contains(t, string(raw), `"startupProbe":{"failureThreshold":150,"httpGet":{"path":"/started","port":"control"}`, "poolers take clients before their login works")
	used := second.Find("kubernetes:core/v1:ConfigMap", "database-logins")
	require.Len(t, used, 1)
	readers := append(pods, members...)
	for _, name := range []string{"backend", "backend-engine"} {
		found := second.Find("kubernetes:apps/v1:Deployment", name)
		require.Len(t, found, 1, name)
		readers = append(readers, found...)
	}
	for _, r := range readers {
		assert.Contains(t, used[0].RPC.GetDependencies(), urn(r), "the former logins are refused while %s uses them", r.Name)
	}
	for _, d := range used[0].RPC.GetDependencies() {
		assert.NotContains(t, d, "backup", "backups wait for the database, which waits for this: none would ever be made")
	}

	// The next update: poolers forget the former password, and members stay.
	third, later := internalRotation(t, word, twoWords("2027-01", ""))
	_, control = kinds(t, later)
	assert.NotEmpty(t, control["CONTROL_PASSWORD"])
	assert.Empty(t, control["CONTROL_FORMER_PASSWORD"])
	template := func(r *recorder.Recording) any {
		return recorder.Plain(r.Find("kubernetes:apps/v1:StatefulSet", "database-g1")[0].Inputs)["spec"].(map[string]any)["template"]
	}
	assert.Equal(t, template(second), template(third), "members start anew")
}

// Members of a release before admit the first logins only: with others they would wait for
// each other.
func TestADatabaseThatAdmitsNoOtherLoginsIsNotRotated(t *testing.T) {
	before := map[string]any{"namespace": "alphapulse-prod", "databaseGeneration": 1.0, "volumes": map[string]any{"data-database-g1-0": "100Gi"},
		"rotations": map[string]any{"cache": twoWords("2027-01", "")}}
	message := refused(t, recorder.Options{Config: map[string]string{"rotate": `{"cache":"2027-01","databaseInternal":"2027-01"}`}, Previous: before})
	assert.Contains(t, message, `rotate.databaseInternal: "2027-01": the members run a release that admits no other roles than the first ones: remove it, run `+"`pulumi up`, and set it again")
	assert.NotContains(t, message, "rotate.cache")

	// A new stack may begin with a word.
	r, err := recorder.Stack("dev", map[string]string{"rotate": `{"databaseInternal":"2027-01"}`})
	require.NoError(t, err)
	objects, err := r.Objects()
	require.NoError(t, err)
	logins, control := kinds(t, objects)
	assert.Equal(t, "alphapulse_replicator_2027_01", logins["replication"]["name"])
	assert.Empty(t, control["CONTROL_FORMER_PASSWORD"])
	set := r.Find("kubernetes:apps/v1:StatefulSet", "database-g1")
	require.Len(t, set, 1)
	assert.NotContains(t, set[0].RPC.GetDependencies(), urn(r.Find("kubernetes:apps/v1:Deployment", "database-pooler")[0]), "both wait for each other")
}

// certified are what has a certificate of the stack's own CA: its leaf and key, none of a
// client's, and the roots that it trusts, by the Secret's name without its digest.
type certified struct {
	leaf  *x509.Certificate
	key   string
	roots []*x509.Certificate
}

func certificates(t *testing.T, objects []recorder.Object) map[string]certified {
	t.Helper()
	parse := func(text string) (all []*x509.Certificate) {
		for rest := []byte(text); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				return all
			}
			c, err := x509.ParseCertificate(block.Bytes)
			require.NoError(t, err)
			all = append(all, c)
		}
	}
	found := map[string]certified{}
	for _, s := range recorder.Of[*corev1.Secret](objects) {
		if s.StringData["ca.crt"] == "" {
			continue
		}
		c := certified{nil, s.StringData["tls.key"], parse(s.StringData["ca.crt"])}
		if s.StringData["tls.crt"] != "" {
			c.leaf = parse(s.StringData["tls.crt"])[0]
		}
		found[s.Name[:strings.LastIndex(s.Name, "-")]] = c
	}
	for _, want := range []string{"database-tls", "database-pooler-tls", "cache-tls", "backend-authority", "backend-engine-authority", "backend-dashboard-authority"} {
		require.Contains(t, found, want)
	}
	return found
}

// trusts reports whether all of one update trust all of another.
func trusts(t *testing.T, who, whom map[string]certified) bool {
	t.Helper()
	for _, one := range who {
		pool := x509.NewCertPool()
		for _, root := range one.roots {
			pool.AddCert(root)
		}
		for _, other := range whom {
			if other.leaf == nil {
				continue
			}
			if _, err := other.leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				return false
			}
		}
	}
	return true
}

// A rotation of the CA switches to one that everybody trusts already: those who have
// started anew and those who have not know each other in every update.
func TestRotationOfTheAuthority(t *testing.T) {
	const one, two = `{"authority":"2027-01"}`, `{"authority":"2027-02"}`
	update := func(rotate string, left map[string]any) (*recorder.Recording, map[string]certified, map[string]any) {
		t.Helper()
		if left != nil {
			left = map[string]any{"authority": left}
		}
		r, objects := rotations(t, rotate, left)
		next := map[string]any{}
		for k, v := range r.Outputs["rotations"].(map[string]map[string]string)["authority"] {
			next[k] = v
		}
		return r, certificates(t, objects), next
	}
	first, before, left := update("", nil)
	assert.True(t, values(first)["authority-seed"])
	second, rotating, rotated := update(one, left)
	assert.True(t, values(second)["authority-seed"], "the first seed is deleted, which a protected stack refuses")
	_, after, _ := update(one, rotated)
	_, again, twice := update(two, rotated)
	for what, pair := range map[string][2]map[string]certified{
		"the first update": {before, before}, "the rotation": {before, rotating}, "the update after": {rotating, after}, "the next rotation": {after, again},
	} {
		assert.True(t, trusts(t, pair[0], pair[1]), "%s: who has not been told refuses who has", what)
		assert.True(t, trusts(t, pair[1], pair[0]), "%s: who has been told refuses who has not", what)
	}
	assert.False(t, trusts(t, after, before), "the former CA is trusted for ever")
	assert.False(t, trusts(t, again, before))
	assert.Equal(t, "2", twice["number"])
	for name, was := range before {
		if was.leaf != nil {
			assert.NotEqual(t, was.key, rotating[name].key, "%s has the key that it had", name)
			assert.Equal(t, rotating[name].leaf.Raw, after[name].leaf.Raw, "%s has another certificate", name)
		}
		assert.Len(t, was.roots, 2)
		assert.Len(t, rotating[name].roots, 3)
		assert.Len(t, after[name].roots, 2)
	}
	// An interrupted rotation leaves what it found, and another word goes on with the same.
	_, resumed, _ := update(two, left)
	assert.Equal(t, rotating["database-tls"].leaf.Raw, resumed["database-tls"].leaf.Raw)
}

// What a release before has left trusts no other CA: its certificates are not changed in
// the update that spreads it.
func TestAnAuthorityThatNobodyTrustsYetIsNotUsed(t *testing.T) {
	before := map[string]any{"namespace": "alphapulse-prod", "databaseGeneration": 1.0, "volumes": map[string]any{"data-database-g1-0": "100Gi"}}
	message := refused(t, recorder.Options{Config: map[string]string{"rotate": `{"authority":"2027-01"}`}, Previous: before})
	assert.Contains(t, message, `rotate.authority: "2027-01": what checks certificates does not trust the next CA yet: remove it, run `+"`pulumi up`, and set it again")
	before["rotations"] = map[string]any{"authority": map[string]any{"now": "2027-01", "before": "", "number": "1"}}
	assert.Contains(t, refused(t, recorder.Options{Config: map[string]string{"rotate": `{"cache":"a"}`}, Previous: before}),
		`rotate.authority: it is not set, and the present value is that of "2027-01"`)
}
