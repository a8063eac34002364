package unit

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

const (
	remoteImage   = "docker:index/remoteImage:RemoteImage"
	registryImage = "docker:index/registryImage:RegistryImage"
)

// deployed are the images of a recording's containers, by workload and container.
func deployed(t *testing.T, r *recorder.Recording) map[string]string {
	t.Helper()
	objects, err := r.Objects()
	require.NoError(t, err)
	found := map[string]string{}
	for _, w := range recorder.Workloads(objects) {
		for _, c := range recorder.Containers(w.Template.Spec) {
			found[w.Name+"/"+c.Name] = c.Image
		}
	}
	return found
}

// TestBuiltImagesAreDeployedByDigest: every process of the application runs exactly
// what the registry has got, and everything else what the stack names.
func TestBuiltImagesAreDeployedByDigest(t *testing.T) {
	named, r := deployed(t, prod(t, nil)), prod(t, pushing, stored(pushing)...)
	require.Empty(t, r.Find("docker:index/image:Image", ""), "docker.Image is not in every build of the provider")

	references := map[string]string{}
	for _, x := range r.Find(registryImage, "") {
		repository, _, _ := strings.Cut(strings.TrimPrefix(x.Inputs["name"].StringValue(), "ghcr.io/acme/"), ":")
		references["docker.io/alphapulse/"+repository+":0.1.0"] = "ghcr.io/acme/" + repository + "@" + recorder.ContentOf(x.Inputs)
	}
	require.Len(t, references, 2)
	built := 0
	for container, image := range deployed(t, r) {
		if want, ours := references[named[container]]; ours {
			built++
			assert.Equal(t, want, image, container)
			continue
		}
		assert.Equal(t, named[container], image, container)
	}
	assert.Equal(t, 4, built, "API, engine, dashboard and frontend")
	assert.Equal(t, map[string]string{
		"backend":   references["docker.io/alphapulse/backend:0.1.0"],
		"dashboard": references["docker.io/alphapulse/backend:0.1.0"],
		"frontend":  references["docker.io/alphapulse/frontend:0.1.0"],
	}, r.Outputs["images"], "the output is plain, so that another stack can name it")

	with := map[string]string{"dashboardImage": "docker.io/alphapulse/dashboard:1.0.0"}
	maps.Copy(with, pushing)
	own := prod(t, with, stored(with)...)
	assert.Equal(t, with["dashboardImage"], own.Outputs["images"].(map[string]string)["dashboard"], "a dashboard of its own stays")
}

// TestBuilds: from the same folder in every clone, named by stack and content, kept
// where others may still need them.
func TestBuilds(t *testing.T) {
	r := prod(t, pushing, stored(pushing)...)
	for _, name := range []string{"backend", "frontend"} {
		builds, pushes := r.Find(remoteImage, name+"-build"), r.Find(registryImage, name+"-build")
		require.Len(t, builds, 1)
		require.Len(t, pushes, 1)
		build, push := recorder.Plain(builds[0].Inputs), recorder.Plain(pushes[0].Inputs)
		how := build["build"].(map[string]any)
		args := how["buildArgs"].(map[string]any)
		assert.Equal(t, "docker", how["context"], "an absolute path would rebuild in every other clone")
		assert.Equal(t, "Dockerfile."+name+".prod", how["dockerfile"])
		assert.Regexp(t, "^[0-9a-f]{64}$", args["REVISION"])
		assert.Equal(t, args["REVISION"].(string)[:12], args["VERSION"])
		assert.Equal(t, "ghcr.io/acme/"+name+":"+args["VERSION"].(string)+"-prod", build["name"])
		assert.Equal(t, map[string]any{"content": args["REVISION"]}, build["triggers"])
		assert.Equal(t, true, build["keepLocally"])

		assert.Equal(t, build["name"], push["name"])
		assert.Equal(t, build["triggers"], push["triggers"], "new content is pushed, a lost local image alone is not")
		assert.Equal(t, true, push["keepRemotely"])
		assert.Contains(t, pushes[0].RPC.GetDependencies(), urn(builds[0]), "pushed before it is built")
		for _, x := range append(builds, pushes...) {
			assert.Contains(t, x.RPC.GetProvider(), "pulumi:providers:docker::docker", "%s uses another provider", x.Label())
		}
	}
}

// urn is the registration's URN, as far as others refer to it.
func urn(r recorder.Resource) string {
	_, parents, _ := strings.Cut(r.RPC.GetParent(), "::alphapulse::")
	parents = parents[:strings.LastIndex(parents, "::")]
	stack := strings.Split(r.RPC.GetParent(), "::")[0]
	return stack + "::alphapulse::" + parents + "$" + r.Type + "::" + r.Name
}

// TestNothingChangesBeforeTheImagesArePushed: not the pods that run them, and not the
// database, the cache, the edge and monitoring either.
func TestNothingChangesBeforeTheImagesArePushed(t *testing.T) {
	r := prod(t, pushing, stored(pushing)...)
	var pushes []string
	for _, x := range r.Find(registryImage, "") {
		pushes = append(pushes, urn(x))
	}
	require.Len(t, pushes, 2)
	waiting := 0
	for _, x := range r.Resources {
		if strings.HasPrefix(x.Type, "alphapulse:index:") && !strings.HasSuffix(x.Type, ":Image") {
			waiting++
			assert.Subset(t, x.RPC.GetDependencies(), pushes, "%s does not wait for the images", x.Label())
		}
	}
	assert.Equal(t, 10, waiting, "platform, credentials, database, backup, cache, backend, frontend, ingress, monitoring, guard")

	for _, failing := range []string{"RemoteImage/backend-build", "RegistryImage/backend-build", "RemoteImage/frontend-build", "RegistryImage/frontend-build"} {
		t.Run(failing, func(t *testing.T) {
			config, err := recorder.StackConfig("prod")
			require.NoError(t, err)
			maps.Copy(config, pushing)
			r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: stored(pushing), Fails: failing})
			require.ErrorContains(t, err, failing+" cannot be created")
			for _, x := range r.Resources {
				docker := strings.HasPrefix(x.Type, "docker:") || x.Type == "alphapulse:index:Image"
				assert.True(t, docker || strings.HasPrefix(x.Type, "pulumi:providers:"), "%s was changed though %s failed", x.Label(), failing)
			}
		})
	}
}

// TestRegistryCredentialsStaySecret: they reach the provider as a secret, and nothing
// else at all: no workload, no output.
func TestRegistryCredentialsStaySecret(t *testing.T) {
	const password = "push-password"
	require.Equal(t, password, pushing["registryPassword"])
	r := prod(t, pushing, stored(pushing)...)
	var holders []string
	for _, x := range r.Resources {
		all, err := json.Marshal(recorder.Plain(x.Inputs))
		require.NoError(t, err)
		if !strings.Contains(string(all), password) {
			continue
		}
		holders = append(holders, x.Label())
		public, err := json.Marshal(x.Inputs.MapRepl(nil, func(v resource.PropertyValue) (any, bool) { return "", v.IsSecret() }))
		require.NoError(t, err)
		assert.NotContains(t, string(public), password, "%s holds it in plain text", x.Label())
	}
	assert.Equal(t, []string{"docker/docker"}, holders)
	for _, outputs := range []map[string]any{r.Outputs, r.Secrets} {
		all, err := json.Marshal(outputs)
		require.NoError(t, err)
		assert.NotContains(t, string(all), password)
	}
}

// TestAHostBuildsItsOwnImages: without a registry too, for the engine that runs a stack
// has what it has built. The containers run exactly that, once it is there.
func TestAHostBuildsItsOwnImages(t *testing.T) {
	for registry, pushes := range map[string]int{"": 0, "ghcr.io/acme": 2} {
		r := single(t, map[string]string{"buildImages": "true", "registry": registry})
		require.Len(t, r.Find(registryImage, ""), pushes)
		images := r.Images()
		containers, err := r.Containers()
		require.NoError(t, err)
		ran := 0
		for _, c := range containers {
			name, ours := strings.CutPrefix(c.Name, "alphapulse-single-")
			require.True(t, ours)
			of := "frontend"
			if strings.HasPrefix(name, "backend") {
				of = "backend"
			} else if name != "frontend" {
				continue
			}
			ran++
			var want string
			if registry == "" {
				want = recorder.ContentOf(r.Find(remoteImage, of+"-build")[0].Inputs)
			} else {
				want = registry + "/" + of + "@" + recorder.ContentOf(r.Find(registryImage, of+"-build")[0].Inputs)
			}
			assert.Equal(t, want, images[c.Image], name)
		}
		assert.Equal(t, 8, ran, "two of the API, engine, dashboard, the files of three, frontend")

		var last []string
		for _, x := range r.Find(map[bool]string{true: remoteImage, false: registryImage}[registry == ""], "") {
			if strings.HasSuffix(x.Name, "-build") {
				last = append(last, urn(x))
			}
		}
		require.Len(t, last, 2)
		waiting := 0
		for _, x := range r.Resources {
			if strings.HasPrefix(x.Type, "alphapulse:index:") && !strings.HasSuffix(x.Type, ":Image") {
				waiting++
				assert.Subset(t, x.RPC.GetDependencies(), last, "%s does not wait for the images", x.Label())
			}
		}
		assert.Equal(t, 9, waiting)
	}
}

// TestOneLoginForARegistry: the provider takes one for each, so that the one that may
// push comes instead of the one that may pull.
func TestOneLoginForARegistry(t *testing.T) {
	const user = `{"auth":"dXNlcjpwYXNzd29yZA=="}`
	logins := func(registry, auths string) map[string]bool {
		with := map[string]string{
			"buildImages": "true", "registry": registry, "registryUsername": "acme", "registryPassword": "x",
			"imagePullCredentials": auths,
		}
		r := single(t, with, stored(with)...)
		found := map[string]bool{}
		for _, a := range r.Find("pulumi:providers:docker", "")[0].Inputs["registryAuth"].ArrayValue() {
			found[a.ObjectValue()["address"].StringValue()] = a.ObjectValue()["configFileContent"].IsSecret()
		}
		return found
	}
	assert.Equal(t, map[string]bool{"ghcr.io": false, "quay.io": true}, logins("ghcr.io/acme", `{"auths":{"ghcr.io":`+user+`,"quay.io":`+user+`}}`))
	assert.Equal(t, map[string]bool{"registry-1.docker.io": false}, logins("acme", `{"auths":{"https://index.docker.io/v1/":`+user+`}}`))
	assert.Equal(t, map[string]bool{"http://localhost:5000": false}, logins("localhost:5000", `{"auths":{"localhost:5000":`+user+`}}`))
}

// TestRegistryAddresses: where the registry's own interface is, and whether it asks
// who pushes.
func TestRegistryAddresses(t *testing.T) {
	for registry, address := range map[string]string{
		"ghcr.io/acme":                     "ghcr.io",
		"registry.example.com:5000":        "registry.example.com:5000",
		"docker.io/acme":                   "registry-1.docker.io",
		"acme":                             "registry-1.docker.io",
		"localhost:5000/acme":              "http://localhost:5000",
		"127.0.0.1:5000":                   "http://127.0.0.1:5000",
		"[::1]:5000/acme":                  "http://[::1]:5000",
		"10.0.0.1:5000/acme":               "10.0.0.1:5000",
		"123456789.dkr.ecr.eu.example/a/b": "123456789.dkr.ecr.eu.example",
	} {
		r := prod(t, map[string]string{"buildImages": "true", "registry": registry})
		providers := r.Find("pulumi:providers:docker", "")
		require.Len(t, providers, 1)
		auth := providers[0].Inputs["registryAuth"].ArrayValue()[0].ObjectValue()
		assert.Equal(t, address, auth["address"].StringValue(), registry)
		assert.True(t, auth["authDisabled"].BoolValue(), "a login of whoever runs the update is not used")
	}
}

// TestBuildSettingsFitTogether: what contradicts itself or would have no effect is
// refused, all of it at once.
func TestBuildSettingsFitTogether(t *testing.T) {
	for name, c := range map[string]struct {
		config map[string]string
		says   []string
	}{
		"no registry": {map[string]string{"buildImages": "true"}, []string{"registry: it is not set"}},
		"not a registry": {map[string]string{"buildImages": "true", "registry": "https://ghcr.io/Acme:1"},
			[]string{`registry: "https://ghcr.io/Acme:1" is not a registry`, "ghcr.io/acme"}},
		"a tag": {map[string]string{"buildImages": "true", "registry": "ghcr.io/acme@sha256:" + strings.Repeat("0", 64)}, []string{"is not a registry"}},
		"half of the credentials, and named images": {
			map[string]string{"buildImages": "true", "registry": "ghcr.io/acme", "registryUsername": "acme", "backendImage": "team/api:1", "frontendImage": "team/ui:1"},
			[]string{"registryPassword: it is not set", "--secret registryPassword", `backendImage: "team/api:1" is named`, "config rm frontendImage", "3 problem(s)"}},
		"the other half": {map[string]string{"buildImages": "true", "registry": "ghcr.io/acme", "registryPassword": "x"},
			[]string{"registryUsername: it is not set"}},
		"nothing to push": {map[string]string{"registry": "ghcr.io/acme", "registryUsername": "acme", "registryPassword": "x"},
			[]string{"registry: it is set, and buildImages is false", "registryUsername: it is set", "registryPassword: it is set", "3 problem(s)"}},
	} {
		t.Run(name, func(t *testing.T) {
			message := refused(t, recorder.Options{Config: c.config, SecretKeys: stored(c.config)})
			for _, want := range c.says {
				assert.Contains(t, message, want)
			}
		})
	}
	single, err := recorder.StackConfig("single")
	require.NoError(t, err)
	maps.Copy(single, map[string]string{"buildImages": "true", "registryUsername": "acme", "registryPassword": "x"})
	_, err = recorder.Run(recorder.Options{Stack: "single", Config: single, SecretKeys: []string{"registryPassword"}})
	require.ErrorContains(t, err, "registry: it is not set, and its credentials are")
	require.ErrorContains(t, err, "1 problem(s)")
	// What the command line passes for a stack that sets nothing.
	r := prod(t, map[string]string{"buildImages": "false", "registry": "", "registryUsername": "", "registryPassword": ""})
	assert.False(t, slices.ContainsFunc(r.Resources, func(x recorder.Resource) bool { return strings.Contains(x.Type, "docker") }),
		"a stack that names its images needs no Docker engine")
}

// TestPreviewOfABuild: before the first build the digest is unknown, and the pods
// that wait for it are previewed all the same.
func TestPreviewOfABuild(t *testing.T) {
	config, err := recorder.StackConfig("prod")
	require.NoError(t, err)
	maps.Copy(config, pushing)
	r, err := recorder.Run(recorder.Options{Stack: "prod", Config: config, SecretKeys: stored(pushing), Unknown: true})
	require.NoError(t, err)
	assert.Greater(t, len(r.Resources), 80)
	assert.Len(t, r.Find("kubernetes:apps/v1:Deployment", "backend"), 1)
}
