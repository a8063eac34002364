//go:build e2e

package single

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// engineSocket is where `local engine up` has the engine listen.
const engineSocket = "/run/alphapulse/docker.sock"

// engine speaks HTTP to the engine; its API is looked at as it is, not through a
// client that knows what to expect.
var engine = &http.Client{Transport: &http.Transport{
	DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", engineSocket)
	},
	DisableKeepAlives: true,
}}

// ask calls the engine, with an archive if there is a body, and returns the body of its
// answer.
func ask(t testing.TB, method, path string, body io.Reader) []byte {
	t.Helper()
	return askWith(t, method, path, "application/x-tar", body)
}

// askWith is ask with a body of another type.
func askWith(t testing.TB, method, path, contentType string, body io.Reader) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://docker"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := engine.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode >= 400 || bytes.Contains(raw, []byte(`"errorDetail"`)) {
		t.Fatalf("%s %s: %s\n%s", method, path, res.Status, raw)
	}
	return raw
}

// container is what `docker inspect` says of one.
type container struct {
	ID    string `json:"Id"`
	Name  string
	Image string
	State struct {
		Running   bool
		StartedAt time.Time
		Health    *struct{ Status string }
	}
	Config struct {
		User   string
		Labels map[string]string
	}
	HostConfig struct {
		Privileged     bool
		ReadonlyRootfs bool
		CapAdd         []string
		CapDrop        []string
		SecurityOpt    []string
		NetworkMode    string
		PidMode        string
		Memory         int64
		MemorySwap     int64
		NanoCpus       int64
		Binds          []string
		Devices        []any
		PortBindings   map[string][]struct{ HostIp, HostPort string }
		RestartPolicy  struct{ Name string }
		LogConfig      struct {
			Type   string
			Config map[string]string
		}
	}

	raw []byte
}

// ofStack is the filter for what belongs to the stack.
var ofStack = url.QueryEscape(`{"label":["com.alphapulse.stack=` + prefix + `"]}`)

// containers returns the stack's containers, by name below its prefix.
func containers(t testing.TB) map[string]container {
	t.Helper()
	var list []struct {
		ID string `json:"Id"`
	}
	if err := json.Unmarshal(ask(t, "GET", "/containers/json?all=1&filters="+ofStack, nil), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]container{}
	for _, l := range list {
		c := container{raw: ask(t, "GET", "/containers/"+l.ID+"/json", nil)}
		if err := json.Unmarshal(c.raw, &c); err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(c.Name, "/"+prefix+"-")] = c
	}
	return found
}

// ids returns the IDs of the stack's containers, by name.
func ids(t testing.TB) map[string]string {
	t.Helper()
	m := map[string]string{}
	for name, c := range containers(t) {
		m[name] = c.ID
	}
	return m
}

// changed names the containers that differ.
func changed(before, after map[string]string) []string {
	var names []string
	for name := range before {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	for name := range after {
		if before[name] == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// volumes returns the names of the stack's volumes that hold what users stored.
func volumes(t testing.TB) []string {
	t.Helper()
	var list struct {
		Volumes []struct {
			Name   string
			Labels map[string]string
		}
	}
	if err := json.Unmarshal(ask(t, "GET", "/volumes?filters="+ofStack, nil), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range list.Volumes {
		if v.Labels["com.alphapulse.data"] == "true" {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	return names
}

// left names every container, network and volume of the stack.
func left(t testing.TB) []string {
	t.Helper()
	var all []string
	for name := range containers(t) {
		all = append(all, "container "+name)
	}
	var networks []struct{ Name string }
	if err := json.Unmarshal(ask(t, "GET", "/networks?filters="+ofStack, nil), &networks); err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		all = append(all, "network "+n.Name)
	}
	var list struct{ Volumes []struct{ Name string } }
	if err := json.Unmarshal(ask(t, "GET", "/volumes?filters="+ofStack, nil), &list); err != nil {
		t.Fatal(err)
	}
	for _, v := range list.Volumes {
		all = append(all, "volume "+v.Name)
	}
	slices.Sort(all)
	return all
}

// derived makes another image of one that the engine has: the same but for a label, and
// for programs that stand before its own, each of which prints a text.
func derived(t testing.TB, from, name string, prints map[string]string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name, text string) {
		t.Helper()
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	file := fmt.Sprintf("FROM %s\nLABEL e2e=%q\n", from, name)
	for program, text := range prints {
		add(program, "#!/bin/sh\necho '"+text+"'\n")
		file += fmt.Sprintf("COPY %[1]s /before/%[1]s\nENV PATH=/before:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", program)
	}
	add("Dockerfile", file)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Log(livetest.LastLines(string(ask(t, "POST", "/build?t="+url.QueryEscape(name), &b)), 1))
}

// settings is a copy of the stack's file, so that the clone's own stays as it is.
func settings(t testing.TB, pairs ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi."+stack+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "Pulumi."+stack+".yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		pulumi(t, "config", "set", "--config-file", file, pairs[i], pairs[i+1])
	}
	return file
}
