//go:build e2e

package e2e

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// testWrongImage names an image for the database that has no PostgreSQL, which its name does
// not tell: the update ends with that, and no member has changed.
func (d *data) testWrongImage(t *testing.T) {
	image := pods(t, namespace)["cache"][0].Spec.Containers[0].Image
	of := func(members []corev1.Pod) map[string]string {
		m := map[string]string{}
		for _, p := range members {
			m[p.Name] = string(p.UID)
		}
		return m
	}
	before := of(members(t))
	pulumi(t, "config", "set", "--stack", stack, "--config-file", d.file, "databaseImage", image)
	out, err := try(t, "pulumi", "--", "up", "--stack", stack, "--config-file", d.file, "--yes", "--skip-preview", "--suppress-outputs")
	if want := "the image has no PostgreSQL in /usr/lib/postgresql/17/bin"; err == nil || !strings.Contains(out, want) {
		t.Errorf("an update with %s: %v, want %q\n%s", image, err, want, last(out, 40))
	}
	if after := of(members(t)); !reflect.DeepEqual(before, after) {
		t.Errorf("the members were %v and are %v", before, after)
	}
	pulumi(t, "config", "rm", "--stack", stack, "--config-file", d.file, "databaseImage")
	d.deploy(t)
}
