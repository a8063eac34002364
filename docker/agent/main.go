// Agent is what a pod of the database, of its pooler or of the edge runs beside
// PostgreSQL, Patroni, PgBouncer and nginx:
//
//	agent install DIR [DATA]  copies itself, for a container of another image
//	agent member          keeps roles and configuration as declared, in each member's pod
//	agent role-changed    is Patroni's callback on_role_change
//	agent handover        gives the primary's role to another member before a pod stops
//	agent pooler          finds the primary for PgBouncer and lets its clients wait
//	agent fill            restores a backup into an empty volume
//	agent check           asks whether a backup can be restored to a target
//	agent prove           restores the newest backup into a scratch volume and checks it
//	agent lend            gives an old volume's database out, in the old image
//	agent copy            fills an empty volume from it
//	agent fits            refuses an image of another PostgreSQL than is needed
//	agent handshakes      counts TLS handshakes that failed, beside an edge's nginx
//	agent indices         gives the logs an index template and a retention in an Elasticsearch
//	agent start           becomes the server of a Docker host, which has no Patroni
//	agent backups         takes backups by schedule there
//	agent proofs          proves the newest by schedule there
//	agent ask             is the health check of containers whose images have none
//
// It is a program of its own, and not scripts in the database's image, because three of
// its parts have no equal among the tools of that image: PgBouncer fails every new
// request once a login to the server has failed, until one succeeds again, so somebody
// has to keep its logins waiting; a planned switchover without an error needs PAUSE and
// RESUME on every pooler, with a way back; and the pod of a lost primary keeps its label.
// Beside members and poolers it also serves figures that no exporter there has: those of
// TimescaleDB, and of PgBouncer's console.
// Images that users pull stay as they are: the agent's own image brings one static
// binary, which an init container copies beside the others.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/exposition"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/kube"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/member"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/patroni"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/restore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

var commands = map[string]func(ctx context.Context, log *slog.Logger, args []string) error{
	"install":      install,
	"member":       runMember,
	"role-changed": roleChanged,
	"handover":     handover,
	"fill":         fill,
	"check":        check,
	"prove":        prove,
	"lend":         lend,
	"copy":         copyVolume,
	"fits":         fitting,
	"handshakes":   countHandshakes,
	"indices":      indices,
	"pooler":       runPooler,
	"start":        start,
	"backups":      backups,
	"proofs":       proofs,
	"ask":          ask,
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("usage: agent install|member|role-changed|handover|pooler|fill|check|prove|lend|copy|fits|handshakes|indices|start|backups|proofs|ask …")
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("agent", args[0])
	return commands[args[0]](ctx, log, args[1:])
}

// install copies this program into a folder. A second folder is that of the data, which
// PostgreSQL wants to be its user's alone: where a volume gets another group, Kubernetes
// lets the group write.
func install(_ context.Context, _ *slog.Logger, args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return errors.New("usage: agent install DIR [DATA]")
	}
	if len(args) == 2 {
		if err := os.Chmod(args[1], 0o700); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	in, err := os.Open(self)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	// Under another name first: a half-written one must never be run.
	out, err := os.CreateTemp(args[0], ".agent-")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Chmod(0o555), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), filepath.Join(args[0], "agent"))
}

// credentials are those of Patroni's REST API and of the poolers' control.
func credentials() (user, password string) {
	return os.Getenv("CONTROL_USER"), os.Getenv("CONTROL_PASSWORD")
}

func roleChanged(ctx context.Context, log *slog.Logger, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: agent role-changed ACTION ROLE SCOPE")
	}
	pods, err := kube.InCluster()
	if err != nil {
		return err
	}
	self, err := os.Hostname()
	if err != nil {
		return err
	}
	return member.RoleChanged(ctx, pods, log, self, args[1], args[2])
}

func handover(ctx context.Context, log *slog.Logger, args []string) error {
	h := &member.Handover{Log: log}
	h.Patroni.User, h.Patroni.Password = credentials()
	flags := flag.NewFlagSet("handover", flag.ContinueOnError)
	flags.StringVar(&h.Member, "member", patroni.Address("127.0.0.1"), "address of this pod's Patroni")
	found := findOthers(flags)
	socket := flags.String("socket", "/var/run/postgresql", "folder of the server's socket")
	scope := flags.String("scope", "", "Patroni's scope, to ask which of its pods are stopping; \"\" where there are no pods")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := found(h); err != nil {
		return err
	}
	if *scope != "" {
		pods, err := kube.InCluster()
		if err != nil {
			return err
		}
		h.Stopping = func(ctx context.Context) (map[string]bool, error) { return member.Stopping(ctx, pods, *scope) }
	}
	h.Checkpoint = checkpoint(*socket)
	return h.Run(ctx)
}

// checkpoint is one of the server whose socket is in a folder.
func checkpoint(socket string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		conn, err := connect(ctx, socket, member.Superuser, nil)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		_, err = conn.Exec(ctx, "CHECKPOINT")
		return err
	}
}

func runMember(ctx context.Context, log *slog.Logger, args []string) error {
	a := &member.Agent{Log: log}
	var socket, listen string
	roles := &member.Roles{Log: log}
	flags := flag.NewFlagSet("member", flag.ContinueOnError)
	flags.StringVar(&a.Declared, "roles", "/etc/alphapulse/roles/roles.json", "file of the declared roles")
	flags.StringVar(&a.Used, "used", "/etc/alphapulse/used/logins", "file with the logins in use, one a line")
	flags.StringVar(&a.Dynamic, "dynamic", "/etc/patroni/dynamic.json", "file of Patroni's dynamic configuration")
	flags.StringVar(&a.Member, "member", patroni.Address("127.0.0.1"), "address of this pod's Patroni")
	flags.StringVar(&socket, "socket", "/var/run/postgresql", "folder of the server's socket")
	flags.StringVar(&listen, "listen", ":8010", "address to answer /ready and /metrics on")
	found := findOthers(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	a.Poolers = &member.Handover{Checkpoint: checkpoint(socket), Log: log}
	a.Poolers.Patroni.User, a.Poolers.Patroni.Password = credentials()
	if err := found(a.Poolers); err != nil {
		return err
	}
	a.Patroni = a.Poolers.Patroni
	roles.Connect = func(ctx context.Context, database string, parameters map[string]string) (*pgx.Conn, error) {
		return connect(ctx, socket, database, parameters)
	}
	a.Roles = roles
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", a.Ready)
	mux.HandleFunc("GET /metrics", exposition.Handler(a.Metrics))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { a.Run(ctx) })
	return serve(ctx, listen, mux, "")
}

// connect opens a session of the superuser over the socket.
func connect(ctx context.Context, socket, database string, parameters map[string]string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("host=" + socket + " user=" + member.Superuser + " sslmode=disable")
	if err != nil {
		return nil, err
	}
	config.Database = database
	config.ConnectTimeout = 5 * time.Second
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	config.RuntimeParams["application_name"] = "agent"
	// The superuser looks at nothing that an application's role put into a schema.
	config.RuntimeParams["search_path"] = "pg_catalog,pg_temp"
	// A commit of its own must not wait for a standby: it is done again if it is lost.
	config.RuntimeParams["synchronous_commit"] = "local"
	for name, value := range parameters {
		config.RuntimeParams[name] = value
	}
	return pgx.ConnectConfig(ctx, config)
}

// restoring reads the flags that fill and prove share.
func restoring(name string, log *slog.Logger, args []string, more func(*flag.FlagSet, *restore.Restore)) (*restore.Restore, error) {
	r := &restore.Restore{Log: log}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&r.Stanza, "stanza", os.Getenv("PGBACKREST_STANZA"), "what pgBackRest calls the database")
	flags.StringVar(&r.Data, "data", os.Getenv("PGDATA"), "folder of the data, below the volume's root")
	flags.StringVar(&r.Run, "run", "/tmp/restore", "folder for the recovering server's socket")
	if more != nil {
		more(flags, r)
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if r.Stanza == "" || r.Data == "" {
		return nil, errors.New("-stanza and -data are needed")
	}
	r.Command = func(ctx context.Context, name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, name, args...)
		// A pod that is stopped stops the server in good order.
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
		cmd.WaitDelay = time.Minute
		return cmd
	}
	r.Connect = func(ctx context.Context, folder, database string) (*pgx.Conn, error) {
		return connect(ctx, folder, database, nil)
	}
	return r, nil
}

// targeted reads the flags of fill and check.
func targeted(name string, log *slog.Logger, args []string) (*restore.Restore, error) {
	var target string
	r, err := restoring(name, log, args, func(flags *flag.FlagSet, r *restore.Restore) {
		flags.StringVar(&target, "target", "latest", "latest, a backup's label, or a time with its zone")
		flags.BoolVar(&r.Archive, "archive", false, "go on with the archive that the backup is from")
	})
	if err != nil {
		return nil, err
	}
	r.Target, err = restore.ParseTarget(target)
	return r, err
}

func fill(ctx context.Context, log *slog.Logger, args []string) error {
	r, err := targeted("fill", log, args)
	if err != nil {
		return err
	}
	return r.Fill(ctx)
}

func check(ctx context.Context, log *slog.Logger, args []string) error {
	r, err := targeted("check", log, args)
	if err != nil {
		return err
	}
	backup, err := r.Check(ctx)
	if err != nil {
		return err
	}
	log.Info("the repository has what is wanted", "backup", backup)
	return nil
}

func prove(ctx context.Context, log *slog.Logger, args []string) error {
	_, err := proveNewest(ctx, log, args)
	return err
}

// proveNewest returns the label of the backup that it has proven.
func proveNewest(ctx context.Context, log *slog.Logger, args []string) (backup string, err error) {
	r, err := restoring("prove", log, args, nil)
	if err != nil {
		return "", err
	}
	report, err := r.Prove(ctx)
	if err != nil {
		return "", err
	}
	log.Info("the backup can be restored", "backup", report.Backup, "age", report.Age.Round(time.Second).String(), "restored", report.Restored.Round(time.Millisecond).String(),
		"checked", report.Checked.Round(time.Millisecond).String(), "databases", report.Databases, "hypertables", report.Hypertables, "chunks", report.Chunks, "tables", report.Tables, "rows", report.Rows)
	return report.Backup, nil
}
