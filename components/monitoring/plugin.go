package monitoring

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
)

// plugin says where Grafana has its data source of log lines from, in one of three forms: a
// version of the catalog at grafana.com, the https address of an archive, or the folder of
// Grafana's image in which its own folder is.
type plugin string

var pluginVersion = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// CheckLogsPlugin reports what is none of the forms.
func CheckLogsPlugin(v string) error {
	switch {
	case pluginVersion.MatchString(v):
		return nil
	case strings.HasPrefix(v, "/"):
		if path.Clean(v) == v && v != "/" && v != GrafanaData && !strings.HasPrefix(v, GrafanaData+"/") && !strings.ContainsAny(v, "$ ") {
			return nil
		}
		return fmt.Errorf("%q is no folder of Grafana's image that a volume leaves in sight: write e.g. /usr/share/grafana/plugins", v)
	}
	u := room.Address(v, "https")
	if u == nil || u.User != nil || u.Fragment != "" || strings.ContainsAny(v, " $") {
		return fmt.Errorf("%q is neither a version, nor the https address of an archive, nor a folder of Grafana's image: write e.g. %s", room.Shown(v), defaultLogsPlugin)
	}
	return nil
}

// folder of the image; "" where it is installed on the volume.
func (p plugin) folder() string {
	if strings.HasPrefix(string(p), "/") {
		return string(p)
	}
	return ""
}

// links let Grafana fetch it: from the Internet, or wherever an archive is.
func (p plugin) links(grafana room.Identity) []room.Link {
	if !p.installs() {
		return nil
	}
	to := room.Link{From: room.Of(grafana), To: room.Outside(room.Internet), Ports: []int{443}, Zone: room.Exit}
	if port, err := config.HTTPSPort(string(p)); err == nil {
		to.To, to.Ports = room.Outside(room.Anywhere), []int{port}
	}
	return []room.Link{to}
}

// logsPlugin is where the data source of log lines comes from; "" where Grafana has none.
func (a *Args) logsPlugin() plugin {
	if a.LogsURL == "" {
		return ""
	}
	return plugin(a.Grafana.LogsPlugin)
}

// environment are the variables of Grafana that follow from it.
func (p plugin) environment() map[string]string {
	switch {
	case p == "":
		return nil
	case p.folder() != "":
		return map[string]string{"GF_PATHS_PLUGINS": p.folder()}
	}
	return map[string]string{pluginVariable: string(p)}
}

// installs tells whether something has to be fetched before Grafana starts.
func (p plugin) installs() bool { return p != "" && p.folder() == "" }

// pluginVariable tells InstallPlugin what to install.
const pluginVariable = "LOGS_PLUGIN"

// InstallPlugin puts the data source of log lines on Grafana's volume, once for each version
// or address. What cannot be fetched within two minutes is tried again at the next start:
// Grafana starts without it, or with the one that was there before, as nothing else that it
// shows depends on it. Whether its maker has signed it, Grafana checks itself. The archive
// has programs for many platforms and does not fit into the pod's /tmp.
const InstallPlugin = `plugins="$GF_PATHS_DATA/plugins" id=` + board.LinesKind + ` mark="$GF_PATHS_DATA/plugins/.installed"
[ -d "$plugins/$id" ] && [ "$(cat "$mark" 2>/dev/null)" = "$` + pluginVariable + `" ] && exit 0
command -v grafana >/dev/null || { echo "this image has no command that installs plugins: log lines are not shown"; exit 0; }
case "$` + pluginVariable + `" in
https://*) set -- --pluginUrl "$` + pluginVariable + `" plugins install "$id" ;;
*) set -- plugins install "$id" "$` + pluginVariable + `" ;;
esac
mkdir -p "$plugins"
if TMPDIR="$GF_PATHS_DATA" timeout 120 grafana cli --homepath "$GF_PATHS_HOME" --pluginsDir "$plugins" "$@"
then echo "$` + pluginVariable + `" > "$mark"
else echo "$id $` + pluginVariable + ` was not installed, log lines are not shown; it is tried again when Grafana starts" >&2
fi
exit 0`

// starting are the scripts that run before Grafana does.
func (a *Args) starting() []script {
	all := []script{{"apply-password", ApplyPassword}}
	if a.logsPlugin().installs() {
		all = append(all, script{"logs-plugin", InstallPlugin})
	}
	return all
}

// script is one with the name of the container that runs it.
type script struct{ name, text string }
