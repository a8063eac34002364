package browsertest

import (
	"context"
	"strings"
	"testing"
)

// checkDashboard is what must hold of the real-time dashboard.
func checkDashboard(t *testing.T, browser context.Context, s site) {
	backgrounds := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			p := newTab(t, browser, s, false)
			p.desktop()
			p.prefers(scheme)
			p.open(s.url + "/")
			p.await("a living stream", dashboardLive)
			if text := eval[string](p, "document.body.innerText"); !strings.Contains(strings.ToLower(text), "simulated") {
				t.Error("the dashboard does not say that the market is simulated")
			}
			p.streamOnly()
			p.numbersChange("#prices td.price")
			p.numbersChange("#equity, #total")
			p.legible()
			p.shot("desktop")
			backgrounds[scheme] = eval[string](p, "getComputedStyle(document.documentElement).backgroundColor + getComputedStyle(document.body).backgroundColor")
		})
	}
	if backgrounds["light"] == backgrounds["dark"] {
		t.Errorf("light and dark have the same background %q", backgrounds["light"])
	}
	t.Run("most traded first", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.desktop()
		p.open(s.url + "/")
		p.await("a living stream", dashboardLive)
		for range 3 {
			p.numbersChange("#prices td.price")
			if !eval[bool](p, mostTradedFirst) {
				t.Errorf("the most traded symbols are not in the order of their volume: %s", eval[string](p, `document.querySelector('#prices tbody').innerText`))
			}
		}
	})
	t.Run("time axis", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.desktop()
		p.open(s.url + "/")
		p.await("times at the chart", `[...document.querySelectorAll('#chart .time')].filter(e => /^\d\d:(00|15|30|45)$/.test(e.textContent)).length >= 4`)
		p.await("values at the chart", `[...document.querySelectorAll('#chart .tick:not(.time)')].filter(e => /^[\d,.]+$/.test(e.textContent)).length >= 2`)
	})
	t.Run("phone", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.phone()
		p.open(s.url + "/")
		p.await("numbers", `[...document.querySelectorAll('#prices td.price')].some(e => /\d/.test(e.innerText))`)
		p.fitsWidth()
		p.shot("page")
	})
	t.Run("narrow window", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.narrow()
		p.open(s.url + "/")
		p.await("a living stream", dashboardLive)
		if bar := eval[int](p, `innerWidth - document.documentElement.clientWidth`); bar < 5 {
			t.Errorf("a scrollbar of %d pixels: the test looks at nothing", bar)
		}
		p.fitsWidth()
		p.showsUncut()
		p.shot("page")
	})
}

const dashboardLive = `document.querySelector('#live')?.dataset.state === 'live'`

// mostTradedFirst reads the volumes as they are written: 4.2B, 318.55M, 7K.
const mostTradedFirst = `(() => {
	const size = { K: 1e3, M: 1e6, B: 1e9 };
	const volumes = [...document.querySelectorAll('#prices .volume')].map(e => parseFloat(e.textContent) * (size[e.textContent.at(-1)] ?? 1));
	return volumes.length > 1 && volumes.every((v, i) => i === 0 || v <= volumes[i - 1]);
})()`
