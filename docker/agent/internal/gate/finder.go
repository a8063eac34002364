// Package gate joins connections with the member of a database cluster that can
// serve them now, and lets them wait while there is none: a failover is latency, not
// errors.
package gate

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/patroni"
)

const (
	// calm and hasty are the times between two looks at the members, while there is a
	// primary and while there is none.
	calm  = time.Second
	hasty = 200 * time.Millisecond
)

// A Target is a member that connections go to.
type Target struct {
	// Name of the member.
	Name string
	// Host to connect to.
	Host string
	// Timeline and Started tell the server from the one that it was before a failover or a
	// restart.
	Timeline int
	Started  string
}

// same reports whether connections to t may stay when u takes its place.
func (t Target) same(u Target) bool { return t.Name == u.Name && t.Timeline == u.Timeline }

// A View is what is known of the members at one time.
type View struct {
	// Primary is nil while there is none.
	Primary *Target
	// Standbys are those that are close enough behind it.
	Standbys []Target
}

// A Finder keeps looking for the primary and its standbys.
type Finder struct {
	// Members is a name that has all members' addresses.
	Members string
	// Service is a name that leads to the primary; DNS remembers the address of a member
	// that was replaced for half a minute, a Service's stays the same.
	Service string
	// Lag in bytes is how far behind a standby may be.
	Lag int64
	// TLS checks who members are; nil for members of which none speaks TLS at Patroni's port.
	TLS *tls.Config
	// Encrypted says that they do there, or are about to.
	Encrypted bool
	// Port of Patroni's REST API; 0 for the usual one.
	Port int
	// Lookup resolves a name; nil asks DNS.
	Lookup func(ctx context.Context, host string) ([]string, error)
	Log    *slog.Logger

	mu      sync.Mutex
	view    View
	changed chan struct{} // closed by the next change
	wake    chan struct{}
	once    sync.Once
	ways    ways
}

func (f *Finder) init() {
	f.once.Do(func() {
		f.changed, f.wake = make(chan struct{}), make(chan struct{}, 1)
		if f.Lookup == nil {
			f.Lookup = net.DefaultResolver.LookupHost
		}
	})
}

// View returns what is known, and a channel that is closed when that changes.
func (f *Finder) View() (View, <-chan struct{}) {
	f.init()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.changed
}

// Doubt makes the finder look again at once: a connection to the primary has failed.
func (f *Finder) Doubt() {
	f.init()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run looks until ctx ends.
func (f *Finder) Run(ctx context.Context) {
	f.init()
	for ctx.Err() == nil {
		view := f.look(ctx)
		f.set(view)
		pause := calm
		if view.Primary == nil {
			pause = hasty
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-f.wake:
			// Not faster than in haste, however many connections fail.
			select {
			case <-time.After(hasty):
			case <-ctx.Done():
			}
		}
		timer.Stop()
	}
}

func (f *Finder) set(next View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.view
	if equal(before, next) {
		return
	}
	f.view = next
	close(f.changed)
	f.changed = make(chan struct{})
	switch {
	case next.Primary == nil && before.Primary != nil:
		f.Log.Warn("no primary answers", "was", before.Primary.Name)
	case next.Primary != nil && (before.Primary == nil || !before.Primary.same(*next.Primary)):
		f.Log.Info("primary", "member", next.Primary.Name, "timeline", next.Primary.Timeline, "host", next.Primary.Host)
	}
}

func equal(a, b View) bool {
	if (a.Primary == nil) != (b.Primary == nil) || a.Primary != nil && *a.Primary != *b.Primary {
		return false
	}
	return slices.Equal(a.Standbys, b.Standbys)
}

// answer is what one host said.
type answer struct {
	*patroni.Status
	host string
}

func (a answer) target() Target {
	return Target{Name: a.Patroni.Name, Host: a.host, Timeline: a.Timeline, Started: a.Started}
}

// look asks every member at the same time, and the Service if none is the primary.
func (f *Finder) look(ctx context.Context) View {
	hosts, err := f.Lookup(ctx, f.Members)
	if err != nil {
		f.Log.Debug("look up the members", "err", err)
	} else {
		f.ways.forget(slices.Concat(hosts, []string{f.Service})...)
	}
	answers := make(chan answer)
	var wg sync.WaitGroup
	for _, host := range hosts {
		wg.Go(func() { f.ask(ctx, host, answers) })
	}
	go func() { wg.Wait(); close(answers) }()
	var primary *answer
	var others []answer
	for a := range answers {
		if !a.Primary() {
			others = append(others, a)
			continue
		}
		// One that was cut off may not know yet that it is no longer: the later timeline
		// is right.
		if primary != nil && primary.Timeline >= a.Timeline {
			continue
		}
		primary = &a
		f.early(a.target())
	}
	if primary == nil {
		answers := make(chan answer, 1)
		f.ask(ctx, f.Service, answers)
		select {
		case a := <-answers:
			if a.Primary() {
				primary = &a
			}
		default:
		}
	}
	var view View
	if primary == nil {
		return view
	}
	t := primary.target()
	view.Primary = &t
	for _, a := range others {
		if a.State == "running" && !a.Leads && primary.XLog.Location-a.XLog.Replayed <= f.Lag {
			view.Standbys = append(view.Standbys, a.target())
		}
	}
	slices.SortFunc(view.Standbys, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	return view
}

// early makes a new primary known before every other member has answered: one that
// hangs takes its whole time.
func (f *Finder) early(t Target) {
	f.mu.Lock()
	now := f.view
	f.mu.Unlock()
	if now.Primary == nil || !now.Primary.same(t) && t.Timeline >= now.Primary.Timeline {
		f.set(View{Primary: &t, Standbys: now.Standbys})
	}
}

func (f *Finder) ask(ctx context.Context, host string, answers chan<- answer) {
	ctx, cancel := context.WithTimeout(ctx, patroni.Timeout)
	defer cancel()
	port := f.Port
	if port == 0 {
		port = patroni.Port
	}
	client := &patroni.Client{TLS: f.TLS}
	if status, err := f.ways.ask(ctx, client, f.Encrypted, host, net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
		answers <- answer{status, host}
	}
}
