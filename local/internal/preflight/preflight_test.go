package preflight

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// needs is what a cold start asks for, and fine is a machine that has it.
func needs() Needs {
	return Needs{
		Root: true, Ports: []int{30443, 30080}, Ranges: []string{"10.250.0.0/30", "10.244.0.0/16", "10.96.0.0/16"}, Links: []string{"alphapulse0", "alphapulse2"},
		StateDir: "/repo/.local/cluster", CacheDir: "/root/.cache/x", GoModules: []string{"/repo/local/modules/kubernetes"}, FirstBuild: true, Debian: []string{"ipset"}, NPM: true,
	}
}

func fine() Facts {
	return Facts{
		OS: "linux", Root: true, Memory: 8 * gib, CacheFree: 30 * gib, StateFree: 30 * gib, OneDisk: true,
		Networks: []Network{{netip.MustParsePrefix("192.0.2.0/24"), "network of eth0"}, {netip.MustParsePrefix("172.17.0.0/16"), "network of docker0"}},
	}
}

func TestCheck(t *testing.T) {
	if p := Check(fine(), needs()); len(p) > 0 {
		t.Fatalf("a machine that has everything: %q", p)
	}
	for _, c := range []struct {
		name   string
		change func(*Facts, *Needs)
		want   []string // in the one problem; none: no problem
	}{
		{"not Linux", func(f *Facts, _ *Needs) { *f = Facts{OS: "darwin"} }, []string{"darwin", "Linux only", "KUBECONFIG"}},
		{"not root", func(f *Facts, _ *Needs) { f.Root = false }, []string{"not root", "sudo"}},
		{"not root, not needed", func(f *Facts, n *Needs) { f.Root, n.Root = false, false }, nil},
		{"kernel", func(f *Facts, _ *Needs) { f.Missing = []string{"nftables (CONFIG_NF_TABLES)"} }, []string{"kernel lacks nftables"}},
		{"port", func(f *Facts, _ *Needs) { f.Listening = map[int]string{30443: "nginx (process 7)"} }, []string{"port 30443", "nginx (process 7)"}},
		{"another port", func(f *Facts, _ *Needs) { f.Listening = map[int]string{443: "nginx (process 7)"} }, nil},
		{"range of an interface", func(f *Facts, _ *Needs) {
			f.Networks = append(f.Networks, Network{netip.MustParsePrefix("10.244.3.0/24"), "network of cni0"})
		}, []string{"10.244.0.0/16", "10.244.3.0/24", "network of cni0"}},
		{"wider route", func(f *Facts, _ *Needs) {
			f.Networks = append(f.Networks, Network{netip.MustParsePrefix("10.96.0.0/11"), "target of a route over tun0"})
		}, []string{"10.96.0.0/16", "10.96.0.0/11", "tun0"}},
		{"next range", func(f *Facts, _ *Needs) {
			f.Networks = append(f.Networks, Network{netip.MustParsePrefix("10.250.0.4/30"), "network of eth1"})
		}, nil},
		{"memory to compile", func(f *Facts, _ *Needs) { f.Memory = MinMemoryCold - 1 }, []string{"memory", "compiling", "5.0 GiB"}},
		{"memory to run", func(f *Facts, n *Needs) { f.Memory, n.GoModules = MinMemoryWarm-1, nil }, []string{"memory", "running cluster", "2.0 GiB"}},
		{"enough memory to run", func(f *Facts, n *Needs) { f.Memory, n.GoModules = MinMemoryWarm, nil }, nil},
		{"unknown memory", func(f *Facts, _ *Needs) { f.Memory = 0 }, nil},
		{"disk to build", func(f *Facts, _ *Needs) { f.CacheFree, f.StateFree = 5*gib, 5*gib }, []string{"5.0 GiB are free", "/root/.cache/x", "20.0 GiB", "free 15.0 GiB"}},
		{"disk to build again", func(f *Facts, n *Needs) { f.CacheFree, f.StateFree, n.FirstBuild = 5*gib, 5*gib, false }, []string{"5.0 GiB are free", "/root/.cache/x", "6.0 GiB"}},
		{"enough disk to build again", func(f *Facts, n *Needs) { f.CacheFree, f.StateFree, n.FirstBuild = 6*gib, 6*gib, false }, nil},
		{"two disks", func(f *Facts, _ *Needs) { f.OneDisk, f.StateFree = false, 1*gib }, []string{"1.0 GiB are free", "/repo/.local/cluster"}},
		{"disk to run", func(f *Facts, n *Needs) { f.CacheFree, f.StateFree, n.GoModules = 1*gib, 1*gib, nil }, []string{"/repo/.local/cluster", "4.0 GiB"}},
		{"enough disk to run", func(f *Facts, n *Needs) { f.CacheFree, f.StateFree, n.GoModules = 5*gib, 5*gib, nil }, nil},
		{"no cluster", func(f *Facts, n *Needs) { f.CacheFree, f.StateFree, n.GoModules, n.StateDir = 1*gib, 1*gib, nil, "" }, nil},
		{"file system", func(f *Facts, _ *Needs) { f.StateFS = "NFS" }, []string{"/repo/.local/cluster", "NFS", "ext4"}},
		{"tool", func(f *Facts, _ *Needs) { f.Tools = []string{"npm is missing"} }, []string{"npm is missing"}},
		{"registry", func(f *Facts, _ *Needs) {
			f.Registries = []Registry{{"Go modules", "https://proxy.example.org", "GOPROXY to one that is", errors.New("connection refused")}}
		}, []string{"Go modules", "https://proxy.example.org", "connection refused", "GOPROXY"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, n := fine(), needs()
			c.change(&f, &n)
			got := Check(f, n)
			if c.want == nil {
				if len(got) > 0 {
					t.Errorf("got %q, want none", got)
				}
				return
			}
			if len(got) != 1 || strings.Contains(got[0], "\n") {
				t.Fatalf("got %q, want one line", got)
			}
			for _, w := range c.want {
				if !strings.Contains(got[0], w) {
					t.Errorf("%q is not in %q", w, got[0])
				}
			}
		})
	}
}

func TestCheckTellsAllProblemsAtOnce(t *testing.T) {
	f := fine()
	f.Root, f.Memory, f.CacheFree = false, gib, gib
	f.Listening = map[int]string{30443: "a", 30080: "b"}
	f.Registries = []Registry{{Name: "npm packages", Err: errors.New("x")}}
	p := Check(f, needs())
	if len(p) != 6 {
		t.Errorf("got %d problems, want 6: %q", len(p), p)
	}
	text := (&Error{p}).Error()
	if !strings.HasPrefix(text, "6 things are in the way:\n  - not root") || strings.Count(text, "\n") != 6 {
		t.Errorf("got %q", text)
	}
	if text := (&Error{p[:1]}).Error(); text != p[0] {
		t.Errorf("one problem: got %q", text)
	}
}

func TestGoRegistry(t *testing.T) {
	var status int
	asked := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		w.WriteHeader(status)
	}))
	defer s.Close()
	// A module whose needs are in no download cache.
	dir := t.TempDir()
	mod := "module m\n\ngo 1.26.0\n\nrequire example.invalid/none v1.0.0\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		proxy  string
		status int
		want   string // in the problem; empty: none
	}{
		{s.URL, 200, ""},
		{s.URL + ",direct", 403, "403"},
		{"direct", 0, ""},
		{"off", 0, "off"},
		{"http://127.0.0.1:1", 0, "refused"},
		{"http://127.0.0.1:1,direct", 0, "refused"},
		{"file:///mirror", 0, ""},
	} {
		t.Setenv("GOPROXY", c.proxy)
		status = c.status
		r := goRegistry(t.Context(), []string{dir})
		switch {
		case c.want == "" && r != nil:
			t.Errorf("%s, %d: %+v", c.proxy, c.status, r)
		case c.want != "" && (r == nil || !strings.Contains(r.Err.Error(), c.want)):
			t.Errorf("%s, %d: got %+v, want %q", c.proxy, c.status, r, c.want)
		}
	}
	if asked != "/golang.org/x/sys/@v/list" {
		t.Errorf("asked for %q", asked)
	}
	t.Setenv("GOPROXY", "http://127.0.0.1:1")
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module m\n\ngo 1.26.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := goRegistry(t.Context(), []string{dir}); r != nil {
		t.Errorf("everything is cached, and yet %+v", r)
	}
}

func TestWholeCommandEndsWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := wholeCommand(ctx, "sh", "-c", `(while :; do echo x > "$0/x"; done) & echo started; wait`, dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	// The pipe ends with the last that holds it.
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the command was not ended")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(dir); err != nil || len(left) > 0 {
		t.Errorf("what it wrote to is there again: %v, %v", left, err)
	}
}
