//go:build !live

package browsertest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/page"
)

// previewDir holds what buildPreview made, if it was asked to.
var previewDir string

// buildPreview compiles the dashboard with a market of its own making, once.
var buildPreview = sync.OnceValues(func() (string, error) {
	var err error
	if previewDir, err = os.MkdirTemp("", "alphapulse-dashboard-"); err != nil {
		return "", err
	}
	path := filepath.Join(previewDir, "preview")
	build := exec.Command("go", "build", "-o", path, "./internal/dashboard/preview")
	build.Dir = filepath.Join("..", "..", "backend")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if previewDir != "" {
		_ = os.RemoveAll(previewDir) // a leftover there is no failure of a test
	}
	os.Exit(code)
}

// startPreview serves the dashboard until the test ends, or until stop, which waits.
func startPreview(t *testing.T, args ...string) (s site, stop func()) {
	t.Helper()
	path, err := buildPreview()
	if err != nil {
		t.Fatalf("build the dashboard: %v", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the dashboard ended: %v", err)
		}
	})
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the dashboard does not say where it listens: %v", err)
	}
	return site{url: strings.TrimRight(line, "/\n")}, stop
}

func TestDashboard(t *testing.T) {
	s, _ := startPreview(t, "-listen", "127.0.0.1:0", "-tick", "300ms")
	checkDashboard(t, newBrowser(t, s), s)
}

// Where there is no data, nothing is drawn.
func TestEquityHasGaps(t *testing.T) {
	t.Parallel()
	s, _ := startPreview(t, "-listen", "127.0.0.1:0")
	p := newTab(t, newBrowser(t, s), s, false)
	p.desktop()
	p.open(s.url + "/")
	p.await("a living stream", dashboardLive)
	p.await("a curve in two pieces", `document.querySelectorAll('#chart .line').length === 2 && document.querySelectorAll('#chart .gap').length === 1`)
	// The gap is 25 of 120 minutes wide and ends 35 minutes before the end of the axis.
	const widths = `(() => {
		const box = e => e.getBoundingClientRect(), gap = box(document.querySelector('#chart .gap'));
		const lines = [...document.querySelectorAll('#chart .line')].map(box);
		const axis = lines[1].right - lines[0].left;
		return [(gap.width / axis * 120), (lines[1].right - gap.right) / axis * 120, gap.left - lines[0].right, lines[1].left - gap.right];
	})()`
	v := eval[[]float64](p, widths)
	if v[0] < 24 || v[0] > 28 || v[1] < 33 || v[1] > 37 || v[2] < -3 || v[3] < -3 {
		t.Errorf("minutes without data, after it, and pixels to the curve before and behind: %v", v)
	}
	p.shot("gap")
}

// A dashboard that is stopped and started again, as in a rollout, is followed.
func TestDashboardComesBackWithWhatItMissed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		kept  string
		reads bool // the signals are read, for the stream does not remember them
	}{{name: "by the stream", kept: "50"}, {name: "across a gap", kept: "1", reads: true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, stop := startPreview(t, "-listen", "127.0.0.1:0", "-kept", c.kept)
			p := newTab(t, newBrowser(t, s), s, true)
			p.desktop()
			p.run("read nothing but what was missed", call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `window.setInterval = () => 0`}))
			p.open(s.url + "/")
			p.await("a living stream", dashboardLive)
			if !c.reads {
				p.streamOnly()
			}
			newest := eval[int](p, `Number(document.querySelector('#signals tr[data-id]').dataset.id)`)
			stop()
			p.await("that it reconnects", `document.querySelector('#live').dataset.state === 'lost'`)
			p.shot("lost")
			// The signals have the numbers of their seconds: the next three are given meanwhile.
			p.await("time for three signals", fmt.Sprintf(`Date.now() / 4000 > %d + 4`, newest))
			startPreview(t, "-listen", strings.TrimPrefix(s.url, "http://"), "-kept", c.kept)
			p.await("a living stream again", dashboardLive)
			p.await("the signals that were missed, in their order", fmt.Sprintf(`(ids => [1, 2, 3].every(n => ids.includes(%d + n)) && ids.every((id, i) => i === 0 || id < ids[i - 1]))(
				[...document.querySelectorAll('#signals tr[data-id]')].map(e => Number(e.dataset.id)))`, newest))
		})
	}
}

func TestDashboardWithoutData(t *testing.T) {
	t.Parallel()
	for state, text := range map[string]string{"empty": "No prices yet", "lost": "The database cannot be used"} {
		t.Run(state, func(t *testing.T) {
			s, _ := startPreview(t, "-listen", "127.0.0.1:0", "-state", state)
			p := newTab(t, newBrowser(t, s), s, state == "lost")
			p.narrow()
			p.open(s.url + "/")
			p.await(text, fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
			p.await("that it waits", `document.querySelector('#live').innerText === 'Waiting for prices'`)
			p.fitsWidth()
			p.shot("narrow")
			p.desktop()
			p.shot("desktop")
		})
	}
}

// The parts of the page's scripts that only numbers can tell about.
func TestDashboardScripts(t *testing.T) {
	s, _ := startPreview(t, "-listen", "127.0.0.1:0")
	p := newTab(t, newBrowser(t, s), s, false)
	p.open(s.url + "/")
	eval[bool](p, `(async () => {
		const folder = document.querySelector('script').src.replace('app.js', '');
		const [stream, chart] = await Promise.all([import(folder + 'stream.js'), import(folder + 'chart.js')]);
		window.found = JSON.stringify({
			waits: [[0, 0], [0, 1], [2, 1], [60, 1]].map(([attempt, random]) => stream.backoff(attempt, random)),
			asked: [[1013, 'full; retry-after=3'], [1012, 'Retry-After: 0.5'], [1001, 'stopping'], [1006, 'retry-after=3'], [1013, 'retry-after=9999']].map(([c, r]) => stream.askedToWait(c, r)),
			pieces: chart.pieces([[0, 1], [60, 2], [150, 3], [241, 4], [300, 5]], 60).map(p => p.length),
			ticks: [chart.ticks(100010, 100050), chart.ticks(0.1, 0.5), chart.ticks(99, 101), chart.ticks(100000.6, 100006.7)].map(t => t.values.map(v => v.toFixed(t.digits))),
		});
	})() !== null`)
	p.await("the scripts", `window.found`)
	const want = `{"waits":[100,1000,4000,15000],"asked":[3000,500,0,0,60000],"pieces":[3,2],` +
		`"ticks":[["100020","100040"],["0.2","0.4"],["99","100","101"],["100002","100004","100006"]]}`
	if got := eval[string](p, `window.found`); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
