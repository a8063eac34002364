package member

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/patroni"
	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/pooler"
)

// Handover gives the primary's role to another member before this one stops.
type Handover struct {
	// Patroni changes the cluster with the credentials of its REST API; the poolers have
	// the same.
	Patroni patroni.Client
	// Member is the address of this pod's Patroni.
	Member string
	// Stopping tells which members' pods are on their way out; nil for none.
	Stopping func(ctx context.Context) (map[string]bool, error)
	// Poolers is a name that has all poolers' addresses; "" for none.
	Poolers string
	// PoolerPort of their control; 0 for the usual one.
	PoolerPort int
	// TLS checks who the poolers are.
	TLS *tls.Config
	// Lookup resolves a name; nil asks DNS.
	Lookup func(ctx context.Context, host string) ([]string, error)
	// Checkpoint writes what is dirty while clients still work, so that the one that the
	// server's end needs is short.
	Checkpoint func(ctx context.Context) error
	Log        *slog.Logger
}

const (
	// candidateTimeout is how long a member that stays may take to have every commit.
	candidateTimeout  = 20 * time.Second
	candidateInterval = 200 * time.Millisecond
	// pauseTimeout is how long a pooler may take to answer: it drains its transactions.
	pauseTimeout = pooler.Drain + 3*time.Second
	// checkpointTimeout is how long clients may go on for the sake of a shorter pause.
	checkpointTimeout = 20 * time.Second
	// switchTimeout is how long Patroni may take for a switchover.
	switchTimeout = 30 * time.Second
)

// Run hands over, if this member is the primary. With no other member that could take
// over it only lets transactions end: the server will be back.
func (h *Handover) Run(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, patroni.Timeout)
	defer cancel()
	status, err := h.Patroni.Status(ask, h.Member)
	if err != nil {
		return err // it does not work, so there is nothing to hand over in good order
	}
	if !status.Primary() {
		h.Log.Info("not the primary: nothing to hand over", "role", status.Role)
		return nil
	}
	self := status.Patroni.Name
	candidate, err := h.candidate(ctx, self)
	alone := errors.Is(err, patroni.ErrNoCandidate)
	if err != nil && !alone {
		return err
	}
	h.checkpoint(ctx)
	h.pause(ctx)
	if alone {
		h.Log.Info("no other member can take over: clients wait for this one's return")
		return nil
	}
	change, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	begun := time.Now()
	if err := h.Patroni.Switchover(change, h.Member, self, candidate); err != nil {
		h.each(ctx, "/resume", nil)
		return err
	}
	h.Log.Info("handed over", "to", candidate, "seconds", time.Since(begun).Seconds())
	return nil
}

// candidate finds who takes over. A member that stays and has only just come is waited
// for: the others may be going, too.
func (h *Handover) candidate(ctx context.Context, self string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, candidateTimeout)
	defer cancel()
	for {
		candidate, err := h.look(ctx, self)
		if !errors.Is(err, patroni.ErrNotYet) {
			return candidate, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(candidateInterval):
		}
	}
}

func (h *Handover) look(ctx context.Context, self string) (string, error) {
	members, err := h.Patroni.Cluster(ctx, h.Member)
	if err != nil {
		return "", err
	}
	var stopping map[string]bool
	if h.Stopping != nil {
		if stopping, err = h.Stopping(ctx); err != nil {
			h.Log.Warn("ask which pods are stopping", "err", err) // then all may stay
		}
	}
	return patroni.Candidate(members, self, stopping)
}

func (h *Handover) checkpoint(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkpointTimeout)
	defer cancel()
	if err := h.Checkpoint(ctx); err != nil {
		h.Log.Warn("checkpoint before the switchover", "err", err)
	}
}

// pause makes every pooler hold its clients back. One that does not is no reason to
// stay: its clients see the switchover as a failover.
func (h *Handover) pause(ctx context.Context) {
	h.each(ctx, "/pause", func(host string, body []byte) {
		var answer pooler.Answer
		if err := json.Unmarshal(body, &answer); err != nil {
			h.Log.Warn("pooler", "host", host, "err", err)
			return
		}
		h.Log.Info("pooler holds its clients back", "host", host, "drained", answer.Drained)
	})
}

// each posts to all poolers at once.
func (h *Handover) each(ctx context.Context, path string, done func(host string, body []byte)) {
	if h.Poolers == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pauseTimeout)
	defer cancel()
	lookup := h.Lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupHost
	}
	hosts, err := lookup(ctx, h.Poolers)
	if err != nil {
		h.Log.Warn("look up the poolers", "err", err)
		return
	}
	var wg sync.WaitGroup
	for _, host := range hosts {
		wg.Go(func() {
			body, err := h.post(ctx, host, path)
			switch {
			case err != nil:
				h.Log.Warn("pooler", "host", host, "err", err)
			case done != nil:
				done(host, body)
			}
		})
	}
	wg.Wait()
}

func (h *Handover) post(ctx context.Context, host, path string) ([]byte, error) {
	port := h.PoolerPort
	if port == 0 {
		port = pooler.TLSPort
	}
	url := "https://" + net.JoinHostPort(host, strconv.Itoa(port)) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(h.Patroni.User, h.Patroni.Password)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: h.TLS, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", path, resp.StatusCode, body)
	}
	return body, err
}
