//go:build !live

package browsertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/fakeapi"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/server"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/internal/settings"
	"github.com/alphapulse/alphapulse-infra/docker/frontend/ui"
)

// newSite serves the user interface and a made-up API as the edge would.
func newSite(t *testing.T, symbols int) (site, *fakeapi.Server) {
	t.Helper()
	files, err := ui.Files()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := server.New(files, settings.Runtime{WSPath: "/ws/streaming", Environment: "test", DashboardURL: "https://dashboard.test", GrafanaURL: "https://monitoring.test"})
	if err != nil {
		t.Fatal(err)
	}
	api := fakeapi.New(symbols, 250*time.Millisecond, 7)
	go api.Run(t.Context())

	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("/api/", api)
	mux.Handle("/ws", api)
	mux.Handle("/ws/", api)
	const host = "alphapulse.test"
	caFile, certificate := newCA(t, host)
	srv := httptest.NewUnstartedServer(mux)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	// A browser that refuses the certificate is what one test wants.
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(func() {
		api.SetDown(true)
		srv.CloseClientConnections()
		srv.Close()
	})
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return site{url: "https://" + host + ":" + port, caFile: caFile, resolve: map[string]string{host: "127.0.0.1"}}, api
}

// newCA makes a development CA and a certificate of its for host.
func newCA(t *testing.T, host string) (caFile string, leaf tls.Certificate) {
	t.Helper()
	issue := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, caKey := issue(ca, ca, nil)
	leafDER, leafKey := issue(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, caKey)

	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return caFile, tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}
}

func TestUI(t *testing.T) {
	// More symbols than a stream brings by itself, as with MAX_SYMBOLS = 3000.
	s, _ := newSite(t, 600)
	checkUI(t, newBrowser(t, s), s)
}

// New signals draw the page again at any moment, while somebody types, too.
func TestStreamLeavesWhatIsTyped(t *testing.T) {
	s, _ := newSite(t, 600)
	p := newTab(t, newBrowser(t, s), s, false)
	p.desktop()
	p.open(s.url + "/signals")
	p.await("signals", `document.querySelectorAll('[data-testid=signals] tbody tr').length > 0`)
	p.run("type half a symbol", chromedp.SendKeys(chromedp.CSS("input[type=search]"), "sim0"))
	before := eval[int](p, `document.querySelectorAll('[data-testid=signals] tbody tr').length`)
	p.await("a new signal", fmt.Sprintf(`document.querySelectorAll('[data-testid=signals] tbody tr').length > %d`, before))
	if typed := eval[string](p, `document.querySelector('input[type=search]').value`); typed != "sim0" {
		t.Errorf("a new signal made %q of the typed %q", typed, "sim0")
	}
	p.run("type the rest", chromedp.SendKeys(chromedp.CSS("input[type=search]"), "600usdt"+kb.Enter))
	p.await("the symbol in the address", `location.search === '?symbol=SIM0600USDT' && document.querySelector('input[type=search]').value === 'SIM0600USDT'`)
}

func TestSearchIsEditedWhereTheCaretIs(t *testing.T) {
	s, _ := newSite(t, 600)
	p := newTab(t, newBrowser(t, s), s, false)
	p.desktop()
	p.open(s.url + "/symbols")
	p.await("symbols", `document.querySelectorAll('tbody tr').length > 2`)
	p.run("type, and then in its middle", chromedp.SendKeys(chromedp.CSS("input[type=search]"), "s0600"+strings.Repeat(kb.ArrowLeft, 4)+"im"))
	p.await("the symbol", `document.querySelector('tbody .symbol')?.innerText === 'SIM0600USDT'`)
	if typed := eval[string](p, `document.querySelector('input[type=search]').value`); typed != "sim0600" {
		t.Errorf("the field says %q, want %q", typed, "sim0600")
	}
}

// The stream brings the most traded symbols by itself; another is asked for while a
// page shows it.
func TestRarelyTradedSymbolIsAlive(t *testing.T) {
	s, _ := newSite(t, 600)
	p := newTab(t, newBrowser(t, s), s, false)
	p.desktop()
	p.open(s.url + "/symbols/SIM0600USDT")
	p.await("a living stream", live)
	p.await("a drawn chart", chartDrawn)
	p.streamOnly()
	p.numbersChange("[data-testid=last]")
}

// The other tests would prove little if the browser took any certificate.
func TestUnknownCAIsRefused(t *testing.T) {
	s, _ := newSite(t, 5)
	other, _ := newCA(t, "other.test")
	s.caFile = other
	ctx, cancel := context.WithTimeout(newBrowser(t, s), patience)
	defer cancel()
	err := chromedp.Do(ctx, chromedp.Navigate(s.url))
	if err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("a page with a certificate of an unknown CA: got %v, want ERR_CERT_AUTHORITY_INVALID", err)
	}
}

func TestLostServiceIsToldAndComesBack(t *testing.T) {
	t.Parallel()
	s, api := newSite(t, 30)
	p := newTab(t, newBrowser(t, s), s, true)
	p.desktop()
	p.open(s.url + "/")
	p.await("a living stream", live)

	api.SetDown(true)
	p.await("that it reconnects", `document.querySelector('[data-testid=stream]').dataset.state === 'reconnecting'`)
	p.await("the reason", `document.querySelector('.problem')?.innerText.includes('the database cannot be reached')`)
	p.await("the last known prices", `document.querySelectorAll('[data-testid=price]').length > 0`)
	p.shot("down")
	p.open(s.url + "/signals")
	p.await("a page that says what failed", `document.querySelector('.failure')?.innerText.includes('The database cannot be reached.')`)
	p.shot("down-signals")

	api.SetDown(false)
	p.await("a living stream again", live)
	p.await("signals without a reload", `document.querySelectorAll('[data-testid=signals] tbody tr').length > 0`)
	p.await("no problem", `!document.querySelector('.problem')`)
}

func TestStoppedPricesAreTold(t *testing.T) {
	t.Parallel()
	s, api := newSite(t, 30)
	p := newTab(t, newBrowser(t, s), s, false)
	p.desktop()
	p.open(s.url + "/")
	p.await("an open market", `document.querySelector('.figure .big')?.innerText === 'Open'`)
	api.Halt()
	p.await("that prices stopped", `document.querySelector('.figure').innerText.includes('No new prices since')`)
	p.shot("stale")
}

func TestEmptyMarket(t *testing.T) {
	t.Parallel()
	s, api := newSite(t, 0)
	p := newTab(t, newBrowser(t, s), s, false)
	p.desktop()
	for path, text := range map[string]string{"/": "No prices yet", "/symbols": "No symbols yet", "/signals": "No signal fits", "/no/such/page": "no such page"} {
		p.open(s.url + path)
		p.await(text, `document.querySelector('main')?.innerText.includes('`+text+`')`)
		p.shot("at" + path)
	}

	p.open(s.url + "/")
	p.await("an empty list", `document.querySelector('main')?.innerText.includes('No prices yet')`)
	api.Fill(20)
	p.await("the first prices without a reload", `document.querySelectorAll('main table [data-testid=price]').length > 0`)
}
