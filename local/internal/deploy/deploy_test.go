package deploy

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

func TestChoose(t *testing.T) {
	down := errors.New("connection refused")
	noLocal := errors.New("no local cluster here")
	work := target{Context: "work", Server: "https://work", UID: "1"}
	home := target{Context: "home", Server: "https://home", UID: "2"}
	onLocal := target{Local: true, Server: topology.Local().APIServer(), UID: "3"}
	at := func(c target, err error) *cluster { return &cluster{c, err} }

	for name, c := range map[string]struct {
		in   situation
		want choice
		note string // in the note; empty: no note
		err  string // in the error; empty: none
	}{
		"nothing there":                         {in: situation{}, want: useLocal},
		"a stranger's cluster is left alone":    {in: situation{current: at(work, nil)}, want: useLocal, note: "https://work (context work), which is left alone: set CLUSTER=current"},
		"somebody is asked":                     {in: situation{current: at(work, nil), interactive: true}, want: askUser},
		"nobody is asked about a silent one":    {in: situation{current: at(work, down), interactive: true}, want: useLocal},
		"asked for":                             {in: situation{setting: "current", current: at(work, nil)}, want: useCurrent, note: "deploying to https://work"},
		"asked for, silent":                     {in: situation{setting: "current", current: at(work, down)}, err: "does not answer: connection refused"},
		"asked for, none":                       {in: situation{setting: "current"}, err: "no current kube context"},
		"asked for, unreadable":                 {in: situation{setting: "current", currentErr: errors.New("kubeconfig: bad")}, err: "kubeconfig: bad"},
		"unreadable, not asked for":             {in: situation{currentErr: errors.New("kubeconfig: bad")}, want: useLocal},
		"local asked for":                       {in: situation{setting: "local", current: at(work, nil), interactive: true}, want: useLocal},
		"stays where it is":                     {in: situation{was: &work, current: at(work, nil), interactive: true}, want: useCurrent, note: "deploying to https://work"},
		"stays local":                           {in: situation{was: &onLocal, current: at(work, nil), interactive: true}, want: useLocal},
		"the context was switched":              {in: situation{was: &work, current: at(home, nil)}, err: "kubectl config use-context work"},
		"the context is gone":                   {in: situation{was: &work}, err: "no current kube context"},
		"moved by the setting":                  {in: situation{setting: "current", was: &onLocal, current: at(work, nil)}, err: "deployed to the local cluster, not to https://work"},
		"moved to local by the setting":         {in: situation{setting: "local", was: &work, current: at(work, nil)}, err: "deployed to https://work (context work), not to the local cluster"},
		"another cluster at the same address":   {in: situation{was: &work, current: at(target{Context: "work", Server: "https://work", UID: "9"}, nil)}, err: "stack rm dev --force"},
		"the same cluster at another address":   {in: situation{was: &work, current: at(target{Context: "vpn", Server: "https://vpn", UID: "1"}, nil)}, want: useCurrent, note: "https://vpn"},
		"no local cluster possible":             {in: situation{noLocal: noLocal}, err: "no local cluster here"},
		"no local cluster possible, another is": {in: situation{noLocal: noLocal, current: at(work, nil)}, err: "set CLUSTER=current to deploy there"},
		"a misspelt setting":                    {in: situation{setting: "curent", current: at(work, nil)}, err: "CLUSTER=curent is not known"},
	} {
		c.in.stack = Stack
		got, note, err := choose(c.in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v; want %q", name, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want || (c.note == "") != (note == "") || !strings.Contains(note, c.note) {
			t.Errorf("%s: %v, %q, %v; want %v, %q", name, got, note, err, c.want, c.note)
		}
	}
}

// clone makes an empty clone the one in use and takes away every kubeconfig.
func clone(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "local"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "local", "go.mod"), []byte("module github.com/alphapulse/alphapulse-infra/local\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(paths.RootEnv, root)
	t.Setenv("KUBECONFIG", filepath.Join(root, "kubeconfig"))
	return root
}

func TestRemembered(t *testing.T) {
	clone(t)
	if got, err := remembered(Stack); got != nil || err != nil {
		t.Fatalf("remembered %v, %v before anything was", got, err)
	}
	want := target{Context: "work", Server: "https://work", UID: "1"}
	if err := remember(Stack, want); err != nil {
		t.Fatal(err)
	}
	if got, err := remembered(Stack); err != nil || *got != want {
		t.Errorf("remembered %v, %v; want %v", got, err, want)
	}
	if names, err := stacks(); err != nil || !slices.Equal(names, []string{Stack}) {
		t.Errorf("stacks %v, %v", names, err)
	}
	for range 2 {
		if err := forget(Stack); err != nil {
			t.Error(err)
		}
	}
	if got, _ := remembered(Stack); got != nil {
		t.Errorf("%v was not forgotten", got)
	}
}

// api is a cluster that answers the two questions that are asked of it.
func api(t *testing.T, namespaces http.HandlerFunc) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"gitVersion":"v1.37.2"}`)) })
	mux.HandleFunc("/api/v1/namespaces/kube-system", namespaces)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestAsk(t *testing.T) {
	tells := api(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"metadata":{"uid":"u1"}}`)) })
	if uid, err := ask(t.Context(), &rest.Config{Host: tells.URL + "/"}); uid != "u1" || err != nil {
		t.Errorf("%q, %v; want u1", uid, err)
	}
	forbids := api(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	if uid, err := ask(t.Context(), &rest.Config{Host: forbids.URL}); uid != "" || err != nil {
		t.Errorf("%q, %v; want a cluster that answers but does not tell", uid, err)
	}
	forbids.Close()
	if _, err := ask(t.Context(), &rest.Config{Host: forbids.URL}); err == nil {
		t.Error("a cluster that is gone answers")
	}
}

func TestCurrent(t *testing.T) {
	root := clone(t)
	if c, err := current(t.Context()); c != nil || err != nil {
		t.Errorf("%v, %v; want none without a kubeconfig", c, err)
	}
	s := api(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"metadata":{"uid":"u1"}}`)) })
	write := func(server string) {
		text := "apiVersion: v1\nkind: Config\ncurrent-context: work\ncontexts: [{name: work, context: {cluster: work}}]\nclusters: [{name: work, cluster: {server: \"" + server + "\"}}]\n"
		if err := os.WriteFile(filepath.Join(root, "kubeconfig"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(s.URL)
	if c, err := current(t.Context()); err != nil || c == nil || c.target != (target{Context: "work", Server: s.URL, UID: "u1"}) || c.err != nil {
		t.Errorf("%+v, %v; want %s", c, err, s.URL)
	}
	write(topology.Local().APIServer())
	if c, err := current(t.Context()); c != nil || err != nil {
		t.Errorf("%v, %v; want the local cluster not to count as another", c, err)
	}
}

func TestPulumiArguments(t *testing.T) {
	t.Setenv("PULUMI_STACK", "")
	for line, want := range map[string]struct {
		stack, command string
		reaches        bool
	}{
		"up":                         {"", "up", true},
		"up --yes -s prod":           {"prod", "up", true},
		"--stack prod update":        {"prod", "up", true},
		"-s=prod pre":                {"prod", "preview", true},
		"--stack=prod -C x destroy":  {"prod", "destroy", true},
		"stack output urls":          {"", "stack", false},
		"config set up down -s prod": {"prod", "config", false},
		"up --help":                  {"", "up", false},
		"--color always refresh":     {"", "refresh", true},
		"":                           {"", "", false},
	} {
		args := strings.Fields(line)
		if s, c, r := stackOf(args), command(args), reachesCluster(args); s != want.stack || c != want.command || r != want.reaches {
			t.Errorf("%q: %q, %q, %v; want %+v", line, s, c, r, want)
		}
	}
	t.Setenv("PULUMI_STACK", "prod")
	if s := stackOf([]string{"up"}); s != "prod" {
		t.Errorf("PULUMI_STACK is not heeded: %q", s)
	}
}

func TestRemoves(t *testing.T) {
	for line, want := range map[string]string{
		"destroy --yes":                   "dev",
		"down":                            "dev",
		"destroy --target urn:x":          "",
		"destroy -t urn:x":                "",
		"destroy --preview-only":          "",
		"stack rm --force":                "dev",
		"stack rm --force --yes prod":     "prod",
		"stack rm --stack prod":           "prod",
		"stack rm prod --preserve-config": "prod",
		"stack output":                    "",
		"up":                              "",
	} {
		if got := removes(strings.Fields(line), "dev"); got != want {
			t.Errorf("%q: %q; want %q", line, got, want)
		}
	}
}

func TestOnDocker(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"single": "config:\n  alphapulse:target: docker\n",
		"dev":    "config:\n  alphapulse:domain: docker\n",
		"prod":   "",
	} {
		if err := os.WriteFile(filepath.Join(root, "Pulumi."+name+".yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for stack, want := range map[string]bool{"single": true, "dev": false, "prod": false, "new": false, "organization/alphapulse/single": true} {
		if got, err := onDocker(root, stack); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", stack, got, err, want)
		}
	}
}

// The stack on one Docker host publishes what the local engine has on 127.0.0.1.
func TestSingleIsReached(t *testing.T) {
	root, err := paths.Root()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi.single.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for key, port := range map[string]int{"edgePublicPort": topology.Local().Ports[0], "edgePublicHttpPort": topology.Local().Ports[1]} {
		if line := fmt.Sprintf("  alphapulse:%s: %d\n", key, port); !strings.Contains(string(raw), line) {
			t.Errorf("Pulumi.single.yaml lacks %q", line)
		}
	}
}

// TestRouteDocker is about a machine without a running local engine: a clone made
// for the test has none, whatever else runs.
func TestRouteDocker(t *testing.T) {
	clone(t)
	r := progress.New(&bytes.Buffer{}, false, t.TempDir())
	t.Setenv(dockerHost, "")
	if env, now, err := routeDocker(t.Context(), r, "single", true); env != nil || now != nil || err != nil {
		t.Errorf("a stack that was never deployed: %v, %v, %v; want its own settings to decide", env, now, err)
	}
	if err := remember("single", target{Local: true, Docker: true, UID: "1"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := routeDocker(t.Context(), r, "single", true); err == nil || !strings.Contains(err.Error(), "stack single is deployed to the local Docker engine") {
		t.Errorf("a stack on the engine: %v; want a refusal to change another one", err)
	}
	if env, _, err := routeDocker(t.Context(), r, "single", false); env != nil || err != nil {
		t.Errorf("a command that reaches no engine: %v, %v", env, err)
	}
	t.Setenv(dockerHost, "ssh://other")
	if env, now, err := routeDocker(t.Context(), r, "single", true); env != nil || now != nil || err != nil {
		t.Errorf("another engine, by name: %v, %v, %v", env, now, err)
	}
}

// TestDestroyLeavesEnginesAlone holds that `make down` does not forget a stack on a
// Docker engine for want of a cluster.
func TestDestroyLeavesEnginesAlone(t *testing.T) {
	clone(t)
	if err := remember("single", target{Local: true, Docker: true, UID: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := Destroy(t.Context(), progress.New(&bytes.Buffer{}, false, t.TempDir())); err != nil {
		t.Fatal(err)
	}
	if was, err := remembered("single"); err != nil || was == nil {
		t.Errorf("remembered: %v, %v", was, err)
	}
}

func TestDropRemovesOnlyItsStack(t *testing.T) {
	root := clone(t)
	dir := filepath.Join(root, ".local", "state", ".pulumi", "stacks", "alphapulse")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"dev.json", "dev.json.bak", "dev2.json", "prod.json"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := drop("dev"); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if !slices.Equal(left, []string{"dev2.json", "prod.json"}) {
		t.Errorf("left: %v", left)
	}
}

func TestText(t *testing.T) {
	o := outputs{
		Namespace:     "alphapulse-dev",
		URLs:          map[string]string{"ui": "https://ui", "api": "https://api"},
		CACertificate: "x",
		Credentials:   map[string]string{"Grafana, user admin": "pulumi stack output grafanaPassword --show-secrets"},
	}
	got := o.text(".local/dev/ca.crt", true)
	for _, want := range []string{
		"\n  api   https://api\n", "\n  ui    https://ui\n",
		`Grafana, user admin   make pulumi ARGS="stack output grafanaPassword --show-secrets"`,
		"\n  curl --cacert .local/dev/ca.crt https://api/api/market/status\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if got := o.text("", false); strings.Contains(got, "--cacert") || !strings.Contains(got, "   pulumi stack output grafanaPassword --show-secrets\n") {
		t.Errorf("with a public certificate and pulumi on PATH:\n%s", got)
	}
}

func TestAnswering(t *testing.T) {
	calls := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if calls++; calls == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
		if req.URL.Path != tryPath {
			t.Errorf("asked for %s", req.URL.Path)
		}
	}))
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := answering(t.Context(), outputs{URLs: map[string]string{"api": s.URL}, CACertificate: string(ca)}); err != nil || calls != 2 {
		t.Errorf("%v after %d calls; want success at the second", err, calls)
	}

	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.TLS = &tls.Config{}
	other.StartTLS()
	defer other.Close()
	client := other.Client()
	if err := get(t.Context(), client, other.URL); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an edge without the route: %v; want 404 to be an error", err)
	}
}

func TestTrouble(t *testing.T) {
	waiting := func(reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "c", RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
	}
	pod := func(s corev1.PodStatus) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: s}
	}
	condition := func(kind corev1.PodConditionType, message string) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: kind, Status: corev1.ConditionFalse, Message: message}}
	}
	for name, c := range map[string]struct {
		pod  corev1.Pod
		want string
	}{
		"ready":         {pod(corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}), ""},
		"finished job":  {pod(corev1.PodStatus{Phase: corev1.PodSucceeded, Conditions: condition(corev1.PodReady, "")}), ""},
		"no image":      {pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("ImagePullBackOff", "not found")}}), "container c: ImagePullBackOff, restarted 3 times. not found"},
		"init":          {pod(corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{waiting("CrashLoopBackOff", "")}}), "container c: CrashLoopBackOff, restarted 3 times."},
		"ended":         {pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}}}}), "container c ended with exit code 137 (OOMKilled)"},
		"unschedulable": {pod(corev1.PodStatus{Conditions: condition(corev1.PodScheduled, "0/1 nodes")}), "not scheduled: 0/1 nodes"},
		"not ready":     {pod(corev1.PodStatus{Conditions: condition(corev1.PodReady, "containers with unready status: [c]"), ContainerStatuses: []corev1.ContainerStatus{waiting("ContainerCreating", "")}}), "not ready: containers with unready status: [c]"},
	} {
		if got := trouble(c.pod); got != c.want {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
}

func TestWarningsAreTheNewestOnce(t *testing.T) {
	event := func(pod, message string) corev1.Event {
		return corev1.Event{InvolvedObject: corev1.ObjectReference{Name: pod}, Reason: "R", Message: message}
	}
	got := warnings([]corev1.Event{event("p", "a"), event("p", "b"), event("q", "x"), event("p", "b"), event("p", "c"), event("p", "d")}, "p")
	if !slices.Equal(got, []string{"R: d", "R: c", "R: b"}) {
		t.Errorf("got %v", got)
	}
}

func TestSelectorOf(t *testing.T) {
	pod := func(instance, name string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{instanceLabel: instance, nameLabel: name}}}
	}
	pods := []corev1.Pod{pod("backend", "backend"), pod("backend", "backend-engine"), pod("cache", "cache"), {}}
	for component, want := range map[string]string{
		"backend":        "app.kubernetes.io/instance=backend",
		"backend-engine": "app.kubernetes.io/name=backend-engine",
	} {
		if got, err := selectorOf(pods, component); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", component, got, err, want)
		}
	}
	for component, want := range map[string]string{"": "set C to one of backend, backend-engine, cache", "web": `"web"`} {
		if _, err := selectorOf(pods, component); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v; want %q in it", component, err, want)
		}
	}
	if _, err := selectorOf(nil, "backend"); err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("nothing deployed: error %v", err)
	}
}
