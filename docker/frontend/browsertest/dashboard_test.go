//go:build live

package browsertest

import (
	"context"
	"strings"
	"testing"
)

// checkDashboard is what must hold of the real-time dashboard.
func checkDashboard(t *testing.T, browser context.Context, s site) {
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			p := newTab(t, browser, s, false)
			p.desktop()
			p.prefers(scheme)
			p.open(s.url + "/")
			if text := eval[string](p, "document.body.innerText"); !strings.Contains(strings.ToLower(text), "simulated") {
				t.Error("the dashboard does not say that the market is simulated")
			}
			p.numbersChange("td")
			p.shot("desktop")
		})
	}
	t.Run("phone", func(t *testing.T) {
		p := newTab(t, browser, s, false)
		p.phone()
		p.open(s.url + "/")
		p.await("numbers", `[...document.querySelectorAll('td')].some(e => /\d/.test(e.innerText))`)
		p.fitsWidth()
		p.shot("page")
	})
}
