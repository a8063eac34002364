package images

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A sandbox runs an image's script in a real shell. Programs of the image are
// replaced by ones that write down how they were called; paths of the image that
// the script names lie below a folder.
type sandbox struct {
	t    *testing.T
	root string
	bin  string
	log  string
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	root := t.TempDir()
	s := &sandbox{t: t, root: root, bin: filepath.Join(root, "bin"), log: filepath.Join(root, "calls")}
	if err := os.Mkdir(s.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// program puts a program on PATH: it writes down its name and arguments, then
// runs body.
func (s *sandbox) program(name, body string) {
	s.t.Helper()
	s.put("bin/"+name, fmt.Sprintf("#!/bin/bash\nprintf '%%s' %s >>%s; printf ' [%%s]' \"$@\" >>%s; echo >>%s\n%s\n", name, s.log, s.log, s.log, body))
	if err := os.Chmod(filepath.Join(s.bin, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sandbox) put(name, text string) string {
	s.t.Helper()
	p := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *sandbox) read(name string) string {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(raw)
}

// run runs one of the embedded scripts and returns what was called, its output
// and whether it ended well.
func (s *sandbox) run(shell, script string, env []string, args ...string) (calls []string, output string, ok bool) {
	s.t.Helper()
	if err := os.RemoveAll(s.log); err != nil {
		s.t.Fatal(err)
	}
	text := string(file(script, 0).Content)
	for _, path := range []string{"/docker-entrypoint-initdb.d", "/docker-entrypoint.d", "/var/run/postgresql", "/etc/nginx", "/etc/resolv.conf", "/usr/share/grafana"} {
		text = strings.ReplaceAll(text, path, s.root+path)
	}
	p := s.put("script", text)
	if err := os.Chmod(p, 0o755); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(shell, append([]string{p}, args...)...)
	cmd.Dir = s.root
	cmd.Env = append([]string{"PATH=" + s.bin + ":/usr/sbin:/usr/bin:/sbin:/bin"}, env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	calls = strings.Split(strings.TrimSpace(s.read("calls")), "\n")
	return calls, string(out), err == nil
}

// database is a sandbox with PostgreSQL's programs, for the given user.
func database(t *testing.T, uid int) (*sandbox, []string) {
	s := newSandbox(t)
	s.program("id", fmt.Sprint("echo ", uid))
	s.program("initdb", `for a; do case $a in --pwfile=*) echo "password $(cat "${a#--pwfile=}")" >>`+s.log+`;; esac; done; mkdir -p "$PGDATA"; echo 17 >"$PGDATA/PG_VERSION"; touch "$PGDATA/pg_hba.conf"`)
	s.program("postgres", `[ "$1" != -C ] || echo scram-sha-256`)
	s.program("pg_ctl", "")
	s.program("psql", `cat >>`+s.log+` </dev/stdin`)
	s.program("chown", "")
	s.program("setpriv", "")
	return s, []string{"PGDATA=" + filepath.Join(s.root, "data")}
}

func has(calls []string, parts ...string) bool {
	return slices.ContainsFunc(calls, func(c string) bool {
		for _, p := range parts {
			if !strings.Contains(c, p) {
				return false
			}
		}
		return true
	})
}

func TestPostgresMakesADatabase(t *testing.T) {
	s, env := database(t, 70)
	secret := s.put("secret", "pass word\n")
	s.put("docker-entrypoint-initdb.d/1.sql", "select 1;")
	s.put("docker-entrypoint-initdb.d/2.sh", "echo sourced $POSTGRES_DB $PGPASSWORD")
	s.put("docker-entrypoint-initdb.d/3.txt", "")
	calls, out, ok := s.run("bash", "postgres-entrypoint.sh", append(env, "POSTGRES_PASSWORD_FILE="+secret, "POSTGRES_USER=admin", "POSTGRES_DB=app", "POSTGRES_INITDB_ARGS=--data-checksums --set 'a=b c'"), "-c", "x=y z")
	if !ok {
		t.Fatalf("failed: %s", out)
	}
	for what, parts := range map[string][]string{
		"initdb gets the user and the arguments":   {"initdb", "[--username=admin]", "[--data-checksums]", "[--set] [a=b c]"},
		"the password goes through a pipe":         {"password pass word"},
		"the first start is on the socket only":    {"pg_ctl", "[start]", "listen_addresses="},
		"the first start has the given settings":   {"pg_ctl", `-c x=y\ z`},
		"the database is made":                     {`CREATE DATABASE :"db";`},
		"its name is no part of the statement":     {"psql", "[db=app]", "[--username] [admin]"},
		"scripts in SQL run in the database":       {"psql", "[--dbname] [app]", "1.sql]"},
		"the first server is stopped":              {"pg_ctl", "[fast]", "[stop]"},
		"the server gets the container's settings": {"postgres [-c] [x=y z]"},
	} {
		if !has(calls, parts...) {
			t.Errorf("%s: no call has %q in\n%s", what, parts, strings.Join(calls, "\n"))
		}
	}
	if has(calls, "initdb", "pass word") {
		t.Error("the password is in the arguments of initdb")
	}
	if !strings.Contains(out, "sourced app pass word") || !strings.Contains(out, "ignoring") {
		t.Errorf("output: %s", out)
	}
	if hba := s.read("data/pg_hba.conf"); !strings.Contains(hba, "host all all all scram-sha-256") {
		t.Errorf("pg_hba.conf: %q", hba)
	}
	if !strings.HasPrefix(calls[len(calls)-1], "postgres [-c]") {
		t.Errorf("the last call is %q", calls[len(calls)-1])
	}
}

func TestPostgresStartsWithoutArguments(t *testing.T) {
	s, env := database(t, 70)
	calls, out, ok := s.run("bash", "postgres-entrypoint.sh", append(env, "POSTGRES_PASSWORD=x"), "postgres")
	if !ok {
		t.Fatalf("failed: %s", out)
	}
	if has(calls, "pg_ctl", "''") {
		t.Errorf("the first start gets an empty argument: %q", calls)
	}
	if has(calls, "CREATE DATABASE") {
		t.Error("the database postgres was made again")
	}
}

func TestPostgresLeavesDataAlone(t *testing.T) {
	s, env := database(t, 70)
	s.put("data/PG_VERSION", "17")
	calls, out, ok := s.run("bash", "postgres-entrypoint.sh", env, "postgres", "-c", "a=b")
	if !ok || !strings.Contains(out, "Skipping initialization") {
		t.Errorf("output %s", out)
	}
	if has(calls, "initdb") || has(calls, "psql") || !has(calls, "postgres [-c] [a=b]") {
		t.Errorf("calls %q", calls)
	}
}

func TestPostgresAsRootBecomesPostgres(t *testing.T) {
	s, env := database(t, 0)
	calls, out, ok := s.run("bash", "postgres-entrypoint.sh", append(env, "POSTGRES_PASSWORD=x"), "postgres")
	if !ok {
		t.Fatalf("failed: %s", out)
	}
	if !has(calls, "setpriv [--reuid=postgres] [--regid=postgres] [--init-groups]", "[postgres]") || has(calls, "initdb") {
		t.Errorf("calls %q", calls)
	}
}

func TestPostgresRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		env  []string
		says string
	}{
		"no password":           {nil, "POSTGRES_PASSWORD"},
		"both ways":             {[]string{"POSTGRES_PASSWORD=x", "POSTGRES_PASSWORD_FILE=/dev/null"}, "both set"},
		"a file that is absent": {[]string{"POSTGRES_PASSWORD_FILE=/nonexistent"}, "cannot be read"},
	} {
		s, env := database(t, 70)
		calls, out, ok := s.run("bash", "postgres-entrypoint.sh", append(env, c.env...), "postgres")
		if ok || !strings.Contains(out, c.says) || has(calls, "initdb") {
			t.Errorf("%s: ok %t, output %q, calls %q", what, ok, out, calls)
		}
	}
}

func TestPostgresTrustAndOtherCommands(t *testing.T) {
	s, env := database(t, 70)
	_, out, ok := s.run("bash", "postgres-entrypoint.sh", append(env, "POSTGRES_HOST_AUTH_METHOD=trust"), "postgres")
	if !ok || !strings.Contains(out, "warning") || !strings.Contains(s.read("data/pg_hba.conf"), "host all all all trust") {
		t.Errorf("trust: %s", out)
	}
	s, env = database(t, 70)
	for _, args := range [][]string{{"psql", "-c", "x"}, {"postgres", "--version"}} {
		calls, out, ok := s.run("bash", "postgres-entrypoint.sh", env, args...)
		if !ok || has(calls, "initdb") || !has(calls, args[0]+" ["+args[1]+"]") {
			t.Errorf("%q: %q, %s", args, calls, out)
		}
	}
}

func TestTimescaleIsInEveryDatabase(t *testing.T) {
	s, env := database(t, 70)
	calls, out, ok := s.run("bash", "timescaledb-initdb.sh", append(env, "POSTGRES_USER=admin", "POSTGRES_DB=app"))
	if !ok {
		t.Fatal(out)
	}
	for _, db := range []string{"postgres", "template1", "app"} {
		if !has(calls, "psql", "[--username] [admin]", "[--dbname] ["+db+"]", "CREATE EXTENSION IF NOT EXISTS timescaledb") {
			t.Errorf("%s has no extension: %q", db, calls)
		}
	}
}

func TestCaches(t *testing.T) {
	for _, name := range []string{"redis", "valkey"} {
		t.Run(name, func(t *testing.T) { startsCache(t, name) })
	}
}

func startsCache(t *testing.T, name string) {
	server, cli := name+"-server", name+"-cli"
	for what, c := range map[string]struct {
		uid  int
		args []string
		want string
	}{
		"options":               {999, []string{"--port", "1"}, server + " [--port] [1]"},
		"a configuration file":  {999, []string{"/etc/redis/redis.conf", "--x", "y"}, server + " [/etc/redis/redis.conf] [--x] [y]"},
		"the server":            {999, []string{server}, server + " []"},
		"another command":       {0, []string{cli, "ping"}, cli + " [ping]"},
		"root becomes the user": {0, []string{"--port", "1"}, fmt.Sprintf("setpriv [--reuid=%[1]s] [--regid=%[1]s] [--init-groups]", name)},
	} {
		s := newSandbox(t)
		s.program("id", fmt.Sprint("echo ", c.uid))
		for _, p := range []string{server, cli, "setpriv", "chown", "find"} {
			s.program(p, "umask >>"+s.log)
		}
		calls, out, ok := s.run("bash", "cache-entrypoint.sh", nil, c.args...)
		if !ok || !has(calls, c.want) {
			t.Errorf("%s: %q, %s", what, calls, out)
		}
		if c.uid == 999 && !slices.Contains(calls, "0077") {
			t.Errorf("%s: others can read what the server writes: %q", what, calls)
		}
	}
}

func TestNginxRunsScriptsInOrder(t *testing.T) {
	s := newSandbox(t)
	s.program("nginx", "")
	s.put("docker-entrypoint.d/1.envsh", "export FROM_ENVSH=yes")
	s.put("docker-entrypoint.d/2.sh", "#!/bin/bash\necho \"ran $FROM_ENVSH\"")
	s.put("docker-entrypoint.d/3.sh", "#!/bin/bash\necho must not run")
	s.put("docker-entrypoint.d/4.txt", "")
	for _, f := range []string{"1.envsh", "2.sh"} {
		if err := os.Chmod(filepath.Join(s.root, "docker-entrypoint.d", f), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	calls, out, ok := s.run("bash", "nginx-entrypoint.sh", nil, "nginx", "-g", "daemon off;")
	if !ok || !slices.Equal(calls, []string{"nginx [-g] [daemon off;]"}) {
		t.Errorf("calls %q, %s", calls, out)
	}
	if !strings.Contains(out, "ran yes") || strings.Contains(out, "must not run") || !strings.Contains(out, "3.sh: it is not executable") {
		t.Errorf("output %s", out)
	}
	_, out, _ = s.run("bash", "nginx-entrypoint.sh", []string{"NGINX_ENTRYPOINT_QUIET_LOGS=1"}, "nginx")
	if strings.TrimSpace(out) != "ran yes" {
		t.Errorf("not quiet: %s", out)
	}
	_, out, _ = s.run("bash", "nginx-entrypoint.sh", nil, "echo", "other")
	if strings.TrimSpace(out) != "other" {
		t.Errorf("another command ran the scripts: %s", out)
	}
}

// envsubst does what gettext's does for the names that it is given.
const envsubst = `names=$1; text=$(cat; printf x); text=${text%x}
for n in $names; do n=${n#\$\{}; n=${n%\}}; text=${text//\$\{$n\}/${!n}}; text=${text//\$$n/${!n}}; done; printf %s "$text"`

func TestNginxTemplates(t *testing.T) {
	for what, c := range map[string]struct {
		env  []string
		want map[string]string
	}{
		"defaults": {
			[]string{"PORT=81", "HOST_NAME=a.b"},
			map[string]string{"conf.d/a.conf": "listen 81; a.b $uri\n", "conf.d/sub/b.conf": "81\n"},
		},
		"filter": {
			[]string{"PORT=81", "HOST_NAME=a.b", "NGINX_ENVSUBST_FILTER=^PO"},
			map[string]string{"conf.d/a.conf": "listen 81; ${HOST_NAME} $uri\n"},
		},
		"suffix": {
			[]string{"PORT=81", "NGINX_ENVSUBST_TEMPLATE_SUFFIX=.tpl"},
			map[string]string{"conf.d/a.conf": "", "conf.d/c": "81\n"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSandbox(t)
			s.program("envsubst", envsubst)
			s.put("etc/nginx/templates/a.conf.template", "listen ${PORT}; ${HOST_NAME} $uri\n")
			s.put("etc/nginx/templates/sub/b.conf.template", "${PORT}\n")
			s.put("etc/nginx/templates/c.tpl", "${PORT}\n")
			if err := os.MkdirAll(filepath.Join(s.root, "etc/nginx/conf.d"), 0o755); err != nil {
				t.Fatal(err)
			}
			if _, out, ok := s.run("bash", "nginx-templates.sh", c.env); !ok {
				t.Fatal(out)
			}
			for file, want := range c.want {
				if got := s.read("etc/nginx/" + file); got != want {
					t.Errorf("%s is %q, want %q", file, got, want)
				}
			}
		})
	}
}

func TestNginxTemplatesElsewhereAndNone(t *testing.T) {
	s := newSandbox(t)
	s.program("envsubst", envsubst)
	if _, out, ok := s.run("bash", "nginx-templates.sh", nil); !ok {
		t.Errorf("without a folder of templates: %s", out)
	}
	s.put("from/x.template", "${A}")
	if err := os.Mkdir(filepath.Join(s.root, "to"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, out, ok := s.run("bash", "nginx-templates.sh", []string{"A=1", "NGINX_ENVSUBST_TEMPLATE_DIR=" + s.root + "/from", "NGINX_ENVSUBST_OUTPUT_DIR=" + s.root + "/to"}); !ok {
		t.Fatal(out)
	}
	if got := s.read("to/x"); got != "1" {
		t.Errorf("got %q", got)
	}
}

func TestNginxResolversAndWorkers(t *testing.T) {
	s := newSandbox(t)
	s.put("etc/resolv.conf", "search x\nnameserver 10.96.0.10\nnameserver fd00::a\n")
	script := "nginx-local-resolvers.envsh"
	text := strings.ReplaceAll(string(file(script, 0).Content), "/etc/resolv.conf", s.root+"/etc/resolv.conf")
	envsh := s.put("resolvers", text)
	for env, want := range map[string]string{"NGINX_ENTRYPOINT_LOCAL_RESOLVERS=1": "10.96.0.10 [fd00::a]", "OTHER=1": ""} {
		cmd := exec.Command("bash", "-ec", ". "+envsh+`; printf %s "${NGINX_LOCAL_RESOLVERS-}"`)
		cmd.Env = []string{env, "PATH=/usr/bin:/bin"}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", env, out, err, want)
		}
	}

	s.program("nproc", "echo 1")
	conf := "user x;\nworker_processes auto;\nevents {}\n"
	s.put("etc/nginx/nginx.conf", conf)
	if _, out, ok := s.run("bash", "nginx-workers.sh", nil); !ok || s.read("etc/nginx/nginx.conf") != conf {
		t.Errorf("changed without being asked: %s", out)
	}
	if _, out, ok := s.run("bash", "nginx-workers.sh", []string{"NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE=1"}); !ok || !strings.Contains(s.read("etc/nginx/nginx.conf"), "\nworker_processes 1;\nevents") {
		t.Errorf("nginx.conf is %q, %s", s.read("etc/nginx/nginx.conf"), out)
	}
}

func TestGrafana(t *testing.T) {
	s := newSandbox(t)
	server := "usr/share/grafana/bin/grafana-server"
	s.put(server, "#!/bin/sh\nprintf '%s\\n' \"$@\"; env | grep '^GF_' | sort\n")
	if err := os.Chmod(filepath.Join(s.root, server), 0o755); err != nil {
		t.Fatal(err)
	}
	secret := s.put("secret", `a "b" $c`+"\n")
	data := filepath.Join(s.root, "data")
	if err := os.Mkdir(data, 0o777); err != nil {
		t.Fatal(err)
	}
	env := []string{"GF_PATHS_DATA=" + data, "GF_PATHS_HOME=/home", "GF_PATHS_CONFIG=/c.ini", "GF_PATHS_LOGS=/l", "GF_PATHS_PLUGINS=/p", "GF_PATHS_PROVISIONING=/prov"}
	_, out, ok := s.run("sh", "grafana-run.sh", append(env, "GF_SECURITY_ADMIN_PASSWORD__FILE="+secret, "GF_SERVER_ROOT_URL=https://x"), "--extra")
	if !ok {
		t.Fatal(out)
	}
	for _, want := range []string{"--homepath=/home\n", "--config=/c.ini\n", "--extra\n", "cfg:default.paths.data=" + data + "\n", "cfg:default.paths.provisioning=/prov\n", "GF_SECURITY_ADMIN_PASSWORD=a \"b\" $c\n", "GF_SERVER_ROOT_URL=https://x\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "__FILE") {
		t.Errorf("the server still sees a __FILE variable:\n%s", out)
	}
	for what, c := range map[string]struct {
		env  []string
		says string
	}{
		"both ways":         {append(env, "GF_A_B=1", "GF_A_B__FILE="+secret), "both set"},
		"no such file":      {append(env, "GF_A_B__FILE=/nonexistent"), "cannot be read"},
		"no place for data": {append(slices.Clone(env[1:]), "GF_PATHS_DATA=/nonexistent"), "not writable"},
	} {
		if _, out, ok := s.run("sh", "grafana-run.sh", c.env); ok || !strings.Contains(out, c.says) {
			t.Errorf("%s: ok %t, %s", what, ok, out)
		}
	}
}
