package unit

import (
	"encoding/json"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/stacks"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

// strange are values that readers stumble over.
var strange = []string{
	"", " ", "-", "null", "true", "[]", "{}", "0", "-1", "1e9", "1e1000000000", "NaN", "Inf", "0x10", "99999999999999999999",
	`[null]`, `[""]`, `{"":""}`, `{"a":null}`, `{"a":{"b":[]}}`, `{"limits":null}`, `{"limits":{"memory":null}}`, `{"limits":{"cpu":[]}}`,
	"\x00", "\xff\xfe", "é", "a\nb", "${PATH}", `"; return 200;`, "../..", "https://", "https://[::1", "::/0", "0.0.0.0/33",
	"1E+400Gi", "1.0000000000000000001Gi", "host:port/image:tag@sha256:0", "-----BEGIN CERTIFICATE-----",
}

// FuzzSettings: whatever a stack sets, the program refuses it with a message that
// repeats no secret, or deploys it: it never panics, and no component refuses, nor the
// API server's own validation, nor the real nginx, what the settings let pass. Two
// settings at once, so that they meet.
//
//	go test ./tests/unit -run '^$' -fuzz FuzzSettings -fuzztime 10m
func FuzzSettings(f *testing.F) {
	all := stacks.Settings()
	index := func(key string) int {
		return slices.IndexFunc(all, func(s settings.Setting) bool { return s.Key == key })
	}
	for _, list := range mistakes {
		for _, m := range list {
			other, value := 0, "kubernetes"
			for k, v := range m.with {
				other, value = index(k), v
			}
			f.Add(index(m.key), m.value, other, value, false)
		}
	}
	for i, s := range all {
		f.Add(i, strange[i%len(strange)], index("protect"), "false", !s.On(room.Kubernetes))
	}
	for _, v := range strange {
		f.Add(index("domain"), v, index("edgePublicPort"), v, false)
	}
	long := strings.Repeat(strings.Repeat("d", 60)+".", 3) + strings.Repeat("d", 59)
	f.Add(index("domain"), long[:242], index("edgeConnections"), "65535", false)
	f.Add(index("domain"), long, index("edgeConnections"), "100000", false)
	f.Add(index("backendMetricsPath"), "/"+strings.Repeat("m", 1023), index("backendPort"), "65535", false)
	f.Add(index("backendMetricsPath"), "/"+strings.Repeat("m", 1024), index("edgeApiRate"), "100000", true)
	f.Add(index("edgeMaxBodyMegabytes"), "1000", index("requestTimeoutSeconds"), "300", false)
	for i, v := range strange {
		f.Add(i*7, v, i*5+3, v, i%2 == 0)
	}
	base := map[string]map[string]string{}
	for _, stack := range []string{"dev", "single"} {
		config, err := recorder.StackConfig(stack)
		if err != nil {
			f.Fatal(err)
		}
		base[stack] = config
	}
	f.Fuzz(func(t *testing.T, first int, value string, second int, other string, onHost bool) {
		stack := "dev"
		if onHost {
			stack = "single"
		}
		n := len(all)
		tries(t, stack, base[stack], map[string]string{all[(first%n+n)%n].Key: value, all[(second%n+n)%n].Key: other})
	})
}

// tries reads the given settings on top of a stack's own.
func tries(t *testing.T, stack string, base, given map[string]string) {
	t.Helper()
	config := maps.Clone(base)
	maps.Copy(config, given)
	_, err := stacks.Parse(stack, config, stored(config), stacks.Previous{})
	if err == nil {
		deploys(t, stack, config)
		return
	}
	plain := "" // what the settings that are no secrets hold may be told
	for _, s := range stacks.Settings() {
		if !s.Secret {
			plain += given[s.Key] + "\n"
		}
	}
	for _, s := range stacks.Settings() {
		v := strings.TrimSpace(given[s.Key])
		if s.Secret && !strings.Contains(plain, v) && s.Type == settings.String && len(v) > 16 && strings.Contains(err.Error(), v) && !slices.Contains(strange, v) {
			t.Errorf("the message repeats %s: %v", s.Key, err)
		}
	}
}

// deploys runs the program with what the settings let pass.
func deploys(t *testing.T, stack string, config map[string]string) {
	t.Helper()
	r, err := recorder.Run(recorder.Options{Stack: stack, Config: config, SecretKeys: stored(config)})
	if err != nil {
		text, _ := json.Marshal(config)
		t.Fatalf("the settings let it pass, and then: %v\n%s", err, text)
	}
	objects, err := r.Objects()
	if err != nil {
		t.Fatalf("the API's types do not have it: %v", err)
	}
	accepted(t, objects)
	for _, m := range recorder.Of[*corev1.ConfigMap](objects) {
		read(t, m.Data["nginx.conf"])
	}
	containers, err := r.Containers()
	if err != nil {
		t.Fatalf("the engine's types do not have it: %v", err)
	}
	for _, c := range containers {
		for _, u := range c.Uploads {
			if path.Base(u.File) == "nginx.conf" {
				read(t, u.Content)
			}
		}
	}
}

// known are the configurations that nginx has read already: most settings do not change it.
var known sync.Map

// read has the real nginx read a configuration; "" is none.
func read(t *testing.T, text string) {
	t.Helper()
	if _, done := known.LoadOrStore(text, true); done || text == "" {
		return
	}
	dir, err := os.MkdirTemp("", "edge") // nginx makes folders in what is /tmp in its container
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover of a test
	if said, err := nginxtest.Check(t, strings.ReplaceAll(text, " /tmp/", " "+dir+"/")); err != nil {
		t.Errorf("the settings let it pass, and then nginx: %s", said)
	}
}
