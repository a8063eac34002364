package unit

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// bucket are settings of a repository elsewhere.
var bucket = map[string]string{
	"databaseBackup": "s3", "databaseBackupEndpoint": "s3.example.com", "databaseBackupBucket": "acme-backups",
	"databaseBackupKey": "AKIA", "databaseBackupKeySecret": "backup-secret",
	"databaseBackupStorage": "50Gi", // the default, which nobody means
}

// elsewhere are those of another stack's repository.
var elsewhere = maps.Collect(joined(bucket, map[string]string{
	"databaseRestore": "latest", "databaseRestorePath": "/alphapulse/live", "databaseRestorePassphrase": "passphrase-of-another",
}))

func TestBadBackupsAreRefused(t *testing.T) {
	for what, c := range map[string]struct {
		with map[string]string
		says []string
	}{
		"nothing decided":    {map[string]string{"databaseBackup": ""}, []string{"databaseBackup: it is not set", "off to have no backup"}},
		"no such place":      {map[string]string{"databaseBackup": "tape"}, []string{`"tape" is not one of s3, volume, path, off`}},
		"no bucket, no keys": {map[string]string{"databaseBackup": "s3"}, []string{"databaseBackupEndpoint: it is not set", "databaseBackupBucket: it is not set", "databaseBackupKey: it is not set", "databaseBackupKeySecret: it is not set"}},
		"a URL":              {map[string]string{"databaseBackup": "s3", "databaseBackupEndpoint": "https://s3.example.com"}, []string{"without https://"}},
		"a bucket's name":    {map[string]string{"databaseBackup": "s3", "databaseBackupBucket": "Acme"}, []string{`databaseBackupBucket: "Acme"`}},
		"a bucket, unused":   {map[string]string{"databaseBackupBucket": "acme-backups"}, []string{"only while databaseBackup is s3"}},
		"a schedule":         {map[string]string{"databaseBackupFull": "weekly"}, []string{`databaseBackupFull: "weekly" is not a schedule`}},
		"a day that is none": {map[string]string{"databaseBackupProof": "0 0 31 2 *"}, []string{"never comes"}},
		"a short passphrase": {map[string]string{"databaseBackupPassphrase": "short-one"}, []string{"databaseBackupPassphrase", "20 characters"}},
		"no zone":            {map[string]string{"databaseRestore": "2027-01-31 10:03:59"}, []string{"databaseRestore", "with its zone"}},
		"the future":         {map[string]string{"databaseRestore": "2999-01-31T10:03:59Z"}, []string{"lies in the future"}},
		"without a backup":   {map[string]string{"databaseBackup": "off", "databaseRestore": "latest"}, []string{"only while databaseBackup is s3, volume or path"}},
		"another's backups, no passphrase": {maps.Collect(joined(bucket, map[string]string{"databaseRestore": "latest", "databaseRestorePath": "/alphapulse/prod"})),
			[]string{"databaseRestorePassphrase: it is not set"}},
		"from a bucket that nobody can log in to": {map[string]string{"databaseRestore": "latest", "databaseRestoreBucket": "acme-backups", "databaseRestorePassphrase": "x"},
			[]string{"databaseRestoreEndpoint: it is not set", "databaseRestoreKey: it is not set"}},
	} {
		message := refused(t, recorder.Options{Config: c.with, SecretKeys: stored(c.with)})
		for _, want := range c.says {
			assert.Contains(t, message, want, what)
		}
		assert.NotContains(t, message, "short-one", what)
	}
}

// joined are the pairs of several maps.
func joined(all ...map[string]string) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for _, m := range all {
			for k, v := range m {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// restored is prod after an update that left this behind.
func restored(t *testing.T, with map[string]string, left map[string]any) (*recorder.Recording, []recorder.Object) {
	t.Helper()
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, with)
	if left == nil {
		left = map[string]any{}
	}
	left["namespace"] = "alphapulse-prod"
	r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: stored(with), Previous: left})
	require.NoError(t, err)
	objects, err := r.Objects()
	require.NoError(t, err)
	return r, objects
}

func names[T interface{ GetName() string }](all []T) []string {
	var list []string
	for _, o := range all {
		list = append(list, o.GetName())
	}
	slices.Sort(list)
	return list
}

var volumesOfOne = map[string]any{"data-database-g1-0": "100Gi", "data-database-g1-1": "100Gi", "data-database-g1-2": "100Gi", "cache": "10Gi"}

// A restore makes volumes of its own, and what there was stays, without a pod.
func TestRestoreMakesANewGeneration(t *testing.T) {
	r, objects := restored(t, map[string]string{"databaseRestore": "2026-01-31T10:03:59Z"},
		map[string]any{"databaseGeneration": 1.0, "databaseRestored": "", "volumes": volumesOfOne})
	replicas := map[string]int32{}
	for _, set := range recorder.Of[*appsv1.StatefulSet](objects) {
		replicas[set.Name] = *set.Spec.Replicas
	}
	assert.Equal(t, int32(0), replicas["database-g1"], "the old members")
	assert.Equal(t, int32(3), replicas["database-g2"], "the new ones")
	claims := names(recorder.Of[*corev1.PersistentVolumeClaim](objects))
	for _, want := range []string{"data-database-g1-0", "data-database-g1-1", "data-database-g1-2", "data-database-g2-0", "data-database-g2-1", "data-database-g2-2"} {
		assert.Contains(t, claims, want)
	}
	// Before anything of the database changes, the repository is asked.
	looks := r.Find("kubernetes:batch/v1:Job", "backup-restore-g2")
	require.Len(t, looks, 1)
	assert.NotContains(t, looks[0].Inputs["metadata"].ObjectValue(), "annotations", "nobody waits for the look into the repository")
	for _, res := range r.Resources {
		if !res.Kubernetes() || !strings.Contains(res.RPC.GetParent(), "Database::") && !strings.HasSuffix(res.RPC.GetParent(), "::database") {
			continue
		}
		assert.True(t, slices.ContainsFunc(res.RPC.GetDependencies(), func(d string) bool { return strings.HasSuffix(d, "::backup-restore-g2") }),
			"%s changes before the repository was asked", res.Label())
	}
	for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
		if strings.HasPrefix(m.Name, "database-patroni-") {
			assert.Contains(t, strings.Join(strings.Fields(m.Data["patroni.yml"]), " "), "fill -stanza database -data /home/postgres/pgdata/data -target 2026-01-31T10:03:59Z -archive")
		}
	}
	assert.EqualValues(t, 2, r.Outputs["databaseGeneration"])
}

// A value is restored once, and a setting that is gone takes nothing back.
func TestGenerationsStay(t *testing.T) {
	const at = "2026-01-31T10:03:59Z"
	r, _ := restored(t, map[string]string{"databaseRestore": at}, map[string]any{"databaseGeneration": 1.0, "volumes": volumesOfOne})
	left := map[string]any{"databaseGeneration": 2.0, "databaseRestored": r.Outputs["databaseRestored"], "volumes": volumesOfOne}
	for what, c := range map[string]struct {
		with map[string]string
		want float64
	}{
		"the same again": {map[string]string{"databaseRestore": at}, 2},
		"nothing":        {nil, 2},
		"another":        {map[string]string{"databaseRestore": "latest"}, 3},
	} {
		r, objects := restored(t, c.with, maps.Clone(left))
		assert.EqualValues(t, c.want, r.Outputs["databaseGeneration"], what)
		assert.Contains(t, names(recorder.Of[*corev1.PersistentVolumeClaim](objects)), "data-database-g1-0", what)
	}
	_, objects := restored(t, map[string]string{"databaseDeleteVolumes": `["data-database-g1-0","data-database-g1-1","data-database-g1-2"]`}, maps.Clone(left))
	for _, claim := range names(recorder.Of[*corev1.PersistentVolumeClaim](objects)) {
		assert.NotContains(t, claim, "-g1-", "it was to be deleted")
	}
	assert.NotContains(t, names(recorder.Of[*appsv1.StatefulSet](objects)), "database-g1")
	message := refused(t, recorder.Options{Config: map[string]string{"databaseDeleteVolumes": `["data-database-g1-0"]`},
		Previous: map[string]any{"databaseGeneration": 1.0, "volumes": volumesOfOne, "namespace": "alphapulse-prod"}})
	assert.Contains(t, message, `"data-database-g1-0" is in use`)
}

// What was backed up to a volume stays when the stack backs up elsewhere, or no longer,
// until its user names the volume.
func TestFormerBackupsStay(t *testing.T) {
	left := map[string]any{"namespace": "alphapulse-prod", "databaseGeneration": 1.0,
		"volumes": map[string]any{"data-database-g1-0": "100Gi", "backup-store": "300Gi"}}
	off := map[string]string{"databaseBackup": "off", "databaseBackupStorage": "50Gi"}
	for what, with := range map[string]map[string]string{"elsewhere": bucket, "off": off} {
		_, objects := restored(t, with, maps.Clone(left))
		for _, c := range recorder.Of[*corev1.PersistentVolumeClaim](objects) {
			if c.Name == "backup-store" {
				assert.Equal(t, "300Gi", c.Spec.Resources.Requests.Storage().String(), what)
			}
		}
		assert.Contains(t, names(recorder.Of[*corev1.PersistentVolumeClaim](objects)), "backup-store", what)
		for _, set := range recorder.Of[*appsv1.StatefulSet](objects) {
			if set.Name == "backup-store" {
				assert.Zero(t, *set.Spec.Replicas, "%s: a server runs that nobody asks", what)
			}
		}
		with = maps.Clone(with)
		with["databaseDeleteVolumes"] = `["backup-store"]`
		_, objects = restored(t, with, maps.Clone(left))
		assert.NotContains(t, names(recorder.Of[*corev1.PersistentVolumeClaim](objects)), "backup-store", what)
	}
	message := refused(t, recorder.Options{Config: map[string]string{"databaseDeleteVolumes": `["backup-store"]`, "databaseBackup": "volume", "databaseBackupStorage": "300Gi"},
		Previous: maps.Clone(left)})
	assert.Contains(t, message, `"backup-store" is in use`)
}

// Another stack's repository is read with its own passphrase, and the own one is written.
func TestRestoreFromAnotherStack(t *testing.T) {
	_, objects := restored(t, elsewhere, nil)
	own, other := 0, 0
	for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
		text := m.Data["pgbackrest.conf"]
		switch {
		case strings.Contains(text, "repo1-path=/alphapulse/live\n"):
			other++
			assert.True(t, strings.HasPrefix(m.Name, "database-restore-") || strings.HasPrefix(m.Name, "backup-restore-"), m.Name)
		case strings.Contains(text, "repo1-path=/alphapulse/prod\n"):
			own++
		}
		if strings.HasPrefix(m.Name, "database-patroni-") {
			assert.NotContains(t, m.Data["patroni.yml"], "-archive\n", "the other repository is written to")
			assert.Contains(t, m.Data["patroni.yml"], "PGBACKREST_CONFIG=/etc/pgbackrest-restore/pgbackrest.conf")
		}
	}
	assert.Equal(t, 2, other, "files of the other repository: the members', and those of the look into it")
	assert.Equal(t, 3, own, "files of the own repository: the members', those of backups and of the proof")
}

// Each pod has the credentials that it needs, in files.
func TestBackupsTakeTheirOwn(t *testing.T) {
	r, objects := restored(t, bucket, nil)
	members, first := r.Find("kubernetes:apps/v1:StatefulSet", "database-g1"), r.Find("kubernetes:batch/v1:CronJob", "backup-full")
	require.Len(t, members, 1)
	require.Len(t, first, 1)
	assert.Contains(t, first[0].RPC.GetDependencies(), urn(members[0]), "a backup is asked for before there is a database")
	assert.Equal(t, []string{"backup-differential", "backup-full", "backup-incremental", "backup-proof"}, names(recorder.Of[*batchv1.CronJob](objects)))
	for _, job := range recorder.Of[*batchv1.CronJob](objects) {
		reaches := false
		for _, v := range job.Spec.JobTemplate.Spec.Template.Spec.Volumes {
			reaches = reaches || v.Name == "pgbackrest-tls"
		}
		assert.Equal(t, job.Name != "backup-proof", reaches, "%s: the certificate that members let in", job.Name)
	}
	for _, c := range recorder.Of[*corev1.PersistentVolumeClaim](objects) {
		assert.NotContains(t, c.Name, "backup", "a bucket elsewhere needs no volume")
	}
}
