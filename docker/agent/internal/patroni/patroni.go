// Package patroni talks to the REST API of Patroni's members.
package patroni

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Port of the REST API.
const Port = 8008

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// Client asks members. The zero value asks without credentials, and without TLS.
type Client struct {
	// User and Password are needed by what changes the cluster.
	User, Password string
	// TLS checks who members are; nil asks without it.
	TLS *tls.Config
}

// Status is what a member says of itself.
type Status struct {
	// State is "running" while the server accepts connections.
	State string `json:"state"`
	// Role is that of the server, not of the member's claim: "primary" once it has left
	// recovery, else "replica".
	Role     string `json:"role"`
	Timeline int    `json:"timeline"`
	// Started is when the server was started.
	Started string `json:"postmaster_start_time"`
	// Pending says that a parameter waits for a restart.
	Pending bool `json:"pending_restart"`
	// Reasons are the parameters that do, of Patroni 4 and later.
	Reasons map[string]struct {
		Old any `json:"old_value"`
		New any `json:"new_value"`
	} `json:"pending_restart_reason"`
	Patroni struct {
		Name string `json:"name"`
	} `json:"patroni"`
	// XLog are positions in the write-ahead log, in bytes.
	XLog struct {
		Location int64 `json:"location"`          // of a primary
		Received int64 `json:"received_location"` // of a standby
		Replayed int64 `json:"replayed_location"`
	} `json:"xlog"`
	// Leads says that the member holds the leader's lock.
	Leads bool `json:"-"`
}

// Primary reports whether the member may be written to.
func (s *Status) Primary() bool { return s.Leads && s.Role == "primary" && s.State == "running" }

// followed are the parameters of which a standby has to have at least as much as its
// primary (PostgreSQL's documentation, "Hot Standby", Administrator's Overview).
var followed = []string{"max_connections", "max_prepared_transactions", "max_wal_senders", "max_worker_processes", "max_locks_per_transaction"}

// Lessens reports whether what waits for a restart is less of what standbys follow, and
// nothing else. Patroni starts a standby with the old number until the primary has the new
// one, so that it never takes hold where a primary that restarts gives its role away.
func (s *Status) Lessens() bool {
	if !s.Pending || len(s.Reasons) == 0 {
		return false
	}
	for name, r := range s.Reasons {
		had, err := strconv.Atoi(fmt.Sprint(r.Old))
		wants, other := strconv.Atoi(fmt.Sprint(r.New))
		if !slices.Contains(followed, name) || err != nil || other != nil || wants >= had {
			return false
		}
	}
	return true
}

// Status asks the member at address, host:port.
func (c *Client) Status(ctx context.Context, address string) (*Status, error) {
	s := &Status{}
	code, err := c.do(ctx, http.MethodGet, address, "/primary", nil, s)
	if err != nil {
		return nil, err
	}
	s.Leads = code == http.StatusOK
	return s, nil
}

// Member is one of a cluster's.
type Member struct {
	Name     string `json:"name"`
	Role     string `json:"role"`  // "leader", "replica", "sync_standby", "quorum_standby"
	State    string `json:"state"` // "running", "streaming", …
	Timeline int    `json:"timeline"`
	// Lag is behind the primary in bytes; it is "unknown" of a member that says nothing.
	Lag any `json:"lag"`
}

// Cluster returns all members as the one at address sees them.
func (c *Client) Cluster(ctx context.Context, address string) ([]Member, error) {
	var answer struct {
		Members []Member `json:"members"`
	}
	code, err := c.do(ctx, http.MethodGet, address, "/cluster", nil, &answer)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("patroni at %s: /cluster answers %d", address, code)
	}
	return answer.Members, err
}

// Switchover makes candidate the leader instead of leader and returns when it is, or
// with the reason for which it is not.
func (c *Client) Switchover(ctx context.Context, address, leader, candidate string) error {
	return c.change(ctx, http.MethodPost, address, "/switchover", map[string]string{"leader": leader, "candidate": candidate})
}

// Restart restarts the server of the member at address, if a parameter waits for it.
func (c *Client) Restart(ctx context.Context, address string) error {
	return c.change(ctx, http.MethodPost, address, "/restart", map[string]any{"restart_pending": true})
}

// Config returns the dynamic configuration.
func (c *Client) Config(ctx context.Context, address string) (map[string]any, error) {
	var config map[string]any
	code, err := c.do(ctx, http.MethodGet, address, "/config", nil, &config)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("patroni at %s: /config answers %d", address, code)
	}
	return config, err
}

// SetConfig replaces the dynamic configuration.
func (c *Client) SetConfig(ctx context.Context, address string, config map[string]any) error {
	return c.change(ctx, http.MethodPut, address, "/config", config)
}

func (c *Client) change(ctx context.Context, method, address, path string, body any) error {
	var said text
	code, err := c.do(ctx, method, address, path, body, &said)
	if err != nil {
		return err
	}
	if code != http.StatusOK && code != http.StatusAccepted {
		return fmt.Errorf("patroni at %s: %s %s answers %d: %s", address, method, path, code, said)
	}
	return nil
}

// text is an answer that is no JSON.
type text string

// do sends one request. An answer that is no success is no error; into gets its body.
func (c *Client) do(ctx context.Context, method, address, path string, body, into any) (int, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("patroni: %w", err)
		}
		payload = bytes.NewReader(raw)
	}
	scheme := "http://"
	if c.TLS != nil {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+address+path, payload)
	if err != nil {
		return 0, fmt.Errorf("patroni: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.User != "" {
		req.SetBasicAuth(c.User, c.Password)
	}
	// Members come and go: no connection is kept.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c.TLS, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("patroni: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("patroni at %s: %w", address, err)
	}
	switch into := into.(type) {
	case nil:
	case *text:
		*into = text(strings.TrimSpace(string(raw)))
	default:
		if err := json.Unmarshal(raw, into); err != nil {
			return resp.StatusCode, fmt.Errorf("patroni at %s: %s: %w", address, path, err)
		}
	}
	return resp.StatusCode, nil
}

// Address is that of the REST API on a host.
func Address(host string) string { return net.JoinHostPort(host, strconv.Itoa(Port)) }

// Errors of Candidate.
var (
	// ErrNoCandidate says that no other member stays.
	ErrNoCandidate = errors.New("no other member can take over")
	// ErrNotYet says that one stays, and does not have every commit yet.
	ErrNotYet = errors.New("no member that stays has every commit yet")
)

// Candidate returns the member that takes over from leader: of those that stay and have
// every commit the lowest name, which is the last that a StatefulSet would take away.
func Candidate(members []Member, leader string, stopping map[string]bool) (string, error) {
	best, err := "", ErrNoCandidate
	for _, m := range members {
		if m.Name == leader || m.Role == "leader" || stopping[m.Name] {
			continue
		}
		if m.State != "streaming" || m.Role != "sync_standby" && m.Role != "quorum_standby" {
			if best == "" {
				err = ErrNotYet
			}
			continue
		}
		if best == "" || lower(m.Name, best) {
			best, err = m.Name, nil
		}
	}
	return best, err
}

// lower orders names that end in a number by it.
func lower(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// Timeout is how long one question may take.
const Timeout = time.Second
