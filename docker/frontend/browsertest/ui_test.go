package browsertest

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const live = `document.querySelector('[data-testid=stream]')?.dataset.state === 'live'`

// checkUI is everything that must hold of the user interface wherever it runs. The
// market must be there and move.
func checkUI(t *testing.T, browser context.Context, s site) {
	t.Run("overview", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.desktop()
		p.prefers("light")
		p.open(s.url + "/")
		p.await("a living stream", live)
		p.await("what the API says of its market", `document.querySelector('[data-testid=market]')?.innerText.includes('Simulated market')`)
		p.await("lists without skeletons", `!document.querySelector('.skeleton')`)
		p.shot("light")
		p.streamOnly()
		p.numbersChange("[data-testid=price]")
		p.numbersChange("[data-testid=pnl]")
		p.prefers("dark")
		p.await("the dark theme", `document.documentElement.dataset.theme === 'dark'`)
		p.shot("dark")
	})

	t.Run("symbol", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.desktop()
		p.prefers("dark")
		p.open(s.url + "/")
		p.click("the first symbol", "main table a.symbol")
		p.await("the symbol's page", `location.pathname.startsWith('/symbols/')`)
		p.await("a drawn chart", chartDrawn)
		p.shot("dark")
		p.click("5 minutes", ".chart-card .choice label:nth-child(2)")
		p.await("5-minute candles", `location.search === '?interval=5m' && `+chartDrawn)
		p.click("the theme's button", "[data-testid=theme]")
		p.await("the light theme", `document.documentElement.dataset.theme === 'light'`)
		p.await("the chart in the light theme", chartDrawn)
		p.shot("light-5m")
		p.run("reload", chromedp.Reload())
		p.await("the chosen theme and candles after a reload", `document.documentElement.dataset.theme === 'light' && location.search === '?interval=5m' && `+chartDrawn)
		p.await("a living stream", live)
		p.streamOnly()
		p.numbersChange("[data-testid=last]")
	})

	t.Run("signals", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.desktop()
		p.open(s.url + "/signals?type=sell")
		p.await("signals", `document.querySelectorAll('[data-testid=signals] tbody tr').length > 0`)
		if others := eval[int](p, `document.querySelectorAll('[data-testid=signals] .side:not(.sell)').length`); others > 0 {
			t.Errorf("%d of the sell signals are not to sell", others)
		}
		p.click("buy", "fieldset:nth-of-type(2) label:nth-child(2)")
		p.await("buy signals only", `location.search === '?type=buy' && document.querySelector('[data-testid=signals] .side.buy') && !document.querySelector('[data-testid=signals] .side.sell')`)
		p.shot("buy")
		symbol := eval[string](p, `document.querySelector('[data-testid=signals] .symbol').innerText`)
		p.run("filter by symbol", chromedp.SendKeys(chromedp.CSS("input[type=search]"), symbol+kb.Enter))
		p.await("signals of one symbol", `location.search.includes('symbol=') && document.querySelector('[data-testid=signals] .symbol') &&
			[...document.querySelectorAll('[data-testid=signals] .symbol')].every(e => e.innerText === '`+symbol+`')`)
	})

	t.Run("watchlist", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.desktop()
		p.open(s.url + "/symbols")
		p.await("symbols", `document.querySelectorAll('tbody tr').length > 2`)
		p.await("a living stream", live)
		symbol := eval[string](p, `[...document.querySelectorAll('tbody tr')].find(r => r.querySelector('.star:not(.on)')).querySelector('.symbol').innerText`)
		star := `.star[aria-label*="` + symbol + ` "]`
		p.click("the star", star)
		p.await("a star that is on", `document.querySelector('`+star+`').ariaPressed === 'true'`)
		p.await("a stored star", `fetch('/api/watchlist').then(r => r.json()).then(l => window.stored = JSON.stringify(l)) && window.stored?.includes('"`+symbol+`"')`)
		p.open(s.url + "/")
		p.await("the watchlist on the overview", `[...document.querySelectorAll('main table .symbol')].some(e => e.innerText === '`+symbol+`')`)
		p.click("the star", star)
		p.await("a watchlist without it", `fetch('/api/watchlist').then(r => r.json()).then(l => window.stored = JSON.stringify(l)) && window.stored && !window.stored.includes('"`+symbol+`"')`)
	})

	t.Run("phone", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.phone()
		p.prefers("dark")
		p.open(s.url + "/symbols")
		p.await("a symbol", `document.querySelector('a.symbol')`)
		symbol := eval[string](p, `document.querySelector('a.symbol').getAttribute('href')`)
		for name, path := range map[string]string{"overview": "/", "markets": "/symbols", "signals": "/signals", "symbol": symbol, "missing": "/no/such/page"} {
			p.open(s.url + path)
			p.await("a living stream", live)
			p.await("lists without skeletons", `!document.querySelector('.skeleton')`)
			if name == "symbol" {
				p.await("a drawn chart", chartDrawn)
			}
			p.fitsWidth()
			p.showsUncut()
			p.await("what the API says of its market", `document.querySelector('[data-testid=market].simulated')?.checkVisibility()`)
			p.shot(name)
		}
	})
}

// chartDrawn is true when the chart's canvases show more than a background.
const chartDrawn = `(() => {
	const colors = new Set();
	for (const canvas of document.querySelectorAll('[data-testid=chart] canvas')) {
		if (!canvas.width || !canvas.height) continue;
		const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
		copy.drawImage(canvas, 0, 0);
		const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
		for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) colors.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
	}
	return colors.size > 8;
})()`
