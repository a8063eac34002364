package gate

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/patroni"
)

// ways remembers who of the members speaks TLS. In a rolling update that turns it on, or
// off, some do and some do not, and the poolers are the first to have been told: whoever
// does not answer the one way is asked the other. What is asked holds no credential, and
// what is answered decides only whom a connection is tried with, which has TLS of its own
// with the name verified. So nobody gains by an answer without TLS in place of one with.
type ways struct {
	mu sync.Mutex
	// secure is how each host answered last; hosts that did not are not in it.
	secure map[string]bool
}

// ask asks the member at address, host:port, the way that host is known for, or the first
// one, and then the other.
func (w *ways) ask(ctx context.Context, with *patroni.Client, first bool, host, address string) (*patroni.Status, error) {
	if with.TLS == nil {
		return with.Status(ctx, address)
	}
	w.mu.Lock()
	known, found := w.secure[host]
	w.mu.Unlock()
	if found {
		first = known
	}
	status, err := w.one(ctx, with, first, !found, address)
	if err != nil && ctx.Err() == nil && connected(err) {
		if other, again := w.one(ctx, with, !first, false, address); again == nil {
			status, err, first = other, nil, !first
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		delete(w.secure, host)
		return nil, err
	}
	if w.secure == nil {
		w.secure = map[string]bool{}
	}
	w.secure[host] = first
	return status, nil
}

// connected reports whether a question got as far as to somebody who listens: of one who
// does not, or not yet, the other way has nothing to find out.
func connected(err error) bool {
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}

// one asks one way. A server without TLS may say nothing at all to a client with: of one
// that is not known yet, half of the time is left for the other way.
func (w *ways) one(ctx context.Context, with *patroni.Client, secure, half bool, address string) (*patroni.Status, error) {
	if half {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patroni.Timeout/2)
		defer cancel()
	}
	client := *with
	if !secure {
		client.TLS = nil
	}
	return client.Status(ctx, address)
}

// forget drops what is known of others than hosts.
func (w *ways) forget(hosts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.secure, func(host string, _ bool) bool { return !slices.Contains(hosts, host) })
}
