//go:build integration

package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// What one API process on one CPU is wanted to do, with the load generator, the
// database, the cache and the engine beside it on the same machine.
const (
	wantedRate = 1000                   // requests in a second
	wantedP95  = 100 * time.Millisecond // in which 95 of 100 are answered
)

// loadClients each send a request as soon as the one before is answered.
const (
	loadClients  = 32
	loadDuration = 10 * time.Second
)

// BenchmarkAPI loads one API process that is bound to one CPU, while the engine
// writes new prices. It prints ratios to what is wanted: rate_ratio is wanted to be
// at least 1, p95_ratio at most 1.
func BenchmarkAPI(b *testing.B) {
	s := newStack(b, "MAX_SYMBOLS", "300", "INGEST_INTERVAL", "2s", "HISTORY_BACKFILL", "6h", "CACHE_TTL", "300", "MAX_CONNECTIONS", "100")
	s.start("engine")
	base := s.startPinned()
	s.await(base+"/ready", 200)
	s.await(base+"/api/market/status", 200, `"status":"open"`)
	s.await(base+"/api/signals/latest", 200, `"signal_type"`)

	var candles []string
	for i := range 20 {
		candles = append(candles, fmt.Sprintf("/api/symbols/SIM%04dUSDT/candles?limit=300", i+1))
	}
	for _, c := range []struct {
		name  string
		paths []string
	}{
		{"signals_latest", []string{"/api/signals/latest"}},
		{"candles_of_one_symbol", candles[:1]},
		{"candles_of_20_symbols", candles},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				l := load(b, base, c.paths)
				b.ReportMetric(l.rate/wantedRate, "rate_ratio")
				b.ReportMetric(l.p95.Seconds()/wantedP95.Seconds(), "p95_ratio")
				b.ReportMetric(l.rate, "requests/s")
				b.ReportMetric(float64(l.p95.Microseconds())/1000, "p95_ms")
				b.ReportMetric(float64(l.bytes)/1024, "KiB/answer")
				b.ReportMetric(0, "ns/op") // one operation is a whole load
			}
		})
	}
}

// sampledShare of the requests is traced, as by default.
const sampledShare = "0.05"

// BenchmarkTracing prints what tracing leaves of the throughput, as throughput_ratio:
// one process without and one with it, in turn, so that what else the machine does
// meets both. It is wanted to be at least 0.97.
func BenchmarkTracing(b *testing.B) {
	s := newStack(b, "MAX_SYMBOLS", "300", "INGEST_INTERVAL", "2s", "CACHE_TTL", "300", "MAX_CONNECTIONS", "100")
	s.start("engine")
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	b.Cleanup(collector.Close)
	without := s.startPinned()
	s.env = append(s.env, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL, "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", sampledShare)
	with := s.startPinned()
	for _, base := range []string{without, with} {
		s.await(base+"/api/market/status", 200, `"status":"open"`)
	}
	paths := []string{"/api/signals/latest"}
	for b.Loop() {
		var plain, traced float64
		for range 3 {
			plain += load(b, without, paths).rate
			traced += load(b, with, paths).rate
		}
		b.ReportMetric(traced/plain, "throughput_ratio")
		b.ReportMetric(plain/3, "requests/s")
		b.ReportMetric(0, "ns/op") // one operation is a whole load
	}
}

// startPinned runs the API as a process of its own on one CPU.
func (s *stack) startPinned() string {
	s.Helper()
	url, _ := s.startBinary("taskset", "--cpu-list", "0")
	return url
}

// startBinary runs the API as a process of its own, by another command if one is given.
func (s *stack) startBinary(by ...string) (string, *exec.Cmd) {
	s.Helper()
	binary := filepath.Join(s.TempDir(), "alphapulse")
	if out, err := exec.Command("go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		s.Fatal(err)
	}
	args := append(by, binary, "api")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{"API_HOST=127.0.0.1", fmt.Sprintf("API_PORT=%d", port)}
	for i := 0; i < len(s.env); i += 2 {
		cmd.Env = append(cmd.Env, s.env[i]+"="+s.env[i+1])
	}
	cmd.Stderr = s.Output()
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // with the signal
	})
	return fmt.Sprintf("http://127.0.0.1:%d", port), cmd
}

type result struct {
	rate  float64
	p95   time.Duration
	bytes int
}

func load(b *testing.B, base string, paths []string) result {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadClients}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all []time.Duration
	var bytes int64
	var wg sync.WaitGroup
	start := time.Now()
	for c := range loadClients {
		wg.Go(func() {
			var took []time.Duration
			var read int64
			for i := c; time.Since(start) < loadDuration; i++ {
				begun := time.Now()
				response, err := client.Get(base + paths[i%len(paths)])
				if err != nil {
					b.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK {
					b.Errorf("%s, %v", response.Status, err)
					return
				}
				took = append(took, time.Since(begun))
				read += n
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			bytes += read
		})
	}
	wg.Wait()
	took := time.Since(start)
	if len(all) == 0 {
		b.Fatal("not one answer")
	}
	slices.Sort(all)
	return result{rate: float64(len(all)) / took.Seconds(), p95: all[len(all)*95/100], bytes: int(bytes) / len(all)}
}
