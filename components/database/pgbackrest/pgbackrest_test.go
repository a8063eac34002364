package pgbackrest

import (
	"strings"
	"testing"
)

func good() Repository {
	return Repository{Endpoint: "s3.example.com:9000", Bucket: "backups", Region: "eu-central-1", Path: "/prod", Full: 2, Differential: 6}
}

// read gives the options of a rendered file by section.
func read(t *testing.T, text string) map[string]map[string]string {
	t.Helper()
	sections, current := map[string]map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch name, value, ok := strings.Cut(line, "="); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			current = strings.Trim(line, "[]")
			sections[current] = map[string]string{}
		case !ok:
			t.Errorf("not an option: %q", line)
		default:
			if _, twice := sections[current][name]; twice {
				t.Errorf("[%s] has %s twice", current, name)
			}
			sections[current][name] = value
		}
	}
	return sections
}

func TestMember(t *testing.T) {
	m := Member{Stanza: "db", Repository: good(), Server: Server{"/data", "/run"}, SpoolDir: "/volume/spool", QueueMax: 1 << 30}
	got := read(t, m.Render())
	for name, want := range map[string]string{
		"repo1-type": "s3", "repo1-s3-uri-style": "host", "repo1-cipher-type": "aes-256-cbc", "repo1-retention-full": "2",
		"archive-async": "y", "archive-push-queue-max": "1073741824", "spool-path": "/volume/spool", "tls-server-auth": ClientName + "=db",
	} {
		if got["global"][name] != want {
			t.Errorf("%s=%s, want %s", name, got["global"][name], want)
		}
	}
	// An archive that does not answer: how soon it is looked at how much waits.
	if got["global:archive-push"]["io-timeout"] != "15" || got["global"]["io-timeout"] != "" {
		t.Errorf("[global:archive-push] %v", got["global:archive-push"])
	}
	if got["db"]["pg1-path"] != "/data" || got["db"]["pg1-host"] != "" {
		t.Errorf("[db] %v", got["db"])
	}
	if want := `pgbackrest --stanza=db archive-push "%p"`; m.ArchiveCommand() != want {
		t.Errorf("archive_command %s", m.ArchiveCommand())
	}
}

func TestHostReachesEveryMemberOverTLS(t *testing.T) {
	h := Host{Stanza: "db", Repository: good(), Server: Server{"/data", "/run"}, Members: []string{"db-0", "db-1", "db-2"}}
	got := read(t, h.Render())["db"]
	for n, host := range map[string]string{"1": "db-0", "2": "db-1", "3": "db-2"} {
		if got["pg"+n+"-host"] != host || got["pg"+n+"-host-type"] != "tls" || got["pg"+n+"-host-ca-file"] == "" || got["pg"+n+"-path"] != "/data" {
			t.Errorf("member %s: %v", n, got)
		}
	}
}

func TestSecretsAreInTheirFileOnly(t *testing.T) {
	bucket := good()
	text, err := bucket.Secret(Secrets{Key: "AKIA", KeySecret: "s3cret", Passphrase: "phrase"})
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, text)["global"]
	if got["repo1-s3-key"] != "AKIA" || got["repo1-s3-key-secret"] != "s3cret" || got["repo1-cipher-pass"] != "phrase" {
		t.Errorf("%v", got)
	}
	for _, name := range []string{"repo1-s3-key", "repo1-s3-key-secret", "repo1-cipher-pass"} {
		for _, file := range []string{(&Member{Stanza: "db", Repository: good()}).Render(), (&Host{Stanza: "db", Repository: good()}).Render()} {
			if strings.Contains(file, name+"=") {
				t.Errorf("%s is in a file that is no secret", name)
			}
		}
	}
	for _, bad := range []Secrets{{}, {Key: "a", KeySecret: "b", Passphrase: "c\nrepo1-path=/x"}, {Key: "a", KeySecret: " b", Passphrase: "c"}} {
		if _, err := bucket.Secret(bad); err == nil || strings.Contains(err.Error(), "repo1-path") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestRepositoriesThatAreRefused(t *testing.T) {
	r := good()
	if err := r.Validate(); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for what, c := range map[string]struct {
		edit func(*Repository)
		want string
	}{
		"a URL":        {func(r *Repository) { r.Endpoint = "https://s3.example.com" }, "without https://"},
		"no bucket":    {func(r *Repository) { r.Bucket = "" }, `bucket ""`},
		"upper case":   {func(r *Repository) { r.Bucket = "Backups" }, `bucket "Backups"`},
		"no region":    {func(r *Repository) { r.Region = "" }, "region is empty"},
		"the root":     {func(r *Repository) { r.Path = "/" }, `path "/"`},
		"keep nothing": {func(r *Repository) { r.Full = 0 }, "0 full"},
		"an option":    {func(r *Repository) { r.Path = "/a\nrepo1-type=posix" }, "path"},
	} {
		r := good()
		c.edit(&r)
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A folder of a Docker host: nothing of a bucket, nothing of a network, and encrypted as a
// bucket is.
func TestFolderOfAHost(t *testing.T) {
	folder := Repository{Folder: "/backup", Full: 2, Differential: 6}
	if err := folder.Validate(); err != nil {
		t.Fatal(err)
	}
	m := Member{Stanza: "db", Repository: folder, Server: Server{"/data", "/run"}, SpoolDir: "/volume/spool", QueueMax: 1 << 30, Alone: true}
	h := Host{Stanza: "db", Repository: folder, Server: Server{"/data", "/run"}, Beside: true}
	for what, text := range map[string]string{"server": m.Render(), "beside it": h.Render()} {
		got := read(t, text)
		for name, want := range map[string]string{"repo1-type": "posix", "repo1-path": "/backup", "repo1-cipher-type": "aes-256-cbc", "repo1-retention-full": "2"} {
			if got["global"][name] != want {
				t.Errorf("%s: %s=%s, want %s", what, name, got["global"][name], want)
			}
		}
		if s := got["db"]; s["pg1-path"] != "/data" || s["pg1-socket-path"] != "/run" || s["pg1-user"] != "postgres" || len(s) != 3 {
			t.Errorf("%s: [db] %v", what, s)
		}
		if strings.Contains(text, "s3") || strings.Contains(text, "tls") {
			t.Errorf("%s: a folder needs no network:\n%s", what, text)
		}
	}
	secret, err := folder.Secret(Secrets{Passphrase: "phrase"})
	if err != nil || read(t, secret)["global"]["repo1-cipher-pass"] != "phrase" || strings.Contains(secret, "s3") {
		t.Errorf("%q, %v", secret, err)
	}
	if _, err := folder.Secret(Secrets{}); err == nil {
		t.Error("a repository without a passphrase")
	}
	for _, bad := range []string{"backup", "/back up", "/"} {
		if r := (Repository{Folder: bad, Full: 1, Differential: 1}); r.Validate() == nil {
			t.Errorf("folder %q", bad)
		}
	}
}
