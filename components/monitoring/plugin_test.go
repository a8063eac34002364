package monitoring

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

const linesFrom = "http://telemetry-logs:9428/logs"

// Grafana reaches out for its data source of log lines where it has to be fetched, and only
// then: on the Internet alone, or wherever a mirror is.
func TestGrafanaFetchesItsDataSource(t *testing.T) {
	for name, c := range map[string]struct {
		logs, plugin string
		port         int
		to           *room.Network
		variables    map[string]string
		scripts      int
	}{
		"no log lines": {plugin: "0.30.1", scripts: 1},
		"by default":   {logs: linesFrom, port: 443, to: &room.Internet, variables: map[string]string{"LOGS_PLUGIN": defaultLogsPlugin}, scripts: 2},
		"another one":  {logs: linesFrom, plugin: "0.31.0", port: 443, to: &room.Internet, variables: map[string]string{"LOGS_PLUGIN": "0.31.0"}, scripts: 2},
		"a mirror": {logs: linesFrom, plugin: "https://mirror.example.com:8443/logs.zip", port: 8443, to: &room.Anywhere,
			variables: map[string]string{"LOGS_PLUGIN": "https://mirror.example.com:8443/logs.zip"}, scripts: 2},
		"in the image": {logs: linesFrom, plugin: "/opt/plugins", variables: map[string]string{"GF_PATHS_PLUGINS": "/opt/plugins"}, scripts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := &Args{LogsURL: c.logs, ExternalURL: pulumi.String("https://monitoring.example.com"), Grafana: Grafana{LogsPlugin: c.plugin}}
			a = a.withDefaults("monitoring")
			var ways []room.Link
			for _, l := range a.Facts("monitoring", room.Kubernetes).Links {
				if l.Zone == room.Exit && *l.From.Workload == GrafanaOf("monitoring") {
					ways = append(ways, l)
				}
			}
			switch {
			case c.to == nil && len(ways) > 0:
				t.Errorf("%+v lead out of it", ways)
			case c.to != nil && (len(ways) != 1 || !slices.Equal(ways[0].To.Network.Except, c.to.Except) || !slices.Equal(ways[0].Ports, []int{c.port})):
				t.Errorf("%+v lead out of it, want %+v on port %d", ways, c.to, c.port)
			}
			env := a.GrafanaEnvironment()
			for _, variable := range []string{"LOGS_PLUGIN", "GF_PATHS_PLUGINS"} {
				got := ""
				if env[variable] != nil {
					got = string(env[variable].(pulumi.String))
				}
				if got != c.variables[variable] {
					t.Errorf("%s is %q, want %q", variable, got, c.variables[variable])
				}
			}
			if env["GF_PLUGINS_PREINSTALL_DISABLED"] != pulumi.String("true") {
				t.Error("Grafana replaces what comes with its image")
			}
			if got := len(a.starting()); got != c.scripts {
				t.Errorf("%d scripts before Grafana, want %d", got, c.scripts)
			}
		})
	}
}

func TestWhereADataSourceComesFromIsChecked(t *testing.T) {
	for _, good := range []string{"0.30.1", "1.0.0-beta.1", "https://mirror.example.com/a.zip?b=1", "https://mirror.example.com:8443/a", "/opt/plugins"} {
		if err := CheckLogsPlugin(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "latest", "v0.30.1", "0.30", "http://mirror.example.com/a.zip", "https://me:pw@mirror.example.com/a.zip", "https://mirror.example.com/$a", "opt/plugins", "/", "/opt/", "/opt/$HOME", GrafanaData, GrafanaData + "/plugins"} {
		if CheckLogsPlugin(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	a := &Args{LogsURL: linesFrom, Grafana: Grafana{LogsPlugin: "latest"}}
	if _, err := a.Validated("monitoring"); err == nil || !strings.Contains(err.Error(), "Grafana.LogsPlugin") {
		t.Errorf("%v", err)
	}
}

// installer runs InstallPlugin with a program in grafana's place, which takes down what it is
// asked for and makes the folder, or fails.
type installer struct{ data, programs, asked string }

func newInstaller(t *testing.T) installer {
	dir := t.TempDir()
	i := installer{filepath.Join(dir, "data"), filepath.Join(dir, "programs"), filepath.Join(dir, "asked")}
	for _, d := range []string{i.data, i.programs} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

func (i installer) fake(t *testing.T, ends int) {
	t.Helper()
	script := fmt.Sprintf("#!/bin/sh\necho \"$TMPDIR $*\" >> %s\n[ %d = 0 ] && mkdir -p %s/plugins/%s\nexit %d\n", i.asked, ends, i.data, board.LinesKind, ends)
	if err := os.WriteFile(filepath.Join(i.programs, "grafana"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// start gives what the script said, and what grafana was asked for.
func (i installer) start(t *testing.T, plugin string) (said, asked string) {
	t.Helper()
	_ = os.Remove(i.asked)
	cmd := exec.Command("sh", "-c", InstallPlugin)
	cmd.Env = []string{"PATH=" + i.programs + ":/usr/bin:/bin", "GF_PATHS_DATA=" + i.data, "GF_PATHS_HOME=/usr/share/grafana", "LOGS_PLUGIN=" + plugin}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("Grafana does not start: %v %s", err, out)
	}
	raw, _ := os.ReadFile(i.asked)
	return string(out), strings.TrimSpace(string(raw))
}

// Whatever happens to the data source, Grafana starts; it is fetched once, and again when
// another one is asked for or the last time did not work.
func TestADataSourceIsInstalledOnce(t *testing.T) {
	i := newInstaller(t)
	if said, _ := i.start(t, "0.30.1"); !strings.Contains(said, "has no command") {
		t.Errorf("an image without the command: %q", said)
	}
	common := fmt.Sprintf("%s cli --homepath /usr/share/grafana --pluginsDir %s/plugins", i.data, i.data)
	version := common + " plugins install " + board.LinesKind + " "
	i.fake(t, 1)
	for range 2 {
		if said, asked := i.start(t, "0.30.1"); asked != version+"0.30.1" || !strings.Contains(said, "was not installed") {
			t.Errorf("without a way out: %q, asked %q", said, asked)
		}
	}
	i.fake(t, 0)
	if said, asked := i.start(t, "0.30.1"); asked != version+"0.30.1" || said != "" {
		t.Errorf("once there is a way: %q, asked %q", said, asked)
	}
	i.fake(t, 1) // and away again
	if said, asked := i.start(t, "0.30.1"); asked+said != "" {
		t.Errorf("it is there: %q, asked %q", said, asked)
	}
	const mirror = "https://mirror.example.com/logs.zip?a=1&b=2"
	byMirror := common + " --pluginUrl " + mirror + " plugins install " + board.LinesKind
	if said, asked := i.start(t, mirror); asked != byMirror || !strings.Contains(said, "was not installed") {
		t.Errorf("another one, without a way out: %q, asked %q", said, asked)
	}
	if _, err := os.Stat(filepath.Join(i.data, "plugins", board.LinesKind)); err != nil {
		t.Error("the one that was there is gone")
	}
	i.fake(t, 0)
	for _, want := range []string{byMirror, ""} {
		if _, asked := i.start(t, mirror); asked != want {
			t.Errorf("asked %q, want %q", asked, want)
		}
	}
	if err := os.RemoveAll(filepath.Join(i.data, "plugins", board.LinesKind)); err != nil {
		t.Fatal(err)
	}
	if _, asked := i.start(t, mirror); asked != byMirror {
		t.Errorf("its folder is gone: asked %q", asked)
	}
}

// The data source leads to VictoriaLogs where there is one to ask.
func TestLogLinesAreProvisioned(t *testing.T) {
	a := &Args{TracesURL: "http://telemetry-traces:16686/jaeger"}
	for _, logs := range []string{"", linesFrom} {
		a.LogsURL, a.LogsPages = logs, "https://monitoring.example.com/logs"
		files, _, err := a.withDefaults("monitoring").GrafanaProvisioning()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(files[datasourcesFile], "url: "+linesFrom+"\n"); got != (logs != "") {
			t.Errorf("with %q: %s", logs, files[datasourcesFile])
		}
	}
}
