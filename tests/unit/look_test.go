package unit

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// TestMembersLookIntoTheirImage, and at the volume, before Patroni: a rollout halts at the
// first that is refused, and the others serve.
func TestMembersLookIntoTheirImage(t *testing.T) {
	r, err := recorder.Stack("prod", nil)
	require.NoError(t, err)
	objects, err := r.Objects()
	require.NoError(t, err)
	assert.Empty(t, looks(objects), "the default image's name tells")
	for _, set := range recorder.Of[*appsv1.StatefulSet](objects) {
		if set.Name != "database-g1" {
			continue
		}
		init := set.Spec.Template.Spec.InitContainers
		require.Len(t, init, 2)
		assert.Equal(t, set.Spec.Template.Spec.Containers[0].Image, init[1].Image)
		assert.Equal(t, []string{"/opt/agent/agent", "fits", "-bin", "/usr/lib/postgresql/17/bin", "-major", "17", "-data", "/home/postgres/pgdata/data"}, init[1].Command)
		assert.Equal(t, "FallbackToLogsOnError", string(init[1].TerminationMessagePolicy), "an update shows the line")
		assert.Equal(t, appsv1.RollingUpdateStatefulSetStrategyType, set.Spec.UpdateStrategy.Type)
		return
	}
	t.Error("no StatefulSet database-g1")
}

// looks are the Jobs that look into the database's image.
func looks(objects []recorder.Object) []*batchv1.Job {
	return slices.DeleteFunc(recorder.Of[*batchv1.Job](objects), func(j *batchv1.Job) bool { return !strings.HasPrefix(j.Name, "database-fits-") })
}

// TestAnImageWhoseNameDoesNotTellIsLookedInto by a pod of its own, once for each image,
// before any member changes.
func TestAnImageWhoseNameDoesNotTellIsLookedInto(t *testing.T) {
	seen := map[string]string{}
	for _, image := range []string{"registry.example.com/team/timescale:2024-06", "registry.example.com/team/timescale:2024-07", "postgres:17.5"} {
		r, err := recorder.Stack("prod", map[string]string{"databaseImage": image})
		require.NoError(t, err)
		objects, err := r.Objects()
		require.NoError(t, err)
		jobs := looks(objects)
		require.Len(t, jobs, 1, image)
		job, pod := jobs[0], jobs[0].Spec.Template.Spec
		assert.Empty(t, seen[job.Name], "%s and %s have one pod", image, seen[job.Name])
		seen[job.Name] = image
		require.Len(t, pod.Containers, 1)
		assert.Equal(t, image, pod.Containers[0].Image)
		assert.Equal(t, []string{"/opt/agent/agent", "fits", "-bin", "/usr/lib/postgresql/17/bin", "-major", "17"}, pod.Containers[0].Command, "no volume is touched")
		assert.Equal(t, int32(0), *job.Spec.BackoffLimit, "an answer, not a mishap")
		assert.Equal(t, "true", job.Annotations["pulumi.com/replaceUnready"], "the next update asks again")
		urn := ""
		for _, x := range r.Find("kubernetes:batch/v1:Job", "") {
			if strings.HasPrefix(x.Name, "database-fits-") {
				urn = x.Name
			}
		}
		set := r.Find("kubernetes:apps/v1:StatefulSet", "database-g1")
		require.Len(t, set, 1)
		assert.True(t, slices.ContainsFunc(set[0].RPC.Dependencies, func(d string) bool { return strings.HasSuffix(d, "::"+urn) }),
			"the members change before it is known: they wait for %v", set[0].RPC.Dependencies)
	}
}

// TestAHostLooksBeforeItReplaces: there a container stops before its successor starts.
func TestAHostLooksBeforeItReplaces(t *testing.T) {
	config, err := recorder.StackConfig("single")
	require.NoError(t, err)
	maps.Copy(config, map[string]string{"databaseImage": "registry.example.com/team/timescale:5", "edgeImage": "registry.example.com/team/edge:5"})
	run := func(prints map[string]string) (*recorder.Recording, error) {
		return recorder.Run(recorder.Options{Stack: "single", Config: config, Prints: prints})
	}
	r, err := run(nil)
	require.NoError(t, err)
	for _, name := range []string{"database", "edge"} {
		look := r.Find("docker:index/container:Container", name+"-look")
		require.Len(t, look, 1, name)
		raw, err := json.Marshal(recorder.Plain(look[0].Inputs))
		require.NoError(t, err)
		for _, want := range []string{`"attach":true`, `"logs":true`, `"mustRun":false`, `"restart":"no"`, `"networkMode":"none"`, `"readOnly":true`} {
			assert.Contains(t, string(raw), want, name)
		}
	}
	for _, c := range []struct{ look, prints, refused, says string }{
		{"database-look", "postgres (PostgreSQL) 16.4 (Debian 16.4-1)", "database", "the image has PostgreSQL 16.4: name one with PostgreSQL 17"},
		{"database-look", "postgres (PostgreSQL) 18.1", "database", "the image has PostgreSQL 18.1"},
		{"database-look", "mysqld 9", "database", "the image has no PostgreSQL"},
		{"edge-look", "nginx version: nginx/1.27.5", "edge", "the image has nginx/1.27: name one with nginx 1.28 or later"},
		{"edge-look", "nginx version: nginx/0.9.1", "edge", "the image has nginx/0.9:"},
	} {
		r, err := run(map[string]string{c.look: c.prints})
		require.Error(t, err, c.prints)
		assert.Contains(t, err.Error(), c.says)
		for _, name := range []string{"", "-files", "-reconcile", "-reconcile-files"} {
			assert.Empty(t, r.Find("docker:index/container:Container", c.refused+name), "a container of the image was replaced")
		}
	}
	for _, prints := range []string{"nginx version: nginx/1.100.0", "nginx version: nginx/2.0.0", "nginx version: openresty/1.27.1.1"} {
		_, err := run(map[string]string{"edge-look": prints})
		assert.NoError(t, err, prints)
	}

	r, err = recorder.Stack("single", nil)
	require.NoError(t, err)
	for _, x := range r.Resources {
		assert.NotContains(t, x.Name, "-look", "the default images' names tell")
	}
}
