//go:build live

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
			p.await("a living stream", `document.querySelector('#live')?.dataset.state === 'live'`)
			if text := eval[string](p, "document.body.innerText"); !strings.Contains(strings.ToLower(text), "simulated") {
				t.Error("the dashboard does not say that the market is simulated")
			}
			p.streamOnly()
			p.numbersChange("#prices td.price")
			p.numbersChange("#equity, #total")
			p.shot("desktop")
			backgrounds[scheme] = eval[string](p, "getComputedStyle(document.documentElement).backgroundColor + getComputedStyle(document.body).backgroundColor")
		})
	}
	if backgrounds["light"] == backgrounds["dark"] {
		t.Errorf("light and dark have the same background %q", backgrounds["light"])
	}
	t.Run("phone", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.phone()
		p.open(s.url + "/")
		p.await("numbers", `[...document.querySelectorAll('#prices td.price')].some(e => /\d/.test(e.innerText))`)
		p.fitsWidth()
		p.shot("page")
	})
}
