package nginx_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
)

// guarded is an edge with a login of its own.
func guarded(t *testing.T, change func(*nginx.Config)) *edge {
	t.Helper()
	return startEdge(t, func(c *nginx.Config) {
		c.Login = nginx.Login{UsersFile: "/users", Exempt: []string{"/hooks/", "/api/hooks/pay", "/health"}}
		if change != nil {
			change(c)
		}
	}, nil)
}

// asked sends one request with a header Authorization.
func asked(t *testing.T, client *http.Client, url, authorization string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	code, header, body := do(t, client, r)
	return code, header, body
}

// basic is the header of a user name and password.
func basic(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

// TestALoginGuardsEveryHost: nobody gets through without a user's password, and no service
// is told it.
func TestALoginGuardsEveryHost(t *testing.T) {
	e := guarded(t, nil)
	client := e.Client(t, "")
	for _, c := range []struct {
		url    string
		behind *backend
	}{
		{"https://alphapulse.example.test/", e.ui},
		{"https://alphapulse.example.test/assets/app.js", e.ui},
		{"https://alphapulse.example.test/api/signals", e.api},
		{"https://alphapulse.example.test/api", e.api},
		{"https://alphapulse.example.test/hooks/x", e.ui},
		{"https://api.example.test/signals", e.api},
		{"https://api.example.test/hooksy", e.api},
		{"https://api.example.test/hooks/../signals", e.api},
		{"https://api.example.test/hooks/..%2fsignals", e.api},
		{"https://api.example.test/healthy", e.api},
		{"https://api.example.test/ws", e.api},
		{"https://dashboard.example.test/", e.dashboard},
		{"https://dashboard.example.test/ws", e.dashboard},
		{"https://monitoring.example.test/", e.grafana},
		{"https://monitoring.example.test/api/live/ws", e.grafana},
	} {
		before := len(c.behind.seen())
		for _, wrong := range []string{"", basic("ada", "wrong"), basic("eve", nginxtest.UserPassword), basic(nginx.PasswordUser, nginxtest.Password), "Bearer token", "Basic x"} {
			code, header, _ := asked(t, client, c.url, wrong)
			assert.Equal(t, http.StatusUnauthorized, code, "%s %q", c.url, wrong)
			assert.Equal(t, `Basic realm="AlphaPulse"`, header.Get("WWW-Authenticate"))
			assert.Empty(t, header.Values("Set-Cookie"))
		}
		assert.Len(t, c.behind.seen(), before, "%s: a service was asked", c.url)
		for name, password := range map[string]string{"ada": nginxtest.UserPassword, "bob": "left horse"} {
			code, _, _ := asked(t, client, c.url, basic(name, password))
			require.Less(t, code, http.StatusBadRequest, "%s as %s", c.url, name)
		}
		seen := c.behind.seen()
		require.Len(t, seen, before+2)
		assert.Empty(t, seen[before].Header.Values("Authorization"), "the service is told the password")
	}
	code, _, body := asked(t, client, "https://api.example.test/signals", "")
	assert.Equal(t, http.StatusUnauthorized, code)
	assert.Contains(t, body, `"title":"Unauthorized","status":401`)
	code, _, _ = asked(t, client, "http://api.example.test/signals", "")
	assert.Equal(t, http.StatusPermanentRedirect, code, "no password is asked for by plain HTTP")
	code, _, _ = asked(t, client, "http://203.0.113.1"+nginx.HealthPath, "")
	assert.Equal(t, http.StatusOK, code, "probes have none")
	code, _, _ = asked(t, client, "https://monitoring.example.test/prometheus/", basic("ada", nginxtest.UserPassword))
	assert.Equal(t, http.StatusUnauthorized, code, "Prometheus has a password of its own")
	code, _, _ = asked(t, client, "https://monitoring.example.test/prometheus/", basic(nginx.PasswordUser, nginxtest.Password))
	assert.Equal(t, http.StatusOK, code)
}

// TestPathsWithoutALogin are those that are named, where they lead to the API.
func TestPathsWithoutALogin(t *testing.T) {
	e := guarded(t, nil)
	for _, url := range []string{
		"https://api.example.test/hooks/x", "https://api.example.test/hooks/", "https://api.example.test/health",
		"https://api.example.test/api/hooks/pay", "https://alphapulse.example.test/api/hooks/pay",
	} {
		before := len(e.api.seen())
		code, header, _ := asked(t, e.Client(t, ""), url, "Bearer signed-by-the-sender")
		assert.Equal(t, http.StatusOK, code, url)
		require.Len(t, e.api.seen(), before+1)
		assert.Equal(t, "Bearer signed-by-the-sender", e.api.seen()[before].Header.Get("Authorization"), "it is the application's to check")
		assert.Empty(t, header.Values("Set-Cookie"))
	}
}

// TestTokensOfTheApplication pass where that is asked for, to the API and nowhere else.
func TestTokensOfTheApplication(t *testing.T) {
	e := guarded(t, func(c *nginx.Config) { c.Login.Tokens = true })
	client := e.Client(t, "")
	for _, url := range []string{
		"https://api.example.test/signals", "https://api.example.test/ws", "https://alphapulse.example.test/api/signals", "https://alphapulse.example.test/ws",
	} {
		before := len(e.api.seen())
		code, _, _ := asked(t, client, url, "Bearer a.b-c_d")
		assert.Equal(t, http.StatusOK, code, url)
		assert.Equal(t, "Bearer a.b-c_d", e.api.seen()[before].Header.Get("Authorization"))
		for _, none := range []string{"", "Bearer ", "Bearer a b", "Token x", basic("ada", "wrong")} {
			code, _, _ = asked(t, client, url, none)
			assert.Equal(t, http.StatusUnauthorized, code, "%s %q", url, none)
		}
	}
	for _, url := range []string{"https://alphapulse.example.test/", "https://dashboard.example.test/", "https://monitoring.example.test/"} {
		code, _, _ := asked(t, client, url, "Bearer a.b-c_d")
		assert.Equal(t, http.StatusUnauthorized, code, url)
	}
}

// TestAWebSocketNeedsTheLoginToo, which browsers send with it.
func TestAWebSocketNeedsTheLoginToo(t *testing.T) {
	e := startEdge(t, func(c *nginx.Config) { c.Login.UsersFile = "/users" }, echo)
	for authorization, open := range map[string]bool{"": false, basic("ada", "wrong"): false, basic("ada", nginxtest.UserPassword): true} {
		header := http.Header{}
		if authorization != "" {
			header.Set("Authorization", authorization)
		}
		conn, response, err := websocket.Dial(t.Context(), "wss://api.example.test/ws", &websocket.DialOptions{HTTPClient: e.Client(t, ""), HTTPHeader: header})
		if !open {
			require.Error(t, err)
			assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
		_, got, err := conn.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got))
		require.NoError(t, conn.CloseNow())
	}
}

// TestTriesOfTheLoginAreLimited on every host, and whoever has passed is not held to it:
// what tells that is given by nothing but the right password.
func TestTriesOfTheLoginAreLimited(t *testing.T) {
	e := guarded(t, func(c *nginx.Config) { c.Limits.LoginRate, c.Limits.LoginBurst = 1, 2 })
	const n = 20
	next := 30
	for _, url := range []string{
		"https://alphapulse.example.test/", "https://alphapulse.example.test/api/x", "https://api.example.test/x", "https://api.example.test/ws",
		"https://dashboard.example.test/", "https://monitoring.example.test/", "https://monitoring.example.test/api/live/ws",
		"https://api.example.test/hooks/x", "https://alphapulse.example.test/metrics", "http://api.example.test/x",
	} {
		next++
		client, limited := e.Client(t, "127.0.2."+strconv.Itoa(next)), 0
		for range n {
			code, header, _ := asked(t, client, url, basic("ada", "wrong"))
			assert.Empty(t, header.Values("Set-Cookie"), url)
			if code == http.StatusTooManyRequests {
				limited++
			}
		}
		if url[:5] == "https" && url != "https://alphapulse.example.test/metrics" {
			assert.Greater(t, limited, n/2, url)
		}
	}
	client := e.Client(t, "127.0.2.9")
	_, header, _ := asked(t, client, "https://dashboard.example.test/", basic("ada", nginxtest.UserPassword))
	cookies := (&http.Response{Header: header}).Cookies()
	require.Len(t, cookies, 1)
	assert.True(t, cookies[0].Secure && cookies[0].HttpOnly)
	assert.Equal(t, "/", cookies[0].Path)
	for range n {
		r, err := http.NewRequest(http.MethodGet, "https://dashboard.example.test/", nil)
		require.NoError(t, err)
		r.SetBasicAuth("ada", nginxtest.UserPassword)
		r.AddCookie(cookies[0])
		code, _, _ := do(t, client, r)
		assert.Equal(t, http.StatusOK, code)
	}
}

// TestUsersAreChecked, without a word of what is in the line.
func TestUsersAreChecked(t *testing.T) {
	require.NoError(t, nginx.CheckUsers("# a comment\n\n"+nginxtest.Users))
	for text, want := range map[string]string{
		"":                                 "it holds no user",
		"ada:secret":                       "line 1 is no user",
		"ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37": "line 1 is no user",
		"ada:{PLAIN}secret":                "line 1 is no user",
		"ada:$2y$05$abcdefghijklmnopqrstuuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0": "line 1 is no user",
		nginxtest.Users + "a b:x":         "line 3 is no user",
		nginxtest.Users + nginxtest.Users: `line 3: user "ada" is there twice`,
	} {
		err := nginx.CheckUsers(text)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "secret")
	}
}
