package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Restore is one volume that is filled.
type Restore struct {
	// Stanza of the repository to restore from.
	Stanza string
	Target Target
	// Data is the folder of the data, below the volume's root; its parent is there.
	Data string
	// Run is a folder for the socket and for files of the server while it recovers.
	Run string
	// Archive sends the log that the recovery writes to the repository: where the new
	// database goes on in the one that it comes from.
	Archive bool
	// Command runs a program beside the data. It must end with ctx.
	Command func(ctx context.Context, name string, args ...string) *exec.Cmd
	// Root is the folder that Command sees as /; "" for the same.
	Root string
	// Connect opens a session of the superuser over the socket in a folder.
	Connect func(ctx context.Context, folder, database string) (*pgx.Conn, error)
	Log     *slog.Logger
}

// marker lies beside the data once it is complete, and says what it is.
const marker = "restored.json"

// note is what the marker holds.
type note struct {
	Stanza string
	Target Target
	Backup string
	At     time.Time
}

func (r *Restore) own(path ...string) string {
	return filepath.Join(append([]string{r.Root}, path...)...)
}

// Fill restores, lets the server recover to the target, and leaves the data as of a
// server that was stopped. A restore that was interrupted begins again; one that is
// complete is left alone.
func (r *Restore) Fill(ctx context.Context) error {
	volume := filepath.Dir(r.Data)
	want := note{Stanza: r.Stanza, Target: r.Target}
	if done, err := r.complete(volume, want); err != nil || done {
		return err
	}
	newest, err := r.check(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := r.recover(ctx, r.forget); err != nil {
		return err
	}
	want.Backup = newest.Label
	r.Log.Info("restored", "backup", newest.Label, "seconds", time.Since(begun).Seconds())
	return r.finish(volume, want)
}

// finish marks the volume as complete.
func (r *Restore) finish(volume string, what note) error {
	what.At = time.Now().UTC()
	raw, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.own(volume, marker), raw, 0o644); err != nil {
		return err
	}
	return os.Remove(r.own(volume, begunMarker))
}

// forget takes back what pgBackRest has set for the recovery: a later start as a standby
// would recover to the target again.
func (r *Restore) forget(ctx context.Context) error {
	for _, name := range []string{"restore_command", "recovery_target", "recovery_target_action", "recovery_target_inclusive", "recovery_target_time", "recovery_target_timeline"} {
		if err := r.exec(ctx, "ALTER SYSTEM RESET "+name); err != nil {
			return err
		}
	}
	if err := r.lock(ctx); err != nil {
		return err
	}
	return r.exec(ctx, "CHECKPOINT")
}

// lock takes the right to log in from whoever owns a database and from all members of
// such roles. The agent of the new primary gives it to those that are declared, once
// commits are safe, with their present credentials.
func (r *Restore) lock(ctx context.Context) error {
	roles, err := ask[string](ctx, r, "postgres", "SELECT quote_ident(r.rolname) FROM pg_roles r WHERE r.rolcanlogin AND NOT r.rolsuper"+
		" AND EXISTS (SELECT FROM pg_database d JOIN pg_roles o ON o.oid = d.datdba WHERE NOT o.rolsuper AND pg_has_role(r.oid, o.oid, 'MEMBER'))")
	if err != nil {
		return err
	}
	for _, role := range roles {
		if err := r.exec(ctx, "ALTER ROLE "+role+" NOLOGIN"); err != nil {
			return err
		}
	}
	return nil
}

// begunMarker lies beside data that is not complete.
const begunMarker = "restoring"

// complete reports whether the volume holds what is wanted. It refuses one that holds
// anything else.
func (r *Restore) complete(volume string, want note) (bool, error) {
	raw, err := os.ReadFile(r.own(volume, marker))
	if err == nil {
		var have note
		if err := json.Unmarshal(raw, &have); err != nil {
			return false, fmt.Errorf("%s: %w", marker, err)
		}
		if _, err := os.Stat(r.own(r.Data, "PG_VERSION")); errors.Is(err, fs.ErrNotExist) {
			// Whoever started the server on it has taken it away again.
			r.Log.Info("a restored volume is empty again: begin again")
			return false, errors.Join(os.Remove(r.own(volume, marker)), os.WriteFile(r.own(volume, begunMarker), nil, 0o644))
		}
		if have.Stanza == want.Stanza && have.Target == want.Target {
			r.Log.Info("complete already", "backup", have.Backup, "at", have.At)
			return true, nil
		}
		return false, ErrOccupied
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if _, err := os.Stat(r.own(volume, begunMarker)); err == nil {
		r.Log.Info("an interrupted restore begins again")
		return false, nil
	}
	if _, err := os.Stat(r.own(r.Data, "PG_VERSION")); err == nil {
		return false, ErrOccupied
	}
	return false, os.WriteFile(r.own(volume, begunMarker), nil, 0o644)
}

// Check asks the repository whether it has the target, and changes nothing. It returns the
// label of the backup that a restore would begin with.
func (r *Restore) Check(ctx context.Context) (string, error) {
	found, err := r.check(ctx)
	return found.Label, err
}

// check asks the repository whether it has the target.
func (r *Restore) check(ctx context.Context) (backup, error) {
	out, err := r.Command(ctx, "pgbackrest", "--stanza="+r.Stanza, "--output=json", "--log-level-console=off", "info").Output()
	if err != nil {
		return backup{}, fmt.Errorf("ask the repository: %w%s", err, stderr(err))
	}
	return r.Target.check(out, r.Stanza, time.Now())
}

func stderr(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return ": " + strings.TrimSpace(string(exit.Stderr))
	}
	return ""
}

// recover restores the files, runs the server until it has recovered and done what is
// asked, and stops it.
func (r *Restore) recover(ctx context.Context, then func(ctx context.Context) error) error {
	err := r.attempt(ctx, r.Target, then)
	if r.Target.Time.IsZero() || !errors.Is(err, errEnded) {
		return err
	}
	// PostgreSQL gives up on a time after the last transaction that was archived, which
	// an idle database makes of every recent time. All that there is lies before it.
	r.Log.Warn("no transaction was archived at or after the time that is wanted: restore all that was archived", "time", r.Target.Time)
	return r.attempt(ctx, Target{}, then)
}

func (r *Restore) attempt(ctx context.Context, target Target, then func(ctx context.Context) error) error {
	args := append([]string{"--stanza=" + r.Stanza, "--delta", "--pg1-path=" + r.Data}, target.args()...)
	if err := os.MkdirAll(r.own(r.Data), 0o700); err != nil {
		return err
	}
	if err := r.run(ctx, "pgbackrest", append(args, "restore")...); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return r.serve(ctx, then)
}

// run runs a program whose output goes to the log of the pod.
func (r *Restore) run(ctx context.Context, name string, args ...string) error {
	cmd := r.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// settings of the server while it recovers. It serves nobody but the agent, waits for
// no standby, and does not need what the members' servers have in their pods.
func (r *Restore) settings() []string {
	archive := "archive_mode=off"
	if r.Archive {
		archive = "archive_mode=on"
	}
	return []string{
		"listen_addresses=", "unix_socket_directories=" + r.Run, "hba_file=" + r.Run + "/hba.conf", "ident_file=/dev/null", "ssl=off",
		"synchronous_standby_names=", "primary_conninfo=", "hot_standby=off", "shared_preload_libraries=timescaledb",
		// No background job changes what is being counted.
		"timescaledb.max_background_workers=0", "logging_collector=off", archive, "shared_buffers=128MB", "huge_pages=off",
	}
}

// serve runs the server until then has ended.
func (r *Restore) serve(ctx context.Context, then func(ctx context.Context) error) error {
	if err := os.MkdirAll(r.own(r.Run), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(r.own(r.Run, "hba.conf"), []byte("local all all trust\nlocal replication all trust\n"), 0o644); err != nil {
		return err
	}
	args := []string{"-D", r.Data}
	for _, s := range r.settings() {
		args = append(args, "-c", s)
	}
	cmd := r.Command(ctx, "postgres", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	var result error
	ended := make(chan struct{})
	go func() { result = cmd.Wait(); close(ended) }()
	err := r.ready(ctx, ended)
	if err == nil {
		err = then(ctx)
	}
	if err != nil {
		_ = cmd.Process.Kill() // what is wrong has been said
		<-ended
		return err
	}
	// In good order: with a checkpoint, and after the archive has all.
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	<-ended
	return result
}

// errEnded says that the server gave up.
var errEnded = errors.New("the server ended before it had recovered: its log says why")

// ready waits until the server has recovered, or has given up.
func (r *Restore) ready(ctx context.Context, ended <-chan struct{}) error {
	for {
		err := r.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("%w: the server does not answer: %w", context.Cause(ctx), err)
		case <-time.After(time.Second):
		}
	}
}

func (r *Restore) exec(ctx context.Context, sql string) error {
	conn, err := r.Connect(ctx, r.Run, "postgres")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// Report is what a proof has seen.
type Report struct {
	Backup      string        `json:"backup"`
	Age         time.Duration `json:"age"` // of the backup, at its end
	Restored    time.Duration `json:"restored"`
	Checked     time.Duration `json:"checked"`
	Databases   int           `json:"databases"`
	Hypertables int           `json:"hypertables"`
	Chunks      int           `json:"chunks"`
	Tables      int           `json:"tables"`
	Rows        int64         `json:"rows"`
}

// Prove restores the newest backup with the log that was archived since, and checks all
// of it: each page's checksum, each table and index by amcheck, each hypertable against
// its catalogue, each row by reading it.
func (r *Restore) Prove(ctx context.Context) (*Report, error) {
	r.Target, r.Archive = Target{}, false
	newest, err := r.check(ctx)
	if err != nil {
		return nil, err
	}
	report := &Report{Backup: newest.Label, Age: time.Since(time.Unix(newest.Timestamp.Stop, 0))}
	begun := time.Now()
	err = r.recover(ctx, func(ctx context.Context) error {
		report.Restored = time.Since(begun)
		if err := r.run(ctx, "pg_amcheck", "--host="+r.Run, "--username=postgres", "--all", "--install-missing", "--heapallindexed", "--rootdescend", "--no-strict-names"); err != nil {
			return fmt.Errorf("amcheck: %w", err)
		}
		return r.read(ctx, report)
	})
	if err != nil {
		return nil, err
	}
	if err := r.run(ctx, "pg_checksums", "--check", "-D", r.Data); err != nil {
		return nil, fmt.Errorf("checksums: %w", err)
	}
	report.Checked = time.Since(begun) - report.Restored
	return report, nil
}

// read reads every row of every database.
func (r *Restore) read(ctx context.Context, report *Report) error {
	databases, err := ask[string](ctx, r, "postgres", "SELECT datname FROM pg_database WHERE datallowconn")
	if err != nil {
		return err
	}
	for _, database := range databases {
		report.Databases++
		rows, err := r.tables(ctx, database)
		if err != nil {
			return fmt.Errorf("database %s: %w", database, err)
		}
		for _, n := range rows {
			report.Tables++
			report.Rows += n
		}
		installed, err := ask[int64](ctx, r, database, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'")
		if err != nil {
			return err
		}
		if installed[0] > 0 {
			if err := r.hypertables(ctx, database, rows, report); err != nil {
				return fmt.Errorf("database %s: %w", database, err)
			}
		}
	}
	return nil
}

// tables reads every table, by counting its rows.
func (r *Restore) tables(ctx context.Context, database string) (map[string]int64, error) {
	names, err := ask[string](ctx, r, database, "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"+
		" WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')")
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, name := range names {
		rows, err := ask[int64](ctx, r, database, "SELECT count(*) FROM ONLY "+name)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		counts[name] = rows[0]
	}
	return counts, nil
}

// hypertables compares each with the chunks that the catalogue has of it.
func (r *Restore) hypertables(ctx context.Context, database string, rows map[string]int64, report *Report) error {
	chunks, err := ask[[]string](ctx, r, database, "SELECT ARRAY[format('%I.%I', hypertable_schema, hypertable_name), format('%I.%I', chunk_schema, chunk_name)] FROM timescaledb_information.chunks")
	if err != nil {
		return err
	}
	sums := map[string]int64{}
	for _, c := range chunks {
		n, ok := rows[c[1]]
		if !ok {
			return fmt.Errorf("hypertable %s: its chunk %s is in the catalogue, and is no table", c[0], c[1])
		}
		sums[c[0]] += n
		report.Chunks++
	}
	names, err := ask[string](ctx, r, database, "SELECT format('%I.%I', hypertable_schema, hypertable_name) FROM timescaledb_information.hypertables")
	if err != nil {
		return err
	}
	for _, name := range names {
		whole, err := ask[int64](ctx, r, database, "SELECT count(*) FROM "+name)
		if err != nil {
			return fmt.Errorf("hypertable %s: %w", name, err)
		}
		if whole[0] != sums[name] {
			return fmt.Errorf("hypertable %s has %d rows, its chunks have %d", name, whole[0], sums[name])
		}
		report.Hypertables++
	}
	return nil
}

// ask returns the first column of a query's rows.
func ask[T any](ctx context.Context, r *Restore, database, sql string) ([]T, error) {
	conn, err := r.Connect(ctx, r.Run, database)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}
