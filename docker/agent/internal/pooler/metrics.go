package pooler

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/exposition"
)

// MetricsPort is where the figures of PgBouncer's console are served, apart from the control:
// who scrapes has no way to what pauses clients.
const MetricsPort = 9127

// A figure is a column of what the console shows. Names, units and labels are those of
// prometheus-community's pgbouncer_exporter: what is made for that fits here. It is not used
// itself, since it would be one more image, and one more process in each pooler's pod, for
// what the agent can ask over the socket that it has anyway, as the one user whom the console
// takes without a password.
type figure struct {
	show, column string
	metric       exposition.Metric
	// labels are columns, and what they are called.
	labels [][2]string
	// unit of the column in that of the metric.
	unit float64
}

var (
	ofPool     = [][2]string{{"database", "database"}, {"user", "user"}}
	ofDatabase = [][2]string{{"database", "database"}}
)

func gauge(name, help string) exposition.Metric {
	return exposition.Metric{Name: name, Help: help, Kind: exposition.Gauge}
}

func counter(name, help string) exposition.Metric {
	return exposition.Metric{Name: name, Help: help, Kind: exposition.Counter}
}

var figures = []figure{
	{"POOLS", "cl_active", gauge("pgbouncer_pools_client_active_connections", "Client connections that have a server connection, or are idle."), ofPool, 1},
	{"POOLS", "cl_waiting", gauge("pgbouncer_pools_client_waiting_connections", "Client connections that wait for a server connection."), ofPool, 1},
	{"POOLS", "sv_active", gauge("pgbouncer_pools_server_active_connections", "Server connections that a client has."), ofPool, 1},
	{"POOLS", "sv_idle", gauge("pgbouncer_pools_server_idle_connections", "Server connections that are ready for a client."), ofPool, 1},
	{"POOLS", "sv_used", gauge("pgbouncer_pools_server_used_connections", "Server connections that were idle for so long that they are checked first."), ofPool, 1},
	{"POOLS", "maxwait", gauge("pgbouncer_pools_client_maxwait_seconds", "How long the oldest client in the queue has waited."), ofPool, 1},
	{"DATABASES", "pool_size", gauge("pgbouncer_databases_pool_size", "Server connections that a pool may have."), [][2]string{{"name", "name"}}, 1},
	{"STATS", "total_query_count", counter("pgbouncer_stats_queries_pooled_total", "Queries."), ofDatabase, 1},
	{"STATS", "total_xact_count", counter("pgbouncer_stats_sql_transactions_pooled_total", "Transactions."), ofDatabase, 1},
	{"STATS", "total_query_time", counter("pgbouncer_stats_queries_duration_seconds_total", "Time in which queries ran."), ofDatabase, 1e-6},
	{"STATS", "total_wait_time", counter("pgbouncer_stats_client_wait_seconds_total", "Time in which clients waited for a server connection."), ofDatabase, 1e-6},
}

// Metrics asks the console.
func (c Console) Metrics(ctx context.Context) ([]exposition.Metric, error) {
	ctx, cancel := context.WithTimeout(ctx, command)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	shown := map[string][]map[string]string{}
	var metrics []exposition.Metric
	for _, f := range figures {
		if _, asked := shown[f.show]; !asked {
			if shown[f.show], err = show(ctx, conn, f.show); err != nil {
				return nil, fmt.Errorf("pgbouncer: SHOW %s: %w", f.show, err)
			}
		}
		m, err := f.of(shown[f.show])
		if err != nil {
			return nil, err
		}
		metrics = append(metrics, m)
	}
	return metrics, nil
}

// administration is the name of the database that the console is, in which nobody waits.
const administration = "pgbouncer"

// of are the rows as a metric.
func (f figure) of(rows []map[string]string) (exposition.Metric, error) {
	m := f.metric
	for _, row := range rows {
		if row["database"] == administration {
			continue
		}
		var labels []string
		for _, l := range f.labels {
			labels = append(labels, l[1], row[l[0]])
		}
		value, err := strconv.ParseFloat(row[f.column], 64)
		if err != nil {
			return m, fmt.Errorf("pgbouncer: SHOW %s: %s is %q: want a number", f.show, f.column, row[f.column])
		}
		if micros, has := row[f.column+"_us"]; has {
			part, err := strconv.ParseFloat(micros, 64)
			if err != nil {
				return m, fmt.Errorf("pgbouncer: SHOW %s: %s_us is %q: want a number", f.show, f.column, micros)
			}
			value += part * 1e-6
		}
		m.Add(value*f.unit, labels...)
	}
	return m, nil
}

// show gives the rows of one of the console's tables, by the names of their columns: these
// differ from version to version.
func show(ctx context.Context, conn *pgx.Conn, what string) ([]map[string]string, error) {
	rows, err := conn.Query(ctx, "SHOW "+what)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []map[string]string
	for rows.Next() {
		row := map[string]string{}
		for i, raw := range rows.RawValues() {
			row[rows.FieldDescriptions()[i].Name] = string(raw)
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
