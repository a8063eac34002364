package unit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// onFolder are the settings of a Docker host's stack that backs up to a folder, toBucket of
// one that does to a bucket.
var (
	onFolder   = map[string]string{"databaseBackup": "path", "databaseBackupHostPath": "/srv/backup"}
	toBucket   = others(bucket, "databaseBackupStorage")
	fromFolder = maps.Collect(joined(onFolder, map[string]string{
		"databaseRestore": "latest", "databaseRestoreHostPath": "/srv/others-backup", "databaseRestorePassphrase": "passphrase-of-another",
	}))
	fromBucket = maps.Collect(joined(toBucket, map[string]string{
		"databaseRestore": "latest", "databaseRestoreEndpoint": "s3.example.net", "databaseRestoreBucket": "others", "databaseRestorePath": "/alphapulse/live",
		"databaseRestoreKey": "AKIC", "databaseRestoreKeySecret": "of-another", "databaseRestorePassphrase": "passphrase-of-another",
	}))
)

// backedUp is single with backups, after an update that left this behind.
func backedUp(t *testing.T, with map[string]string, left map[string]any) *recorder.Recording {
	t.Helper()
	config, err := recorder.StackConfig("single")
	require.NoError(t, err)
	maps.Copy(config, with)
	if left != nil {
		left["target"] = "docker"
	}
	r, err := recorder.Run(recorder.Options{Stack: "single", Config: config, SecretKeys: stored(with), Previous: left})
	require.NoError(t, err)
	return r
}

// hostContainers are the containers by their names below the stack's prefix; those of what
// is made anew for each try without the try.
func hostContainers(t *testing.T, r *recorder.Recording) map[string]recorder.Container {
	t.Helper()
	all, err := r.Containers()
	require.NoError(t, err)
	named := map[string]recorder.Container{}
	for _, c := range all {
		named[recorder.Attempt.ReplaceAllString(strings.TrimPrefix(c.Name, "alphapulse-single-"), "")] = c
	}
	return named
}

// sources are a container's mounts: what is mounted where, read-only ones with a mark.
func sources(c recorder.Container) map[string]string {
	at := map[string]string{}
	for _, m := range c.Mounts {
		source := strings.TrimPrefix(m.Source, "alphapulse-single-")
		if m.ReadOnly {
			source += " ro"
		}
		at[m.Target] = source
	}
	return at
}

// uploaded is a file that a container reads.
func uploaded(t *testing.T, r *recorder.Recording, container, file string) string {
	t.Helper()
	for _, u := range hostContainers(t, r)[container+"-files"].Uploads {
		if strings.HasSuffix(u.File, "/"+file) {
			return u.Content
		}
	}
	require.Fail(t, container+" has no "+file)
	return ""
}

// A host's backups: the server archives to the folder, one container reads the server's
// files and writes to the folder, one only reads the folder.
func TestBackupToAFolderOfTheHost(t *testing.T) {
	r := backedUp(t, onFolder, nil)
	all := hostContainers(t, r)
	server, taker, prover := sources(all["database"]), sources(all["backup"]), sources(all["backup-proof"])
	const data = "/home/postgres/pgdata"
	assert.Equal(t, "database-g1", server[data])
	assert.Equal(t, "/srv/backup", server["/backup"])
	assert.Equal(t, "database-g1 ro", taker[data], "who takes a backup could write to the data")
	assert.Equal(t, "/srv/backup", taker["/backup"])
	assert.Equal(t, "/srv/backup ro", prover["/backup"], "who proves one could write to the repository")
	assert.Equal(t, "backup-proof-scratch", prover[data], "a proof is made on the data")
	assert.NotContains(t, prover, "/var/run/postgresql")
	for _, name := range []string{"database", "database-reconcile", "backup", "backup-proof"} {
		assert.Equal(t, "1000:1000", all[name].User, name)
		assert.Equal(t, "docker.io/timescale/timescaledb-ha:pg17.10-ts2.28.2", r.Images()[all[name].Image], name)
	}
	conf := uploaded(t, r, "database", "postgresql.conf")
	assert.Contains(t, conf, "archive_mode = on\narchive_command = 'pgbackrest --stanza=database archive-push \"%p\"'\narchive_timeout = 60s\n")
	for _, container := range []string{"database", "backup", "backup-proof"} {
		text := uploaded(t, r, container, "pgbackrest.conf")
		assert.Contains(t, text, "repo1-type=posix\nrepo1-path=/backup\nrepo1-cipher-type=aes-256-cbc\n", container)
		assert.Contains(t, uploaded(t, r, container, "repository.conf"), "repo1-cipher-pass="+recorder.Generated("credentials-backup-passphrase"), container)
	}
	assert.Equal(t, []string{"/opt/agent/agent", "backups", "-socket", "/var/run/postgresql", "-full", "0 0 * * 0", "-differential", "0 0 * * 1-6", "-incremental", "0 6,12,18 * * *"}, all["backup"].Entrypoints)
	assert.Equal(t, []string{"/opt/agent/agent", "proofs", "-schedule", "0 3 * * *"}, all["backup-proof"].Entrypoints)
	// To be kept elsewhere; and what the next update goes on with.
	assert.Equal(t, recorder.Generated("credentials-backup-passphrase"), r.Secrets["databaseBackupPassphrase"])
	assert.EqualValues(t, 1, r.Outputs["databaseGeneration"])
	assert.Equal(t, "alphapulse-single-database-g1", anyMap(r.Outputs["volumes"])["database-g1"])
	// Alerts ask what the containers say of themselves, and nothing of Kubernetes.
	rules := uploaded(t, r, "monitoring-prometheus", "rules.yml")
	for _, alert := range []string{"BackupOverdue", "BackupFailed", "BackupProofOverdue", "BackupProofFailed", "BackupArchiveFailing", "BackupArchiveQueueFull"} {
		assert.Contains(t, rules, "alert: "+alert+"\n")
	}
	assert.NotContains(t, rules, "kube_")
	assert.Contains(t, uploaded(t, r, "monitoring-prometheus", "prometheus.yml"), "- backup-proof:8011")
}

// Without backups nothing is another than it was: neither volume, nor image, nor files.
func TestWithoutBackupsNothingChanges(t *testing.T) {
	never := single(t, nil)
	assert.Empty(t, recorder.Changed(never, backedUp(t, map[string]string{"databaseBackup": "off"}, map[string]any{"volumes": map[string]any{"database": "alphapulse-single-database"}})))
	all := hostContainers(t, never)
	assert.Equal(t, "database", sources(all["database"])["/var/lib/postgresql/data"])
	assert.NotContains(t, all, "backup")
	assert.NotContains(t, never.Outputs, "databaseBackupPassphrase")
	assert.NotContains(t, never.Outputs, "databaseGeneration")
}

// A database is never left behind, nor is another one begun in its place.
func TestBackupsComeToNewDatabasesOnly(t *testing.T) {
	config, err := recorder.StackConfig("single")
	require.NoError(t, err)
	maps.Copy(config, onFolder)
	r, err := recorder.Run(recorder.Options{Stack: "single", Config: config,
		Previous: map[string]any{"target": "docker", "volumes": map[string]any{"database": "alphapulse-single-database"}}})
	require.ErrorContains(t, err, `databaseBackup: "path": the stack's database is in volume alphapulse-single-database, of the Alpine image`)
	assert.Empty(t, r.Resources)

	// Switched off, it goes on with the volume and the image that it has, and archives no more.
	left := map[string]any{"databaseGeneration": 2.0, "volumes": map[string]any{"database-g2": "alphapulse-single-database-g2"}}
	off := backedUp(t, map[string]string{"databaseBackup": "off"}, left)
	all := hostContainers(t, off)
	assert.Equal(t, "database-g2", sources(all["database"])["/home/postgres/pgdata"])
	assert.Contains(t, off.Images()[all["database"].Image], "timescaledb-ha")
	assert.NotContains(t, uploaded(t, off, "database", "postgresql.conf"), "archive_")
	assert.EqualValues(t, 2, off.Outputs["databaseGeneration"])
	assert.NotContains(t, all, "backup")
}

// A restore fills a volume of its own before the server leaves the one that it is on, and
// that one stays.
func TestHostsRestoreMakesANewGeneration(t *testing.T) {
	const at = "2026-01-31T10:03:59Z"
	left := map[string]any{"databaseGeneration": 1.0, "databaseRestored": "", "volumes": map[string]any{"database-g1": "alphapulse-single-database-g1"}}
	with := maps.Clone(onFolder)
	with["databaseRestore"] = at
	r := backedUp(t, with, maps.Clone(left))
	all := hostContainers(t, r)
	fill := all["database-fill"]
	assert.Equal(t, []string{"/opt/agent/agent", "fill", "-stanza", "database", "-data", "/home/postgres/pgdata/data", "-target", at, "-archive"}, fill.Entrypoints)
	assert.Equal(t, "database-g2", sources(fill)["/home/postgres/pgdata"])
	assert.Equal(t, "database-g2", sources(all["database"])["/home/postgres/pgdata"])
	assert.Contains(t, all["database-reconcile"].Envs, "VOLUME=database-g2", "nobody gives the restored roles the right to log in")
	assert.Equal(t, "no", fill.Restart, "a restore that failed is tried for ever")
	assert.EqualValues(t, 2, r.Outputs["databaseGeneration"])
	var volumes []string
	for name := range anyMap(r.Outputs["volumes"]) {
		if strings.HasPrefix(name, "database") {
			volumes = append(volumes, name)
		}
	}
	slices.Sort(volumes)
	assert.Equal(t, []string{"database-g1", "database-g2"}, volumes, "the former volume")
	require.Len(t, r.Find("docker:index/volume:Volume", "database-g1"), 1)
	assert.True(t, r.Find("docker:index/volume:Volume", "database-g1")[0].RPC.GetRetainOnDelete())

	// Once.
	done := map[string]any{"databaseGeneration": 2.0, "databaseRestored": r.Outputs["databaseRestored"],
		"volumes": map[string]any{"database-g1": "alphapulse-single-database-g1", "database-g2": "alphapulse-single-database-g2"}}
	for what, c := range map[string]struct {
		with       map[string]string
		generation int
		fills      bool
	}{
		"the same again": {with, 2, false},
		"nothing":        {onFolder, 2, false},
		"another":        {maps.Collect(joined(onFolder, map[string]string{"databaseRestore": "latest"})), 3, true},
	} {
		r := backedUp(t, c.with, maps.Clone(done))
		assert.EqualValues(t, c.generation, r.Outputs["databaseGeneration"], what)
		_, fills := hostContainers(t, r)["database-fill"]
		assert.Equal(t, c.fills, fills, what)
		assert.Contains(t, anyMap(r.Outputs["volumes"]), "database-g1", what)
	}
	// A protected stack lets go of it, too, and of no other.
	guarded := backedUp(t, maps.Collect(joined(onFolder, map[string]string{"protect": "true"})), maps.Clone(done))
	for name, protected := range map[string]bool{"database-g1": false, "database-g2": true} {
		volume := guarded.Find("docker:index/volume:Volume", name)
		require.Len(t, volume, 1, name)
		assert.Equal(t, protected, volume[0].RPC.GetProtect(), name)
		assert.True(t, volume[0].RPC.GetRetainOnDelete(), name)
	}
	// Until its user lets it go, by its name.
	gone := maps.Clone(onFolder)
	gone["databaseDeleteVolumes"] = `["alphapulse-single-database-g1"]`
	assert.NotContains(t, anyMap(backedUp(t, gone, maps.Clone(done)).Outputs["volumes"]), "database-g1")
	gone["databaseDeleteVolumes"] = `["alphapulse-single-database-g2"]`
	config, err := recorder.StackConfig("single")
	require.NoError(t, err)
	maps.Copy(config, gone)
	done["target"] = "docker"
	_, err = recorder.Run(recorder.Options{Stack: "single", Config: config, Previous: done})
	assert.ErrorContains(t, err, `databaseDeleteVolumes: "alphapulse-single-database-g2" is in use`)
}

// A restore that fails leaves the server as it is: its container is not made anew.
func TestHostsRestoreThatFailsChangesNothing(t *testing.T) {
	config, err := recorder.StackConfig("single")
	require.NoError(t, err)
	maps.Copy(config, onFolder)
	config["databaseRestore"] = "2026-01-31T10:03:59Z"
	r, err := recorder.Run(recorder.Options{Stack: "single", Config: config, Ended: map[string]int{"database-fill": 1},
		Previous: map[string]any{"target": "docker", "databaseGeneration": 1.0, "volumes": map[string]any{"database-g1": "alphapulse-single-database-g1"}}})
	require.ErrorContains(t, err, "database-fill ended with status 1, and what runs was left as it is")
	assert.Empty(t, r.Find("docker:index/container:Container", "database"))
}

// Another stack's folder is read with its own passphrase, and the own one is written.
func TestHostsRestoreFromAnotherStack(t *testing.T) {
	with := maps.Collect(joined(onFolder, map[string]string{
		"databaseRestore": "latest", "databaseRestoreHostPath": "/srv/prod-backup", "databaseRestorePassphrase": "passphrase-of-another"}))
	r := backedUp(t, with, nil)
	fill := hostContainers(t, r)["database-fill"]
	assert.Equal(t, "/srv/prod-backup ro", sources(fill)["/backup-from"])
	assert.NotContains(t, sources(fill), "/backup")
	assert.NotContains(t, fill.Entrypoints, "-archive", "it would go on in another stack's archive")
	assert.Contains(t, uploaded(t, r, "database-fill", "pgbackrest.conf"), "repo1-path=/backup-from\n")
	assert.Contains(t, uploaded(t, r, "database-fill", "repository.conf"), "repo1-cipher-pass=passphrase-of-another\n")
	assert.Equal(t, "/srv/backup", sources(hostContainers(t, r)["database"])["/backup"])
}

// A bucket is reached through the network that leads out, and by nobody else of the data's.
func TestHostsBackupToABucket(t *testing.T) {
	r := backedUp(t, toBucket, nil)
	for name, c := range hostContainers(t, r) {
		out := slices.ContainsFunc(c.NetworksAdvanced, func(n struct {
			Name    string
			Aliases []string
		}) bool {
			return n.Name == "alphapulse-single-exit"
		})
		if strings.HasPrefix(name, "database") || strings.HasPrefix(name, "backup") || strings.HasPrefix(name, "cache") {
			assert.Equal(t, slices.Contains([]string{"database", "backup", "backup-proof"}, name), out, name)
		}
		for _, m := range c.Mounts {
			assert.NotEqual(t, "bind", m.Type, name)
		}
	}
	assert.Contains(t, uploaded(t, r, "backup", "pgbackrest.conf"), "repo1-s3-bucket=acme-backups\n")
}

func TestBadBackupsOfAHost(t *testing.T) {
	for what, c := range map[string]struct {
		with map[string]string
		says []string
	}{
		"a cluster's volume": {map[string]string{"databaseBackup": "volume"}, []string{`databaseBackup: "volume" is a volume of a cluster`, "path with databaseBackupHostPath"}},
		"no folder":          {map[string]string{"databaseBackup": "path"}, []string{"databaseBackupHostPath: it is not set, and databaseBackup is path"}},
		"no whole path":      {map[string]string{"databaseBackup": "path", "databaseBackupHostPath": "srv/backup"}, []string{`databaseBackupHostPath: "srv/backup" is no folder of a host`}},
		"the whole host":     {map[string]string{"databaseBackup": "path", "databaseBackupHostPath": "/"}, []string{`"/" is no folder`}},
		"a folder, unused":   {map[string]string{"databaseBackupHostPath": "/srv/backup"}, []string{"only while databaseBackup is path"}},
		"an image without it": {maps.Collect(joined(onFolder, map[string]string{"databaseImage": "docker.io/timescale/timescaledb:2.19.3-pg17"})),
			[]string{`databaseImage: "docker.io/timescale/timescaledb:2.19.3-pg17" has no pgBackRest`}},
		"members":    {maps.Collect(joined(onFolder, map[string]string{"databaseInstances": "2"})), []string{"databaseInstances: it has no meaning with target docker"}},
		"the future": {maps.Collect(joined(onFolder, map[string]string{"databaseRestore": "2999-01-31T10:03:59Z"})), []string{"databaseRestore: 2999-01-31T10:03:59Z lies in the future"}},
		"another's folder, no passphrase": {maps.Collect(joined(onFolder, map[string]string{"databaseRestore": "latest", "databaseRestoreHostPath": "/srv/other"})),
			[]string{"databaseRestorePassphrase: it is not set"}},
		"another's bucket, no login": {maps.Collect(joined(onFolder, map[string]string{"databaseRestore": "latest", "databaseRestoreBucket": "acme-backups", "databaseRestorePassphrase": "x"})),
			[]string{"databaseRestoreEndpoint: it is not set", "databaseRestoreKey: it is not set"}},
	} {
		config, err := recorder.StackConfig("single")
		require.NoError(t, err)
		maps.Copy(config, c.with)
		r, err := recorder.Run(recorder.Options{Stack: "single", Config: config, SecretKeys: stored(c.with)})
		require.Error(t, err, what)
		assert.Empty(t, r.Resources, what)
		for _, want := range c.says {
			assert.ErrorContains(t, err, want, what)
		}
	}
	assert.Contains(t, refused(t, recorder.Options{Config: map[string]string{"databaseBackup": "path", "databaseBackupStorage": "50Gi"}}), `databaseBackup: "path" is a folder of a Docker host`)
}
