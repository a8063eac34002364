// Command pictures draws what a stack on the local cluster shows: Prometheus' own pages in
// Chromium, and each dashboard of its Grafana as one SVG. The Grafana of the local cluster
// has no pages; so the program reads the dashboards that it was given, asks the stack's
// Prometheus and VictoriaLogs for what each panel asks, through the edge and its login, and
// draws the answers itself. `make pictures` runs it; docs/pictures has the results.
//
// A query that fails ends it. A panel whose queries have no result is drawn as "no data",
// and counted.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.local, "local", ".local/bin/local", "the program of the local cluster")
	flag.StringVar(&o.stack, "stack", "dev", "the stack to look at")
	flag.StringVar(&o.out, "out", "docs/pictures", "the folder to write to; it is created")
	flag.DurationVar(&o.back, "range", 15*time.Minute, "how far back pictures look")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		log.Fatalf("pictures: %v", err)
	}
}

type options struct {
	local, stack, out string
	back              time.Duration
}

func (o options) run(ctx context.Context) error {
	s, err := deployed(ctx, o.local, o.stack)
	if err != nil {
		return err
	}
	boards, scraped, err := s.grafana(ctx)
	if err != nil {
		return err
	}
	from, err := s.source(scraped)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	to := time.Now().Truncate(scraped)
	over := span{to.Add(-o.back), to, scraped}
	for _, file := range slices.Sorted(maps.Keys(boards)) {
		svg, count, err := picture(ctx, from, boards[file], over)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		name := strings.TrimSuffix(file, ".json") + ".svg"
		if err := os.WriteFile(filepath.Join(o.out, name), []byte(svg), 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d of %d panels have data%s, %d KiB\n", name, count.with, count.with+len(count.without), count.list(), (len(svg)+1023)/1024)
	}
	return s.prometheus(ctx, filepath.Join(o.out, "prometheus.png"))
}

// counted are the panels with data, and the titles of those without.
type counted struct {
	with    int
	without []string
}

func (c counted) list() string {
	if len(c.without) == 0 {
		return ""
	}
	return ", not " + strings.Join(c.without, ", ")
}

// picture asks for all that a dashboard shows and draws it.
func picture(ctx context.Context, from source, d dashboard, over span) (string, counted, error) {
	var c counted
	answers := make([]answer, len(d.Panels))
	for n, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		var err error
		if answers[n], err = from.answer(ctx, p, over); err != nil {
			return "", c, err
		}
		if answers[n].empty() {
			c.without = append(c.without, p.Title)
		} else {
			c.with++
		}
	}
	var marks []float64
	for _, m := range d.Annotations.List {
		var a answer
		if err := from.into(ctx, &a, target{Expr: m.Expr}, from.series+"/api/v1/query_range", from.over("query", from.filled(m.Expr, over), over)); err != nil {
			return "", c, fmt.Errorf("mark: %s: %w", m.Expr, err)
		}
		marks = append(marks, begun(a.series, over.step)...)
	}
	return draw(d, answers, over, marks), c, nil
}

// prometheus has Chromium look at Prometheus' own pages, by the test of the frontend that
// e2e runs, too, and keeps what it saw.
func (s *stack) prometheus(ctx context.Context, to string) error {
	dir, err := os.MkdirTemp("", "pictures-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, []byte(s.outputs.CACertificate), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-C", "docker/frontend", "-count=1", "-tags=live", "-run=^TestLivePrometheus$", "./browsertest")
	cmd.Env = append(os.Environ(), "PROMETHEUS_URL="+s.outputs.URLs["prometheus"], "PROMETHEUS_PASSWORD="+s.outputs.PrometheusPassword, "CA_FILE="+ca, "OUTPUT_DIR="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("prometheus' own pages in Chromium: %w", err)
	}
	seen, err := os.ReadFile(filepath.Join(dir, "TestLivePrometheus-graph.png"))
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d KiB\n", filepath.Base(to), (len(seen)+1023)/1024)
	return os.WriteFile(to, seen, 0o644)
}
