//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// storm is how many WebSockets are opened at once.
	storm = 1000
	// stormy is how long they are tried, and readers ask for the API besides.
	stormy = 60 * time.Second
	// calm is how long all of them stay.
	calm = 15 * time.Second
	// readers are clients that ask without WebSockets, one request each at a time.
	readers = 4
	// readEvery is the time from the begin of a reader's request to that of its next.
	readEvery = 100 * time.Millisecond
)

// weather is what clients see of a storm.
type weather struct {
	mu sync.Mutex
	// opened is how long each socket took until its first message.
	opened []time.Duration
	// later are tries that were told to come again, lost what nobody should see, by what it was.
	later int
	lost  map[string]int
	// read are the answers by status, slowest the longest of them.
	read    map[int]int
	slowest time.Duration
	// unready is how often an API pod was seen that was not ready.
	unready int
}

func (w *weather) lose(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost[what]++
}

// testStorm opens a thousand WebSockets at once, with one API pod and the largest market:
// the pod stays ready, nobody is told that the gateway is bad, whom it is too much is told
// when to come again, and who does so is let in.
func (g *gate) testStorm(t *testing.T) {
	g.deploy(t, "maxSymbols=3000", "edgeWebsocketRate=10000", "edgeWebsocketBurst=10000")
	g.limit(t, 1, 1)
	g.left(t, autoscaled)
	g.priced(t)
	w := &weather{lost: map[string]int{}, read: map[int]int{}}
	ctx, stop := context.WithTimeout(t.Context(), stormy)
	defer stop()
	var around, sockets sync.WaitGroup
	around.Go(func() { w.watch(ctx) })
	for range readers {
		around.Go(func() { w.reader(ctx, g) })
	}
	open := make(chan struct{}) // sockets stay until all are there
	begun := time.Now()
	for range storm {
		sockets.Go(func() { w.socket(ctx, g, open) })
	}
	for opened := 0; ctx.Err() == nil && opened < storm; time.Sleep(100 * time.Millisecond) {
		w.mu.Lock()
		opened = len(w.opened)
		w.mu.Unlock()
	}
	took := time.Since(begun)
	// The kubelet needs a while to find a pod unready.
	select {
	case <-ctx.Done():
	case <-time.After(calm):
	}
	close(open)
	sockets.Wait()
	stop()
	around.Wait()
	w.judge(t)
	g.rows = append(g.rows, w.row(took))
	t.Log(strings.Join(g.rows[len(g.rows)-1], " | "))
}

// priced waits until the API knows the market.
func (g *gate) priced(t *testing.T) {
	t.Helper()
	client := g.client(false)
	eventually(t, 3*time.Minute, "prices of the largest market", func(context.Context) (string, bool) {
		status, body, err := request(t, client, http.MethodGet, g.out.URLs["api"]+"/api/market/status", nil, nil)
		return fmt.Sprintf("%d %.200q %v", status, body, err), err == nil && status == http.StatusOK && strings.Contains(string(body), `"open"`)
	})
}

// watch looks at the API's pods as the edge's name server does.
func (w *weather) watch(ctx context.Context) {
	list, err := cluster.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=" + autoscaled})
	if err != nil {
		w.lose("no look at the pods: " + err.Error())
		return
	}
	defer list.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, more := <-list.ResultChan():
			if !more {
				w.lose("no look at the pods any more")
				return
			}
			if p, ok := event.Object.(*corev1.Pod); ok && !ready(p) {
				w.mu.Lock()
				w.unready++
				w.mu.Unlock()
			}
		}
	}
}

// reader asks for the API as pages do that are open already.
func (w *weather) reader(ctx context.Context, g *gate) {
	client := g.client(false)
	defer client.CloseIdleConnections()
	for next := time.Now(); ; next = next.Add(readEvery) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		begun := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.out.URLs["api"]+"/api/market/status", nil)
		if err != nil {
			w.lose(err.Error())
			return
		}
		res, err := client.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.lose("request: " + reason(err.Error()))
			continue
		case res.StatusCode != http.StatusOK && comesAgain(res) == 0:
			w.lose(fmt.Sprintf("request: %d without a time to come again", res.StatusCode))
		}
		w.mu.Lock()
		w.read[res.StatusCode]++
		w.slowest = max(w.slowest, time.Since(begun))
		w.mu.Unlock()
	}
}

// comesAgain is when whoever was refused may try once more; 0 where it was not refused as
// too much is.
func comesAgain(res *http.Response) time.Duration {
	if res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusTooManyRequests {
		return 0
	}
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// socket opens one as a patient page does, and keeps it until all are there.
func (w *weather) socket(ctx context.Context, g *gate, open <-chan struct{}) {
	begun, client := time.Now(), g.client(false)
	client.Timeout = 0
	defer client.CloseIdleConnections()
	for {
		conn, res, err := websocket.Dial(ctx, strings.Replace(g.out.URLs["ui"], "https:", "wss:", 1)+"/ws/streaming", &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			if res == nil || comesAgain(res) == 0 {
				w.lose("socket: " + reason(err.Error()))
				return
			}
			w.mu.Lock()
			w.later++
			w.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(comesAgain(res)):
			}
			continue
		}
		defer func() { _ = conn.CloseNow() }()
		conn.SetReadLimit(-1)
		if _, _, err = conn.Read(ctx); err == nil {
			w.mu.Lock()
			w.opened = append(w.opened, time.Since(begun))
			w.mu.Unlock()
			err = remains(ctx, conn, open)
		}
		if err != nil && ctx.Err() == nil {
			w.lose("open socket: " + reason(err.Error()))
		}
		return
	}
}

// remains reads until all sockets are open.
func remains(ctx context.Context, conn *websocket.Conn, open <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-open:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return errors.Join(errors.New("it ended"), err)
		}
	}
}

// judge fails the test for what no user should see.
func (w *weather) judge(t *testing.T) {
	t.Helper()
	if len(w.opened) < storm {
		t.Errorf("%d of %d WebSockets had their first message within %s", len(w.opened), storm, stormy)
	}
	if w.unready > 0 {
		t.Errorf("the only API pod was seen unready %d times", w.unready)
	}
	for what, n := range w.lost {
		t.Errorf("%d × %s", n, what)
	}
	if w.read[http.StatusOK] == 0 {
		t.Errorf("of those who asked besides nobody was answered: %v", w.read)
	}
}

// row is the storm among the events of the group.
func (w *weather) row(took time.Duration) []string {
	slices.Sort(w.opened)
	asked, failed := 0, "0"
	for _, n := range w.read {
		asked += n
	}
	if later := asked - w.read[http.StatusOK]; later > 0 {
		failed = fmt.Sprintf("%d told to come again", later)
	}
	sockets := "none was opened"
	if n := len(w.opened); n > 0 {
		sockets = fmt.Sprintf("%d opened, 95 %% within %.1f s; %d tries were told to come again", n, w.opened[n*95/100].Seconds(), w.later)
	}
	return []string{"1,000 WebSockets at once, one API pod, 3,000 symbols", fmt.Sprintf("%.0f", took.Seconds()), strconv.Itoa(asked), failed, fmt.Sprintf("%.1f", w.slowest.Seconds()), sockets}
}
