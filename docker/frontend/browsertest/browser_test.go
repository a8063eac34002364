package browsertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait: long enough for a loaded machine, so that only what
// never happens fails.
const patience = 90 * time.Second

// site is one web site as the browser reaches it.
type site struct {
	url     string            // without a trailing slash
	caFile  string            // PEM; empty trusts only the browser's own roots
	resolve map[string]string // host -> address[:port]
}

func (s site) host(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(s.url)
	if err != nil || u.Host == "" {
		t.Fatalf("%q is not a web address", s.url)
	}
	return u.Host
}

// newBrowser starts a Chromium that trusts the site's CA and can reach no other host.
func newBrowser(t *testing.T, s site) context.Context {
	t.Helper()
	command := os.Getenv("CHROMIUM")
	if command == "" {
		command = "chromium"
	}
	if _, err := exec.LookPath(command); err != nil {
		t.Fatalf("the browser tests need Chromium: apt-get install chromium libnss3-tools (%v)", err)
	}
	home := t.TempDir()
	if s.caFile != "" {
		trust(t, home, s.caFile)
	}

	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatalf("parse %q: %v", s.url, err)
	}
	var rules []string
	for host, address := range s.resolve {
		rules = append(rules, fmt.Sprintf("MAP %s %s", host, address))
	}
	rules = append(rules, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1")
	if _, mapped := s.resolve[u.Hostname()]; !mapped {
		rules = append(rules, "EXCLUDE "+u.Hostname())
	}

	allocator, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(command),
		chromedp.Env("HOME="+home, "XDG_DATA_HOME="+home+"/.local/share", "XDG_CONFIG_HOME="+home+"/.config", "XDG_CACHE_HOME="+home+"/.cache"),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		// As on most desktops: a scrollbar takes room.
		chromedp.Flag("hide-scrollbars", false),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		// A page in the background must move too: one browser serves several tests.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("host-resolver-rules", strings.Join(rules, ", ")),
	)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start %s: %v", command, err)
	}
	return browser
}

// trust makes a certificate store below home that holds the CA.
func trust(t *testing.T, home, caFile string) {
	t.Helper()
	store := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-N", "--empty-password"},
		{"-A", "-n", "development CA", "-t", "C,,", "-i", caFile},
	} {
		out, err := exec.Command("certutil", append([]string{"-d", "sql:" + store}, args...)...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			t.Fatal("the browser tests need certutil to trust the development CA: apt-get install libnss3-tools")
		}
		if err != nil {
			t.Fatalf("certutil %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// tab is one page with a profile of its own (no cookies, no storage), which notes
// what the page should not do.
type tab struct {
	*testing.T
	ctx  context.Context
	host string

	mu       sync.Mutex
	problems []string
}

// violation marks what the Content-Security-Policy refused, which no test tolerates.
const violation = "Content-Security-Policy violation"

// tolerate is a reason why the page may report errors, for tests that cause them.
type tolerate bool

func newTab(t *testing.T, browser context.Context, s site, tolerateErrors tolerate) *tab {
	t.Helper()
	p := &tab{T: t, host: s.host(t)}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.watch))
	t.Cleanup(cancel)
	p.ctx = ctx
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, problem := range p.problems {
			if !bool(tolerateErrors) || strings.HasPrefix(problem, "request") || strings.Contains(problem, violation) {
				t.Error(problem)
			}
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	p.run("report requests", call(network.Enable, network.EnableParams{}))
	p.run("report the log", call(log.Enable, cdp.Empty{}))
	// The browser's own log tells some violations of the policy only.
	p.run("report violations of the policy", call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `document.addEventListener('securitypolicyviolation', e => console.error('` + violation + `', e.effectiveDirective, e.blockedURI, e.sourceFile + ':' + e.lineNumber))`,
	}))
	return p
}

// call is a protocol command as an action.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// watch notes what the page should not do.
func (p *tab) watch(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.checkHost(e.Request.URL)
	case *network.EventWebSocketCreated:
		p.checkHost(e.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.note("exception: %s", text)
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			var text []string
			for _, a := range e.Args {
				text = append(text, string(a.Value)+a.Description)
			}
			p.note("console %s: %s", e.Type, strings.Join(text, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			p.note("browser %s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	}
}

func (p *tab) checkHost(address string) {
	u, err := url.Parse(address)
	if err == nil && (u.Host == p.host || u.Scheme == "data") { // the page holds that itself
		return
	}
	p.note("request to another host than %s: %s", p.host, address)
}

func (p *tab) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

func (p *tab) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.shot("failure")
		p.Fatalf("%s: %v", what, err)
	}
}

func (p *tab) open(address string) {
	p.Helper()
	p.run("open "+address, chromedp.Navigate(address))
}

// eval returns the value of a JavaScript expression.
func eval[T any](p *tab, expression string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// await waits until a JavaScript expression is true.
func (p *tab) await(what, expression string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		// An error is no end: the page may be changing under the expression.
		done, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && done {
			return
		}
		select {
		case <-ctx.Done():
			p.shot("failure")
			p.mu.Lock()
			defer p.mu.Unlock()
			p.Fatalf("never saw %s (%s), last error %v, problems %q", what, expression, err, p.problems)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *tab) click(what, selector string) {
	p.Helper()
	p.run("click "+what, chromedp.Click(chromedp.CSS(selector)))
}

// desktop and phone are the two screens that pages are looked at on.
func (p *tab) desktop() {
	p.Helper()
	p.run("take a desktop's size", chromedp.EmulateViewport(1440, 1000))
}

func (p *tab) phone() {
	p.Helper()
	p.run("take a phone's size", chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulateScale(2)))
}

// narrow is a window as wide as a phone, with a desktop's scrollbar in it.
func (p *tab) narrow() {
	p.Helper()
	p.run("take a narrow window", chromedp.EmulateViewport(390, 740))
}

func (p *tab) prefers(scheme string) {
	p.Helper()
	p.run("prefer "+scheme, call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}))
}

// fitsWidth fails if the page scrolls sideways or if something sticks out.
func (p *tab) fitsWidth() {
	p.Helper()
	const expression = `(() => {
		const width = document.documentElement.clientWidth;
		const scrolls = e => { for (; e && e !== document.documentElement; e = e.parentElement) if (/auto|scroll/.test(getComputedStyle(e).overflowX)) return true; return false; };
		const out = [...document.body.querySelectorAll('*')]
			.filter(e => e.getBoundingClientRect().right > width + 1 && e.checkVisibility() && !scrolls(e))
			.slice(0, 5).map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40));
		if (document.documentElement.scrollWidth > width) out.unshift('the page is ' + document.documentElement.scrollWidth + ' wide on a screen of ' + width);
		return out;
	})()`
	for _, element := range eval[[]string](p, expression) {
		p.Errorf("sticks out to the right at %s: %s", eval[string](p, "location.pathname"), element)
	}
}

// showsUncut fails if a cell's text is cut off inside of its card.
func (p *tab) showsUncut() {
	p.Helper()
	for _, element := range eval[[]string](p, `[...document.querySelectorAll('.card')].filter(e => e.scrollWidth > e.clientWidth + 1)
		.map(e => e.querySelector('h2')?.textContent + ': ' + e.scrollWidth + ' in ' + e.clientWidth)`) {
		p.Errorf("a card at %s is cut off: %s", eval[string](p, "location.pathname"), element)
	}
}

// legible fails if a text on the screen has too little contrast to what is behind it
// (WCAG 2.2, 1.4.3): less than 4.5, or than 3 if it is large.
func (p *tab) legible() {
	p.Helper()
	const expression = `(() => {
		const paint = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
		const parse = color => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = color; paint.fillRect(0, 0, 1, 1); const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
		const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3])).concat(1);
		const behind = e => e ? (c => c[3] === 1 ? c : over(c, behind(e.parentElement)))(parse(getComputedStyle(e).backgroundColor)) : [255, 255, 255, 1];
		const light = c => c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
		const out = [];
		for (const e of document.body.querySelectorAll('*')) {
			const text = [...e.childNodes].filter(n => n.nodeType === Node.TEXT_NODE).map(n => n.data.trim()).join(' ').trim();
			// What lights up for a moment, and what only screen readers see, is not meant.
			if (!text || !e.checkVisibility() || e.closest('.hidden, .skip, svg, noscript') || e.getAnimations().length > 0) continue;
			const style = getComputedStyle(e), back = behind(e);
			const [a, b] = [light(over(parse(style.color), back)), light(back)].sort((a, b) => b - a);
			const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
			const ratio = (a + 0.05) / (b + 0.05);
			if (ratio < (large ? 3 : 4.5)) out.push(e.tagName + '.' + e.className + ' ' + text.slice(0, 30) + ': ' + ratio.toFixed(2));
		}
		return [...new Set(out)].slice(0, 8);
	})()`
	for _, element := range eval[[]string](p, expression) {
		p.Errorf("little contrast at %s: %s", eval[string](p, "location.pathname"), element)
	}
}

// shot keeps a screenshot of what is on the screen.
func (p *tab) shot(name string) {
	p.Helper()
	dir := os.Getenv("OUTPUT_DIR")
	if dir == "" {
		dir = "output"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.Errorf("screenshot %s: %v", name, err)
		return
	}
	if !bytes.HasPrefix(png, []byte("\x89PNG")) {
		p.Errorf("screenshot %s is no PNG", name)
	}
	file := strings.NewReplacer("/", "-", " ", "-").Replace(p.Name()+"-"+name) + ".png"
	if err := os.WriteFile(filepath.Join(dir, file), png, 0o644); err != nil {
		p.Fatal(err)
	}
}

// streamOnly lets the page's requests go unanswered from now on, so that what still
// changes comes by the WebSocket.
func (p *tab) streamOnly() {
	p.Helper()
	eval[bool](p, `(window.fetch = () => new Promise(() => {})) !== null`)
}

// numbersChange waits until texts that a selector finds differ from what they are
// now, in the very same document.
func (p *tab) numbersChange(selector string) {
	p.Helper()
	texts := fmt.Sprintf(`[...document.querySelectorAll(%q)].map(e => e.innerText)`, selector)
	p.await("numbers at "+selector, texts+`.some(t => /\d/.test(t))`)
	eval[bool](p, `window.sameDocument = true`)
	before := eval[[]string](p, texts)
	encoded := make([]string, len(before))
	for i, text := range before {
		encoded[i] = fmt.Sprintf("%q", text)
	}
	p.await("a change at "+selector, fmt.Sprintf(`(before => %s.some((t, i) => /\d/.test(t) && i < before.length && t !== before[i]))([%s])`, texts, strings.Join(encoded, ",")))
	if !eval[bool](p, `window.sameDocument === true`) {
		p.Error("the page was loaded again")
	}
	if after := eval[[]string](p, texts); slices.Equal(before, after) {
		p.Errorf("nothing changed at %s: %q", selector, after)
	}
}
