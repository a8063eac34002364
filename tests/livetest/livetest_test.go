package livetest

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBrowser as users have one: it trusts whom it is told to, finds names below localhost
// where they are, remembers who it is, and shows where it is sent instead of going there.
func TestBrowser(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		who := "nobody"
		if c, err := r.Cookie("who"); err == nil {
			who = c.Value
		}
		http.SetCookie(w, &http.Cookie{Name: "who", Value: "me", Path: "/"})
		w.Header().Set("Location", "https://elsewhere.invalid/")
		w.WriteHeader(http.StatusFound)
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Header.Get("Content-Type"), body, who)
	}))
	defer server.Close()
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	address := "https://shop.localhost:" + at.Port()
	asked := ""
	loopback := func(port string) string { asked = port; return "127.0.0.1" }
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))

	_, _, err = Request(t, Browser(t, "", loopback), http.MethodGet, address, nil, nil)
	assert.ErrorContains(t, err, "certificate")

	c := Browser(t, ca, loopback)
	c.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com" // what httptest's certificate is for
	status, answer, err := Request(t, c, http.MethodPost, address, map[string]int{"n": 1}, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusFound, status)
	assert.Equal(t, `POST application/json {"n":1} nobody`, string(answer))
	assert.Equal(t, at.Port(), asked)
	_, answer, err = Request(t, c, http.MethodGet, address, nil, func(r *http.Request) { r.Method = http.MethodPut })
	require.NoError(t, err)
	assert.Equal(t, "PUT   me", string(answer))
}

func TestEventually(t *testing.T) {
	times := 0
	Eventually(t, time.Minute, "the second look", func(context.Context) (string, bool) {
		times++
		return "", times == 2
	})
	assert.Equal(t, 2, times)
}

func TestLastLines(t *testing.T) {
	assert.Equal(t, "b\nc", LastLines("a\nb\nc\n\n", 2))
	assert.Equal(t, "a", LastLines("a", 9))
}
