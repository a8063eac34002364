//go:build cluster && linux

package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

// socketClient speaks HTTP to the engine.
var socketClient = &http.Client{Transport: &http.Transport{
	DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", node.Socket)
	},
	DisableKeepAlives: true,
}}

// docker calls the engine's API and returns the status and the body of its answer.
func docker(t *testing.T, method, path string, body any) (int, []byte) {
	t.Helper()
	var content io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case io.Reader:
		content, kind = b, "application/x-tar"
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://docker"+path, content)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("X-Registry-Auth", "e30=") // {}: pushes must say that they have none
	resp, err := socketClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, raw
}

// must is docker, and the end of the test if the engine refuses.
func must(t *testing.T, method, path string, body any) []byte {
	t.Helper()
	code, raw := docker(t, method, path, body)
	if code >= 400 || bytes.Contains(raw, []byte(`"errorDetail"`)) {
		t.Fatalf("%s %s: %d\n%s", method, path, code, raw[max(0, len(raw)-4000):])
	}
	return raw
}

// container makes and starts a container.
func container(t *testing.T, name string, body map[string]any) {
	t.Helper()
	must(t, "POST", "/containers/create?name="+name, body)
	must(t, "POST", "/containers/"+name+"/start", nil)
}

// logs returns what a container with a terminal has printed.
func logs(t *testing.T, name string) string {
	t.Helper()
	_, raw := docker(t, "GET", "/containers/"+name+"/logs?stdout=1&stderr=1", nil)
	return strings.ReplaceAll(string(raw), "\r", "")
}

// finished waits for the end of a container and returns what it has printed.
func finished(t *testing.T, name string) string {
	t.Helper()
	raw := must(t, "POST", "/containers/"+name+"/wait", nil)
	if !strings.Contains(string(raw), `"StatusCode":0`) {
		t.Errorf("%s ended with %s", name, raw)
	}
	return logs(t, name)
}

// shellImage has a shell and busybox's commands.
const shellImage = "grafana/grafana:13.2.3"

// sh is a container that runs a script as root.
func sh(script string, host map[string]any) map[string]any {
	return map[string]any{"Image": shellImage, "Entrypoint": []string{"sh", "-c"}, "Cmd": []string{script}, "User": "0", "Tty": true, "HostConfig": host}
}

// TestEngine is TestCluster for the Docker engine, with containers, networks and
// published ports in it.
func TestEngine(t *testing.T) {
	busy := func(t *testing.T) {
		t.Helper()
		local(t, "engine", "up")
		must(t, "POST", "/networks/create", map[string]any{"Name": "internal", "Internal": true})
		body := sh("nc -ll -p 80 -e echo served", map[string]any{
			"PortBindings": map[string]any{"80/tcp": []any{map[string]string{"HostPort": "30080"}}},
			"Mounts":       []any{map[string]any{"Type": "volume", "Source": "data", "Target": "/data"}},
			"Memory":       64 << 20, "NanoCpus": 100_000_000,
		})
		body["ExposedPorts"] = map[string]any{"80/tcp": struct{}{}}
		container(t, "published", body)
		until(t, "an answer at the published port", func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1:30080")
			if err != nil {
				return false
			}
			defer func() { _ = conn.Close() }()
			b, _ := io.ReadAll(conn)
			return string(b) == "served\n"
		})
	}
	engineNode.leavesNothing(t, append(engineNode.crashes(),
		life{"kill -9 of up with dockerd", func(t *testing.T) {
			engineNode.crash(t, "a socket of dockerd", func() bool { _, err := os.Stat(node.Socket); return err == nil })
		}},
		life{"kill -9 of up with an image", func(t *testing.T) {
			engineNode.crash(t, "an image", func() bool {
				state, err := paths.State("engine", "lib", "docker", "image", "overlay2", "imagedb", "content", "sha256")
				if err != nil {
					t.Fatal(err)
				}
				entries, _ := os.ReadDir(state)
				return len(entries) > 0
			})
		}},
		life{"up, stop, up, stop", engineKeepsState},
		life{"up, a container, kill -9 of the first process", func(t *testing.T) { busy(t); killInit(t) }},
		life{"up, a container, all that it enforces, kill -9 of many", func(t *testing.T) {
			busy(t)
			engineEnforces(t)
			t.Run("no packet leaves", noPacketLeaves)
			t.Run("one node a machine", func(t *testing.T) {
				for _, args := range [][]string{{"up"}, {"stop"}, {"deploy"}} {
					refused(t, "the Docker engine of this clone is running: `local engine stop` ends it", args...)
				}
				refused(t, "the Docker engine of this clone is running", "status")
				local(t, "down") // leaves it alone
				if st, err := node.EngineStatus(t.Context()); err != nil || !st.Ready {
					t.Errorf("the engine after `local down`: %+v, %v", st, err)
				}
			})
			// The first ones ended with the engine that was killed.
			container(t, "last", sh("sleep 1000", nil))
			for _, name := range []string{"dockerd", "containerd", "containerd-shim-runc-v2", plan.ForwardCommand, plan.ServeCommand} {
				killComponent(t, name)
			}
		}},
	))
}

// engineKeepsState ends an engine and brings it back: the volume, the container that
// is to be started again and what was pushed are there. The engine ends stopped.
func engineKeepsState(t *testing.T) {
	local(t, "engine", "up")
	container(t, "counter", sh("echo started >> /data/log; cat /data/log; trap 'echo asked >> /data/log; exit 0' TERM; while :; do sleep 0.1; done", map[string]any{
		"RestartPolicy": map[string]any{"Name": "unless-stopped"},
		"Mounts":        []any{map[string]any{"Type": "volume", "Source": "data", "Target": "/data"}},
	}))
	until(t, "the container's first start", func() bool { return logs(t, "counter") == "started\n" })
	const pushed = "/alphapulse/kept"
	must(t, "POST", "/images/"+shellImage+"/tag?repo="+url.QueryEscape(node.Registry+pushed)+"&tag=1", nil)
	t.Logf("pushed: %s", lastOf(must(t, "POST", "/images/"+node.Registry+pushed+"/push?tag=1", nil)))

	local(t, "engine", "stop")
	if st, err := node.EngineStatus(t.Context()); err != nil || st.Running || !st.Stored {
		t.Errorf("status after stop: %+v, %v", st, err)
	}
	out := local(t, "engine", "up")
	if strings.Contains(out, "load the application's images") {
		t.Error("images were loaded that the engine had")
	}
	until(t, "the container's second start", func() bool { return strings.HasSuffix(logs(t, "counter"), "started\nasked\nstarted\n") })
	must(t, "DELETE", "/images/"+node.Registry+pushed+":1", nil)
	t.Logf("pulled: %s", lastOf(must(t, "POST", "/images/create?tag=1&fromImage="+url.QueryEscape(node.Registry+pushed), nil)))
	local(t, "engine", "stop")
}

// engineEnforces looks at what the stack relies on: names of containers,
// networks that keep others out, limits, and no way to the world.
func engineEnforces(t *testing.T) {
	for name, internal := range map[string]bool{"inside": true, "edge": false} {
		must(t, "POST", "/networks/create", map[string]any{"Name": name, "Internal": internal})
	}
	container(t, "server", sh("nc -ll -p 80 -e echo served", map[string]any{"NetworkMode": "inside"}))
	try := 0
	run := func(network, script string, host map[string]any) string {
		t.Helper()
		try++
		name := fmt.Sprintf("client-%d", try)
		h := map[string]any{"NetworkMode": network}
		for k, v := range host {
			h[k] = v
		}
		container(t, name, sh(script+"; true", h))
		got := finished(t, name)
		t.Logf("in %s: %s: %q", network, script, got)
		return got
	}
	until(t, "an answer inside the network", func() bool {
		return strings.Contains(run("inside", "nc -w 2 server 80 </dev/null 2>&1", nil), "served")
	})
	ip := struct {
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
	}{}
	if err := json.Unmarshal(must(t, "GET", "/containers/server/json", nil), &ip); err != nil {
		t.Fatal(err)
	}
	address := ip.NetworkSettings.Networks["inside"].IPAddress
	if got := run("edge", "nc -w 2 "+address+" 80 </dev/null 2>&1", nil); strings.Contains(got, "served") {
		t.Error("another network reaches the internal one")
	}
	// Somebody else in the machine's network may take the connection: the words tell.
	if conn, err := net.DialTimeout("tcp", address+":80", 2*time.Second); err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		if b, _ := io.ReadAll(conn); len(b) > 0 {
			t.Errorf("the machine reaches %s, which is published nowhere: %q", address, b)
		}
		_ = conn.Close()
	}
	for _, network := range []string{"inside", "edge", "bridge"} {
		got := run(network, "nc -w 2 203.0.113.7 80 </dev/null 2>&1 && echo connected", nil)
		refused := strings.Contains(got, "unreachable") || strings.Contains(got, "No route to host") || strings.Contains(got, "timed out")
		if strings.Contains(got, "connected") || !refused {
			t.Errorf("a public address from %s: %q", network, got)
		}
	}
	if got := run("edge", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; touch /x 2>&1; grep CapEff /proc/self/status", map[string]any{
		"Memory": 64 << 20, "ReadonlyRootfs": true, "CapDrop": []string{"ALL"}, "SecurityOpt": []string{"no-new-privileges:true"},
	}); !strings.Contains(got, "67108864\n") || !strings.Contains(got, "Read-only file system") || !strings.Contains(got, "CapEff:\t0000000000000000") {
		t.Errorf("limits: %q", got)
	}
	killComponent(t, "dockerd")
	until(t, "a status that tells of it", func() bool {
		st, err := node.EngineStatus(t.Context())
		if err != nil || !st.Ready {
			return false
		}
		for _, c := range st.Components {
			if c.Name == "dockerd" && c.Restarts > 0 {
				return true
			}
		}
		return false
	})
}

func lastOf(stream []byte) string {
	lines := strings.Split(strings.TrimSpace(string(stream)), "\n")
	return lines[len(lines)-1]
}
