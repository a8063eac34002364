// Package pgbackrest renders pgBackRest's files: those of the members, which archive the
// write-ahead log and lend their data, and those of the pods that take backups.
//
// A repository is an S3 bucket, one of a provider or of an S3 server on a volume of the
// cluster, or a folder of a Docker host. What is put there is encrypted before. Secrets
// stand in a file of their own, so that everything else can be shown.
package pgbackrest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Port of pgBackRest's server beside each member, TLS both ways.
const Port = 8432

// Folders in every container that runs pgBackRest.
const (
	// ConfigDir has pgbackrest.conf; SecretDir what is included from it; TLSDir the
	// certificate that members and backup pods know each other by.
	ConfigDir = "/etc/pgbackrest"
	SecretDir = "/etc/pgbackrest-secret"
	TLSDir    = "/etc/pgbackrest-tls"
	// ClientName is the name in that certificate.
	ClientName = "pgbackrest"
)

// Env is the environment that makes pgBackRest read its files. The image has other
// defaults for some.
func Env(stanza string) map[string]string {
	return map[string]string{
		"PGBACKREST_CONFIG":              ConfigDir + "/pgbackrest.conf",
		"PGBACKREST_CONFIG_INCLUDE_PATH": SecretDir,
		"PGBACKREST_STANZA":              stanza,
	}
}

// Repository is where backups and the archived write-ahead log lie.
type Repository struct {
	// Folder has the repository, as containers of a Docker host see it; "" for a bucket, of
	// which the next four are.
	Folder string
	// Endpoint is host or host:port of the S3 server, over TLS; Bucket and Region as there.
	Endpoint, Bucket, Region string
	// PathStyle puts the bucket into the path instead of the host's name.
	PathStyle bool
	// CAFile verifies the endpoint; "" takes the system's authorities.
	CAFile string
	// Path in the bucket, with a leading slash.
	Path string
	// Full is how many full backups are kept, with everything that is needed to restore to
	// any moment since the oldest; Differential how many differential ones.
	Full, Differential int
}

var (
	bucketPattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	endpointPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)
	pathPattern     = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)
)

// Port of the endpoint.
func (r *Repository) Port() int {
	if _, port, found := strings.Cut(r.Endpoint, ":"); found {
		if n, err := strconv.Atoi(port); err == nil {
			return n
		}
	}
	return 443
}

// Endpoint checks the address of an S3 server.
func Endpoint(v string) error {
	if !endpointPattern.MatchString(v) {
		return fmt.Errorf("%q: want host or host:port, without https://", room.Shown(v))
	}
	return nil
}

// Bucket checks a bucket's name.
func Bucket(v string) error {
	if !bucketPattern.MatchString(v) {
		return fmt.Errorf("%q: want 3 to 63 lower-case letters, digits, dots and hyphens", v)
	}
	return nil
}

// Path checks a path in a bucket.
func Path(v string) error {
	if !pathPattern.MatchString(v) {
		return fmt.Errorf("%q: want /folder", v)
	}
	return nil
}

// Validate reports everything that is wrong with the repository.
func (r *Repository) Validate() error {
	var problems []error
	problem := func(format string, v ...any) {
		problems = append(problems, fmt.Errorf("backup repository: "+format, v...))
	}
	type part struct {
		what string
		err  error
	}
	parts := []part{{"endpoint", Endpoint(r.Endpoint)}, {"bucket", Bucket(r.Bucket)}, {"path", Path(r.Path)}}
	if r.Folder != "" {
		parts = []part{{"folder", Path(r.Folder)}}
	}
	for _, c := range parts {
		if c.err != nil {
			problem("%s %w", c.what, c.err)
		}
	}
	if r.Region == "" && r.Folder == "" {
		problem("region is empty: set the bucket's, or us-east-1 where a server has none")
	}
	if r.Full < 1 || r.Differential < 1 {
		problem("retention of %d full and %d differential backups: keep at least 1 of each", r.Full, r.Differential)
	}
	return errors.Join(problems...)
}

// option is one line of a configuration.
type option struct{ name, value string }

func render(head string, sections ...section) string {
	var b strings.Builder
	b.WriteString(head)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n[%s]\n", s.name)
		for _, o := range s.options {
			fmt.Fprintf(&b, "%s=%s\n", o.name, o.value)
		}
	}
	return b.String()
}

type section struct {
	name    string
	options []option
}

const head = "# Rendered by the program; an edit here is lost.\n"

// place is where the repository is.
func (r *Repository) place() []option {
	if r.Folder != "" {
		return []option{{"repo1-type", "posix"}, {"repo1-path", r.Folder}}
	}
	style := "host"
	if r.PathStyle {
		style = "path"
	}
	return []option{
		{"repo1-type", "s3"},
		{"repo1-s3-endpoint", r.Endpoint},
		{"repo1-s3-bucket", r.Bucket},
		{"repo1-s3-region", r.Region},
		{"repo1-s3-uri-style", style},
		{"repo1-path", r.Path},
	}
}

func (r *Repository) options() []option {
	options := append(r.place(), []option{
		{"repo1-cipher-type", "aes-256-cbc"},
		{"repo1-retention-full", fmt.Sprint(r.Full)},
		{"repo1-retention-diff", fmt.Sprint(r.Differential)},
		// Small files share objects, and an incremental backup has the changed blocks only.
		{"repo1-bundle", "y"},
		{"repo1-block", "y"},
		{"compress-type", "zst"},
		{"compress-level", "3"},
		{"process-max", "2"},
		{"lock-path", "/tmp/pgbackrest"},
		{"log-level-console", "info"},
		{"log-level-file", "off"},
	}...)
	if r.CAFile != "" {
		options = append(options, option{"repo1-storage-ca-file", r.CAFile})
	}
	return options
}

// Secrets of a repository.
type Secrets struct {
	// Key and KeySecret log in to the S3 server; Passphrase encrypts what is stored there.
	Key, KeySecret, Passphrase string
}

// Secret renders the file of secrets, for SecretDir. A folder needs no login.
func (r *Repository) Secret(s Secrets) (string, error) {
	login := []option{{"repo1-s3-key", s.Key}, {"repo1-s3-key-secret", s.KeySecret}}
	if r.Folder != "" {
		login = nil
	}
	all := append(login, option{"repo1-cipher-pass", s.Passphrase})
	for _, o := range all {
		if v := o.value; v == "" || strings.ContainsAny(v, "\r\n") || strings.TrimSpace(v) != v {
			return "", errors.New("backup repository: a secret is empty, or has a line break or a blank at its ends: set key, its secret and passphrase")
		}
	}
	return render(head, section{"global", all}), nil
}

// Server is a member's PostgreSQL server, as pgBackRest reaches it.
type Server struct {
	// DataDir and SocketDir in the member's container.
	DataDir, SocketDir string
}

// Member is the configuration in a member's pod.
type Member struct {
	Stanza     string
	Repository Repository
	Server     Server
	// SpoolDir on the member's volume is where the archiver notes what it has sent.
	SpoolDir string
	// QueueMax in bytes is how much of the log may wait while the archive is away. What is
	// beyond is dropped, and with it the recovery to a moment until the next backup: the
	// database goes on.
	QueueMax int64
	// Alone says that it lends its data to nobody over the network: on a Docker host.
	Alone bool
}

// Render renders pgbackrest.conf of a member.
func (m *Member) Render() string {
	global := append(m.Repository.options(),
		option{"archive-async", "y"},
		option{"archive-push-queue-max", fmt.Sprint(m.QueueMax)},
		option{"archive-timeout", "60"},
		option{"spool-path", m.SpoolDir},
	)
	if !m.Alone {
		global = append(global,
			option{"tls-server-address", "*"},
			option{"tls-server-port", fmt.Sprint(Port)},
			option{"tls-server-ca-file", TLSDir + "/ca.crt"},
			option{"tls-server-cert-file", TLSDir + "/tls.crt"},
			option{"tls-server-key-file", TLSDir + "/tls.key"},
			option{"tls-server-auth", ClientName + "=" + m.Stanza},
		)
	}
	return render(head,
		section{"global", global},
		// How much waits is looked at when a try begins, and a try of a repository that does
		// not answer lasts about six of these: with the default, 60, some six minutes.
		section{"global:archive-push", []option{{"io-timeout", "15"}}},
		section{m.Stanza, m.Server.options()},
	)
}

// options of a server that is reached through its files and its socket.
func (s Server) options() []option {
	return []option{{"pg1-path", s.DataDir}, {"pg1-socket-path", s.SocketDir}, {"pg1-user", "postgres"}}
}

// ArchiveCommand is PostgreSQL's.
func (m *Member) ArchiveCommand() string {
	return "pgbackrest --stanza=" + m.Stanza + ` archive-push "%p"`
}

// Host is the configuration in a pod that takes backups.
type Host struct {
	Stanza     string
	Repository Repository
	Server     Server
	// Members are the members' names in DNS.
	Members []string
	// Beside says that the server's files and its socket are there, and no network: on a
	// Docker host.
	Beside bool
}

// Render renders pgbackrest.conf of a pod that takes backups.
func (h *Host) Render() string {
	global := append(h.Repository.options(),
		option{"start-fast", "y"},
		// A standby lends its data where there is one.
		option{"backup-standby", "prefer"},
	)
	var members []option
	if h.Beside {
		members = h.Server.options()
	}
	for i, name := range h.Members {
		for _, o := range []option{
			{"host", name}, {"host-type", "tls"}, {"host-port", fmt.Sprint(Port)},
			{"host-ca-file", TLSDir + "/ca.crt"}, {"host-cert-file", TLSDir + "/tls.crt"}, {"host-key-file", TLSDir + "/tls.key"},
			{"host-config", ConfigDir + "/pgbackrest.conf"}, {"host-config-include-path", SecretDir},
			{"path", h.Server.DataDir}, {"socket-path", h.Server.SocketDir}, {"user", "postgres"},
		} {
			members = append(members, option{fmt.Sprintf("pg%d-%s", i+1, o.name), o.value})
		}
	}
	return render(head, section{"global", global}, section{h.Stanza, members})
}
