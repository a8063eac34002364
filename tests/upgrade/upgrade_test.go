package upgrade

import (
	"flag"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/certs"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// At each release: go test ./tests/upgrade -run TestRecordRelease -update v1.2.3
var update = flag.String("update", "", "record the stacks as they are as this release, e.g. v0.2.0")

// stackNames are the stacks whose states are recorded.
var stackNames = []string{"dev", "prod"}

// TestRecordRelease writes the files of a new release when it is asked to, and
// otherwise checks that no release lacks a stack.
func TestRecordRelease(t *testing.T) {
	if *update != "" {
		require.Regexp(t, regexp.MustCompile(`^v\d+\.\d+\.\d+$`), *update, "-update wants a release, e.g. v0.2.0")
		for _, stack := range stackNames {
			s, err := current(stack)
			require.NoError(t, err)
			require.NoError(t, s.write(*update))
		}
	}
	states, err := released()
	require.NoError(t, err)
	for _, stack := range stackNames {
		assert.Contains(t, states, "v0.1.0-"+stack)
	}
	for name := range states {
		version, _, _ := strings.Cut(name, "-")
		for _, stack := range stackNames {
			assert.Contains(t, states, version+"-"+stack)
		}
	}
}

// TestUpgradeLosesNothing: the program runs on what each release left, once with the
// configuration of that day and once with today's stack file.
func TestUpgradeLosesNothing(t *testing.T) {
	states, err := released()
	require.NoError(t, err)
	require.NotEmpty(t, states)
	for _, name := range slices.Sorted(maps.Keys(states)) {
		s := states[name]
		t.Run(name, func(t *testing.T) {
			require.Greater(t, len(s.Resources), 15, "the recorded state is incomplete")
			// Its database is a single server, which does not come over without a word.
			_, err := s.losses(nil)
			require.ErrorContains(t, err, "databaseFrom: it is not set, and the stack has a database in volume database")
			over := map[string]string{"databaseFrom": "volume"}
			if s.Stack == "prod" {
				over["databaseBackup"] = "off" // a decision that was none then
			}
			lost, err := s.losses(over)
			require.NoError(t, err, "the configuration of that release is not accepted any more")
			assert.Empty(t, lost)

			today, err := recorder.StackConfig(s.Stack)
			require.NoError(t, err)
			today["databaseFrom"] = "volume"
			lost, err = s.losses(today)
			require.NoError(t, err)
			assert.Empty(t, lost)

			// The former server is stopped, and its claim kept, until their user lets them go.
			unprotected, err := s.unprotected(over)
			require.NoError(t, err)
			if s.Stack == "prod" {
				assert.Equal(t, []string{"PersistentVolumeClaim/database", "StatefulSet/database"}, slices.Sorted(slices.Values(unprotected)))
			} else {
				assert.Empty(t, unprotected)
			}
			former, err := s.run(over)
			require.NoError(t, err)
			for _, r := range former.Resources {
				switch r.Label() {
				case "PersistentVolumeClaim/database":
					assert.True(t, r.RPC.GetRetainOnDelete(), "the former volume could be deleted")
				case "StatefulSet/database":
					assert.Equal(t, 0.0, recorder.Plain(r.Inputs)["spec"].(map[string]any)["replicas"], "the former server runs beside its copy")
				}
			}
		})
	}
}

// authority is a certificate as far as settings look.
var authority = func() string {
	p, err := certs.Internal("a seed of at least thirty-two bytes", "s3", []string{"s3"}, time.Now())
	if err != nil {
		panic(err)
	}
	return p.Root
}()

// bucket is what backups elsewhere need, and other is a restore from another's.
var (
	bucket = map[string]string{
		"databaseBackup": "s3", "databaseBackupStorage": "50Gi", "databaseBackupEndpoint": "s3.example.com", "databaseBackupBucket": "backups",
		"databaseBackupKey": "key", "databaseBackupKeySecret": "secret",
	}
	other = map[string]string{
		"databaseBackup": "volume", "databaseRestore": "latest", "databaseRestoreEndpoint": "s3.example.com", "databaseRestoreBucket": "backups",
		"databaseRestoreKey": "key", "databaseRestoreKeySecret": "secret", "databaseRestorePassphrase": "that-of-another-stack",
	}
	secrets = []string{
		"imagePullCredentials", "databaseBackupKey", "databaseBackupKeySecret", "databaseBackupPassphrase",
		"databaseRestoreKey", "databaseRestoreKeySecret", "databaseRestorePassphrase",
	}
)

// beside returns what an edit needs that is not set, or has no effect, without it.
func beside(key, value string) map[string]string {
	edit := map[string]string{}
	switch {
	case slices.Contains([]string{"Endpoint", "Bucket", "Region", "Path", "PathStyle", "Authority", "Key", "KeySecret"}, strings.TrimPrefix(key, "databaseBackup")), key == "databaseBackup" && value == "s3":
		maps.Copy(edit, bucket)
	case key == "databaseBackup" && value == "off":
		edit["databaseBackupStorage"] = "50Gi" // the default
	case key == "databaseRestore", strings.HasPrefix(key, "databaseBackup"):
		edit["databaseBackup"] = "volume"
	case strings.HasPrefix(key, "databaseRestore"):
		maps.Copy(edit, other)
	}
	switch key {
	case "protect":
		edit["databaseBackup"] = "volume" // a protected stack decides
	case "databaseStopWithoutStandby":
		edit["databaseInstances"] = "3"
	case "databaseFromImage":
		edit["databaseFrom"] = "volume"
	case "databaseDirect":
		edit["maxConnections"] = "5"
	case "cacheResources":
		edit["cacheStorage"] = "100Gi" // of which it needs more with more memory
	}
	edit[key] = value
	return edit
}

// edits change every setting of the database and the cache, and what else reaches a
// volume, in both directions where there are two.
var edits = map[string][]string{
	"databaseImage":                  {"docker.io/timescale/timescaledb-ha:pg17.11-ts2.29.0"},
	"databaseAgentImage":             {"registry.example.com/agent:0.2.0"},
	"databasePoolerImage":            {"ghcr.io/cloudnative-pg/pgbouncer:1.27.0"},
	"databaseInstances":              {"2", "1"},
	"databaseStopWithoutStandby":     {"true"},
	"databaseDirect":                 {"true"},
	"databaseFrom":                   {"volume"},
	"databaseFromImage":              {"docker.io/timescale/timescaledb:2.20.0-pg17"},
	"databaseExporterImage":          {"docker.io/prometheuscommunity/postgres-exporter:v0.20.0"},
	"databaseResources":              {`{"limits":{"cpu":"3","memory":"8Gi"}}`, `{"requests":{"cpu":"500m","memory":"1Gi"},"limits":{"cpu":"1","memory":"2Gi"}}`},
	"databaseStorage":                {"500Gi"},
	"databaseMaxConnections":         {"90", "40"},
	"databaseAliases":                {`["timescaledb","postgres"]`},
	"databaseBackup":                 {"volume", "s3", "off"},
	"databaseBackupEndpoint":         {"s3.example.org:9000"},
	"databaseBackupBucket":           {"other-backups"},
	"databaseBackupRegion":           {"eu-central-1"},
	"databaseBackupPath":             {"/elsewhere"},
	"databaseBackupPathStyle":        {"true"},
	"databaseBackupAuthority":        {authority},
	"databaseBackupKey":              {"another-key"},
	"databaseBackupKeySecret":        {"another-secret"},
	"databaseBackupPassphrase":       {"a-passphrase-of-the-users-own"},
	"databaseBackupStorage":          {"500Gi"},
	"databaseBackupImage":            {"docker.io/versity/versitygw:v1.9.0"},
	"databaseBackupFull":             {"0 1 * * 6"},
	"databaseBackupDifferential":     {"0 1 * * 0-5"},
	"databaseBackupIncremental":      {"30 * * * *"},
	"databaseBackupKeepFull":         {"4"},
	"databaseBackupKeepDifferential": {"3"},
	"databaseBackupProof":            {"0 5 * * 0"},
	"databaseBackupResources":        {`{"limits":{"memory":"2Gi"}}`},
	"databaseRestore":                {"latest", "2026-01-31T10:03:59Z", "20260131-100359F"},
	"databaseRestoreEndpoint":        {"s3.example.org"},
	"databaseRestoreBucket":          {"other-backups"},
	"databaseRestoreRegion":          {"eu-central-1"},
	"databaseRestorePath":            {"/alphapulse/older"},
	"databaseRestorePathStyle":       {"true"},
	"databaseRestoreAuthority":       {authority},
	"databaseRestoreKey":             {"another-key"},
	"databaseRestoreKeySecret":       {"another-secret"},
	"databaseRestorePassphrase":      {"that-of-the-other-stack"},
	"databaseDeleteVolumes":          {`["data-database-g7-0"]`}, // there is none
	"cacheImage":                     {"docker.io/library/redis:8.2.0"},
	"cacheExporterImage":             {"docker.io/oliver006/redis_exporter:v2.0.0"},
	"databaseAlertLimits":            {`{"connections":0.7,"lagSeconds":5}`},
	"edgeAlertLimits":                {`{"limited":0.2}`},
	"cacheAlertLimits":               {`{"hitRatio":0.9}`},
	"kubeletMetrics":                 {"true"},
	"cacheResources":                 {`{"limits":{"memory":"3Gi"}}`, `{"requests":{"memory":"128Mi"},"limits":{"memory":"256Mi"}}`},
	"databasePlacement":              {`{"nodeSelector":{"pool":"data"},"tolerations":[{"key":"data","operator":"Exists"}]}`},
	"cachePlacement":                 {`{"nodeSelector":{"pool":"data"}}`},
	"assignUserIds":                  {"false"},
	"cachePolicy":                    {"noeviction"},
	"cacheStorage":                   {"200Gi"},
	"cacheAliases":                   {`["redis"]`},
	"wireEncryption":                 {"off", "preferred", "required"},
	"wireEncryptionExcept":           {`["api","engine"]`},
	"cacheTtlSeconds":                {"60"},
	"storageClass":                   {"fast"},
	"protect":                        {"false", "true"},
	"imagePullCredentials":           {`{"auths":{"registry.example.com":{"auth":"dXNlcjpwYXNzd29yZA=="}}}`},
	"prometheusStorage":              {"200Gi"},
	"prometheusRetention":            {"30d"},
	"grafanaStorage":                 {"200Gi"},
}

// TestEditsReplaceNothingStateful previews each edit on the program's own state.
func TestEditsReplaceNothingStateful(t *testing.T) {
	for _, s := range stacks.Settings() {
		if s.On(room.Kubernetes) && (strings.HasPrefix(s.Key, "database") || strings.HasPrefix(s.Key, "cache")) {
			assert.NotEmpty(t, edits[s.Key], "no edit of %s is tried", s.Key)
		}
	}
	for _, stack := range stackNames {
		s, err := current(stack)
		require.NoError(t, err)
		for _, key := range slices.Sorted(maps.Keys(edits)) {
			tried := 0
			for _, value := range edits[key] {
				if s.Config[key] == value {
					continue
				}
				tried++
				edit := beside(key, value)
				lost, err := s.losses(edit, secrets...)
				require.NoError(t, err, "%s: %s=%s", stack, key, value)
				assert.Empty(t, lost, "%s: %s=%s", stack, key, value)
			}
			assert.Positive(t, tried, "%s: every edit of %s is what it has", stack, key)
		}
	}
}

// TestLossIsSeen holds the comparison itself to account: states of a program that
// named things otherwise are reported, resource by resource.
func TestLossIsSeen(t *testing.T) {
	change := func(kind string, edit func(e *Entry)) []string {
		s, err := current("prod")
		require.NoError(t, err)
		found := false
		for i := range s.Resources {
			if e := &s.Resources[i]; strings.HasSuffix(e.Type, ":"+kind) && (e.Name == "database-g1" || e.Name == "data-database-g1-0" || e.Name == "platform") {
				edit(e)
				found = true
			}
		}
		require.True(t, found, "no %s", kind)
		lost, err := s.losses(nil)
		require.NoError(t, err)
		return lost
	}
	in := func(e *Entry, object, field string, value any) {
		e.Inputs[object].(map[string]any)[field] = value
	}
	for _, c := range []struct {
		kind string
		edit func(e *Entry)
		says string
	}{
		{"StatefulSet", func(e *Entry) { in(e, "spec", "serviceName", "other") }, "spec.serviceName changes"},
		{"StatefulSet", func(e *Entry) { in(e, "spec", "podManagementPolicy", "OrderedReady") }, "spec.podManagementPolicy changes"},
		{"StatefulSet", func(e *Entry) { in(e, "spec", "revisionHistoryLimit", 3.0) }, "spec.revisionHistoryLimit changes"},
		{"StatefulSet", func(e *Entry) { e.Name = "db" }, "would be deleted"},
		{"StatefulSet", func(e *Entry) { e.Parent += "2" }, "would be deleted"},
		{"PersistentVolumeClaim", func(e *Entry) { in(e, "metadata", "name", "db") }, "metadata.name changes"},
		{"Namespace", func(e *Entry) { in(e, "metadata", "name", "other") }, "metadata.name changes"},
	} {
		lost := change(c.kind, c.edit)
		require.Len(t, lost, 1, c.says)
		assert.Contains(t, lost[0], c.says)
	}
}
