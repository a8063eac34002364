package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Unavailable says that the database cannot be used now, and why.
type Unavailable struct{ Reason string }

func (u *Unavailable) Error() string { return "the database cannot be used: " + u.Reason }

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found")

// errLost ends the queries that are under way when the database is lost.
var errLost = errors.New("the database was lost meanwhile")

// States of PostgreSQL that a failover passes through.
const (
	readOnlyTransaction = "25006" // the old primary, or one that is not promoted yet
	tooManyConnections  = "53300"
	queryCanceled       = "57014" // by a time-out, the server's or the request's
	adminShutdown       = "57P01"
	crashShutdown       = "57P02"
	cannotConnectNow    = "57P03" // starting, stopping, or in recovery
)

// reason is what a user may be told: no address, no role.
func reason(err error) string {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &pg):
		return fmt.Sprintf("%s (%s)", pg.Message, pg.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return "it does not answer in time"
	case errors.As(err, &connect):
		return "it cannot be reached"
	}
	return "the connection broke"
}

// transient says whether an error is one that ends by itself, with the failover that
// causes it or with the server's restart.
func transient(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case readOnlyTransaction, tooManyConnections, adminShutdown, crashShutdown, cannotConnectNow:
			return true
		}
		return class(pg) == "08" // connection, as a pooler tells it too
	}
	return broken(err)
}

// broken says whether an error is of the connection.
func broken(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

// class of an SQL state: its first two characters.
func class(pg *pgconn.PgError) string {
	if len(pg.Code) < 2 {
		return ""
	}
	return pg.Code[:2]
}

// unavailable says whether an error means that the database cannot be used now,
// rather than that the query was wrong.
func unavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch class(pg) {
		case "08", "28", "3D", "53", "57", "58": // connection, log-in, database, resources, operator, system
			return true
		}
	}
	return transient(err)
}

// failed turns an error of a query into what the callers tell apart.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == queryCanceled || ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		if lost := s.Lost(); lost != "" {
			return &Unavailable{lost}
		}
		return fmt.Errorf("%s: %w", what, context.DeadlineExceeded)
	}
	if unavailable(err) {
		s.log.WarnContext(ctx, "query failed", "query", what, "error", err)
		return &Unavailable{reason(err)}
	}
	return fmt.Errorf("%s: %w", what, err)
}
