//go:build e2e

package single

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// The bucket that a stack on a Docker host backs up to.
const (
	bucketHost  = "s3.backup.test"
	bucketName  = "e2e-backups"
	bucketImage = "docker.io/versity/versitygw:v1.8.0"
	// serveBucket becomes a server of it, from its variables.
	serveBucket = `printf %s "$CERTIFICATE" > /tmp/tls.crt; printf %s "$KEY" > /tmp/tls.key; mkdir -p /tmp/vgw/` + bucketName + `
exec versitygw --port :7070 --cert /tmp/tls.crt --key /tmp/tls.key posix /tmp/vgw`
)

// bucket takes the backups of a stack to an S3 server that is not of the stack, proves
// one, and restores from it.
func (s *session) bucket(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	if out, err := command(ctx, "images", "versitygw").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, livetest.LastLines(string(out), 10))
	}
	dropFormer(t)
	certificate, key := livetest.SelfSigned(t, bucketHost)
	file := settings(t, "databaseBackup", "s3", "databaseBackupEndpoint", bucketHost+":7070", "databaseBackupBucket", bucketName,
		"databaseBackupPathStyle", "true", "databaseBackupProof", "* * * * *")
	pulumi(t, "config", "set-all", "--config-file", file, "--plaintext", "databaseBackupAuthority="+certificate) // it begins with a dash
	for _, secret := range [][2]string{{"databaseBackupKey", "e2e-user"}, {"databaseBackupKeySecret", "e2e-user-secret"}} {
		pulumi(t, "config", "set", "--secret", "--config-file", file, secret[0], secret[1])
	}
	// While the bucket is away the stack comes up all the same.
	up(t, "--config-file", file)
	answers(t, outputsOf(t))
	sql(t, "CREATE TABLE bucket AS SELECT generate_series(1, 70) AS n")

	request, err := json.Marshal(map[string]any{
		"Image": bucketImage, "Entrypoint": []string{"sh", "-c", serveBucket},
		"Env":        []string{"CERTIFICATE=" + certificate, "KEY=" + key, "ROOT_ACCESS_KEY=e2e-user", "ROOT_SECRET_KEY=e2e-user-secret"},
		"HostConfig": map[string]any{"NetworkMode": prefix + "-exit"},
		"NetworkingConfig": map[string]any{"EndpointsConfig": map[string]any{
			prefix + "-exit": map[string]any{"Aliases": []string{bucketHost}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := started(t, string(request))
	defer ask(t, "DELETE", "/containers/"+server+"?force=1&v=1", nil)

	proven(t, 10*time.Minute)
	archived(t)
	sql(t, "DROP TABLE bucket")
	label := newestBackup(t)
	pulumi(t, "config", "set", "--config-file", file, "databaseRestore", label)
	up(t, "--config-file", file)
	if tables := sql(t, "SELECT count(*) FROM pg_tables WHERE tablename = 'bucket'"); tables != "1" {
		t.Errorf("restored to %s there are %s tables, want the one that was dropped since", label, tables)
	}
	answers(t, outputsOf(t))

	pulumi(t, "config", "set", "--config-file", file, "deleteVolumes", "true")
	up(t, "--config-file", file)
	// A network goes when nobody is on it.
	ask(t, "POST", "/containers/"+server+"/stop?t=1", nil)
	askWith(t, "POST", "/networks/"+prefix+"-exit/disconnect", "application/json", strings.NewReader(`{"Container":"`+server+`","Force":true}`))
	t.Log(livetest.LastLines(pulumi(t, "destroy", "--yes", "--skip-preview", "--config-file", file), 4))
}

// newestBackup is what pgBackRest calls it.
func newestBackup(t testing.TB) string {
	t.Helper()
	out, code := execute(t, "backup", "pgbackrest", "--log-level-console=off", "--output=json", "info")
	var stanzas []struct {
		Backup []struct{ Label string }
	}
	if err := json.Unmarshal([]byte(out), &stanzas); code != 0 || err != nil || len(stanzas) != 1 || len(stanzas[0].Backup) == 0 {
		t.Fatalf("%d %v\n%s", code, err, out)
	}
	backups := stanzas[0].Backup
	return backups[len(backups)-1].Label
}
