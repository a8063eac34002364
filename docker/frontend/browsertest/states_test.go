//go:build !live

package browsertest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/coder/websocket"

	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/fakeapi"
)

// pages are all that the user interface has.
var pages = map[string]string{"overview": "/", "markets": "/symbols", "signals": "/signals", "symbol": "/symbols/SIM0001USDT", "missing": "/no/such/page"}

const noSkeleton = `document.querySelector('main') && !document.querySelector('.skeleton')`

// A scrollbar that takes room makes the page narrower than the window.
func TestNarrowWindowWithScrollbar(t *testing.T) {
	s, _ := newSite(t, 60)
	browser := newBrowser(t, s)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			p := newTab(t, browser, s, false)
			p.narrow()
			p.prefers(scheme)
			for name, path := range pages {
				p.open(s.url + path)
				p.await("a living stream", live)
				p.await("lists without skeletons", noSkeleton)
				if bar := eval[int](p, `innerWidth - document.documentElement.clientWidth`); name == "signals" && bar < 5 {
					t.Errorf("a scrollbar of %d pixels: the test looks at nothing", bar)
				}
				p.fitsWidth()
				p.showsUncut()
				p.legible()
				p.shot(name)
			}
		})
	}
}

func TestMarketIsCalledWhatTheAPISays(t *testing.T) {
	t.Parallel()
	s, api := newSite(t, 30)
	browser := newBrowser(t, s)
	yes, no := true, false
	for _, c := range []struct {
		name string
		says *bool
		want string
	}{{"simulated", &yes, "Simulated market"}, {"real", &no, "Real market"}, {"nothing", nil, ""}} {
		t.Run(c.name, func(t *testing.T) {
			api.SetSimulated(c.says)
			p := newTab(t, browser, s, false)
			p.desktop()
			p.open(s.url + "/")
			p.await("a living stream", live)
			p.await("lists without skeletons", noSkeleton)
			const label = `(document.querySelector('[data-testid=market] strong')?.innerText ?? '')`
			p.await(fmt.Sprintf("the label %q", c.want), fmt.Sprintf(`%s === %q`, label, c.want))
			for _, word := range []string{"Simulated", "Real market"} {
				if word != c.want && word+" market" != c.want && eval[bool](p, fmt.Sprintf(`document.documentElement.outerHTML.includes(%q)`, word)) {
					t.Errorf("the page says %q", word)
				}
			}
			p.shot("overview")
		})
	}
}

// An API of another kind, as any HTTP service in the backend's place.
func TestForeignAPI(t *testing.T) {
	t.Parallel()
	s, api := newSite(t, 30)
	p := newTab(t, newBrowser(t, s), s, true)
	p.desktop()
	unknown := fakeapi.Answer{Status: http.StatusNotFound, Type: "text/plain", Body: "404 page not found"}
	api.Instead("/api/", unknown)
	api.Instead("/ws", unknown)

	p.open(s.url + "/")
	p.await("that there is nothing", `document.querySelector('main')?.innerText.includes('nothing to show')`)
	p.await("one section", `[...document.querySelectorAll('.sections a')].map(e => e.innerText).join() === 'Overview'`)
	if eval[bool](p, `!!document.querySelector('.problem, .card table, [data-testid=market]')`) {
		t.Error("the page has parts that the API lacks")
	}
	p.shot("overview")
	for _, path := range []string{"/symbols", "/signals", "/symbols/SIM0001USDT"} {
		p.open(s.url + path)
		p.await("what the API lacks", `document.querySelector('.empty')?.innerText.startsWith('This API has no') && !document.querySelector('.skeleton, .star, .filters')`)
		p.shot("at" + path)
	}
	p.await("that nothing is live", `document.querySelector('[data-testid=stream]').dataset.state === 'silent'`)

	api.Instead("/api/", fakeapi.Answer{})
	p.click("try again", ".empty button")
	p.await("the symbol's candles", chartDrawn)
	p.click("the brand", ".brand")
	p.await("all of the overview", `document.querySelectorAll('.figure').length === 4 && document.querySelectorAll('.card > header').length === 5`)
	// Without a stream, what is shown is asked for.
	p.numbersChange("main table td.number")
	p.shot("not-live")
}

// Each part that an API may lack is left out, and the others are there.
func TestLackingPartsAreLeftOut(t *testing.T) {
	t.Parallel()
	s, api := newSite(t, 30)
	browser := newBrowser(t, s)
	unknown := fakeapi.Answer{Status: http.StatusNotFound, Body: `{"detail":"Not Found"}`}
	for _, c := range []struct{ name, prefix, absent, present string }{
		{"status", "/api/market/status", `h2:text(Top gainers), .figure h2:text(Market)`, `h2:text(Most traded)`},
		{"symbols", "/api/symbols", `h2:text(Most traded), a:text(Markets)`, `h2:text(Top gainers)`},
		{"signals", "/api/signals/", `li .side, .sections a:text(Signals)`, `h2:text(Most traded)`},
		{"positions", "/api/positions", `h2:text(Open positions)`, `h2:text(Top gainers)`},
		{"watchlist", "/api/watchlist", `.star, .hint, .problem`, `h2:text(Most traded)`},
		{"candles", "/api/symbols/SIM", `th:text(Last hour)`, `th:text(Volume)`},
		{"pnl history", "/api/pnl", `.figure .spark`, `[data-testid=pnl]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			api.Instead(c.prefix, unknown)
			// The stream would tell positions, which are its own.
			api.Instead("/ws", unknown)
			defer api.Instead(c.prefix, fakeapi.Answer{})
			p := newTab(t, browser, s, true)
			p.desktop()
			p.open(s.url + "/")
			p.await("what is there", found(c.present)+` && `+noSkeleton)
			p.await("nothing in the place of the rest", `!`+found(c.absent))
			if problems := eval[string](p, `[...document.querySelectorAll('.failure, .problem, .empty')].map(e => e.innerText).join(' | ')`); problems != "" {
				t.Errorf("the page complains: %s", problems)
			}
			p.shot("overview")
			for _, path := range []string{"/symbols", "/symbols/SIM0001USDT"} {
				p.open(s.url + path)
				p.await("no skeleton at "+path, noSkeleton)
				if c.name == "watchlist" && eval[bool](p, found(c.absent)) {
					t.Errorf("stars at %s", path)
				}
			}
		})
	}
}

// found is true if a selector finds something; tag:text(words) finds a tag with these words.
func found(selector string) string {
	return fmt.Sprintf(`%q.split(', ').some(s => {
		const [, tag, text] = /^(.*?):text\((.*)\)$/.exec(s) ?? [, s];
		return [...document.querySelectorAll(tag)].some(e => text === undefined || e.innerText.trim() === text);
	})`, selector)
}

// Whatever an API answers, a list says what is the matter and can be asked for again.
func TestTroubleIsToldWithARemedy(t *testing.T) {
	t.Parallel()
	s, api := newSite(t, 30)
	browser := newBrowser(t, s)
	for _, c := range []struct {
		name   string
		answer fakeapi.Answer
		says   string
		pages  []string
	}{
		{"error", fakeapi.Answer{Status: 500, Body: `{"error":"the disk is full"}`}, "The disk is full.", []string{"overview", "markets", "signals", "symbol"}},
		{"a page", fakeapi.Answer{Status: 200, Type: "text/html", Body: "<!doctype html><p>Welcome"}, "it is not JSON", []string{"overview"}},
		{"another shape", fakeapi.Answer{Status: 200, Body: `{"hello":"world"}`}, "is not understood", []string{"overview"}},
		{"items of another shape", fakeapi.Answer{Status: 200, Body: `{"items":[7]}`}, "is not understood", []string{"symbol"}},
		{"a login", fakeapi.Answer{Status: 401, Body: `{}`}, "not signed in", []string{"signals"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newTab(t, browser, s, true)
			p.desktop()
			for _, name := range c.pages {
				path := pages[name]
				api.Instead("/api/", c.answer)
				api.Instead("/ws", fakeapi.Answer{Status: 503})
				p.open(s.url + path)
				p.await("what is the matter at "+path, fmt.Sprintf(`document.querySelector('main .failure')?.innerText.includes(%q) && !document.querySelector('.skeleton')`, c.says))
				p.shot(name)
				api.Instead("/api/", fakeapi.Answer{})
				api.Instead("/ws", fakeapi.Answer{})
				eval[bool](p, `(() => { document.querySelectorAll('main .failure button').forEach(b => b.click()); return true })()`)
				p.await("rows at "+path, `document.querySelector('main tbody tr, main .chart canvas')`)
				p.await("no trouble at "+path, `!document.querySelector('.failure')`)
			}
		})
	}
}

// A stream that a server ends comes back by itself and brings what was given meanwhile.
func TestStreamBringsWhatWasMissed(t *testing.T) {
	t.Parallel()
	nothing := func(*fakeapi.Server) {}
	for _, c := range []struct {
		name           string
		before, during func(*fakeapi.Server)
		reads          bool // the lists are read again
	}{
		{name: "numbered", before: nothing, during: nothing},
		{name: "not numbered", before: func(api *fakeapi.Server) { api.SetNumbered(false) }, during: nothing, reads: true},
		{name: "forgotten", before: nothing, during: (*fakeapi.Server).Forget, reads: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, api := newSite(t, 30)
			c.before(api)
			p := newTab(t, newBrowser(t, s), s, true)
			p.desktop()
			// The list is read at the beginning, and when something was missed.
			p.run("read nothing all the time", call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
				Source: `(wait => { window.setTimeout = (run, ms) => ms > 8000 ? 0 : wait(run, ms) })(window.setTimeout)`,
			}))
			p.open(s.url + "/signals")
			p.await("a living stream", live)
			p.await("signals", `document.querySelectorAll('[data-testid=signals] tbody tr').length > 0`)
			if !c.reads {
				// Only the stream can bring it.
				p.streamOnly()
			}
			// New streams wait until the signal was given that no stream has told.
			api.Instead("/ws", fakeapi.Answer{Status: http.StatusServiceUnavailable})
			api.CloseStreams(websocket.StatusServiceRestart, "a new version comes")
			p.await("that it reconnects", `document.querySelector('[data-testid=stream]').dataset.state === 'reconnecting'`)
			id := api.Signal()
			c.during(api)
			api.Instead("/ws", fakeapi.Answer{})
			p.await("a living stream again", live)
			p.await("the signal that was missed", fmt.Sprintf(`document.querySelector('[data-testid=signals] tr[data-id="%d"]')`, id))
		})
	}
}

// The policy holds on every page without being needed, and it is one that forbids.
func TestContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	s, _ := newSite(t, 30)
	browser := newBrowser(t, s)
	for name, path := range pages {
		t.Run(name, func(t *testing.T) {
			p := newTab(t, browser, s, false)
			p.desktop()
			p.open(s.url + path)
			p.await("a living stream", live)
			p.await("lists without skeletons", noSkeleton)
			if name == "symbol" {
				p.await("a drawn chart", chartDrawn)
			}
			p.click("the theme", "[data-testid=theme]")
		})
	}
	t.Run("it forbids", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.open(s.url + "/")
		p.await("a living stream", live)
		eval[bool](p, `(() => { document.body.insertAdjacentElement('beforeend', Object.assign(document.createElement('style'), { textContent: 'body { color: red }' })); return true })()`)
		eval[bool](p, `(() => { try { document.body.innerHTML += '<img src=x onerror=alert(1)>' } catch {} return true })()`)
		p.expects(violation, 2)
	})
}

// expects takes problems with a text out of what the page should not do, and fails if
// there are fewer.
func (p *tab) expects(text string, least int) {
	p.Helper()
	deadline := time.Now().Add(patience)
	for {
		p.mu.Lock()
		others := slices.DeleteFunc(slices.Clone(p.problems), func(s string) bool { return strings.Contains(s, text) })
		seen := len(p.problems) - len(others)
		if seen >= least {
			// The browser's log tells the same in other words.
			p.problems = slices.DeleteFunc(others, func(s string) bool {
				return strings.Contains(s, "Security Policy") || strings.Contains(s, "TrustedHTML")
			})
		}
		p.mu.Unlock()
		if seen >= least {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("%d of %d times %q", seen, least, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
