package signon

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/alphapulse/alphapulse-infra/components/ingress"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx/nginxtest"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/tests/livetest"
	"github.com/alphapulse/alphapulse-infra/tests/processes"
	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

const domain = "example.test"

// The hosts' addresses.
const (
	uiURL         = "https://alphapulse." + domain
	apiURL        = "https://api." + domain
	dashboardURL  = "https://dashboard." + domain
	monitoringURL = "https://monitoring." + domain
)

// stack is an edge with a login, and what is behind it.
type stack struct {
	objects  []recorder.Object
	edge     *nginxtest.Server
	provider *provider
	proxy    *exec.Cmd
	// proxyAgain starts the oauth2-proxy where it was.
	proxyAgain func() *exec.Cmd

	// withGrafana has a real one at its place.
	withGrafana bool

	mu   sync.Mutex
	seen []*http.Request
}

// asked are the requests that services saw since the last time.
func (s *stack) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// serve is a service that answers with its name, and WebSockets with what they say.
func (s *stack) serve(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Clone(r.Context()))
		s.mu.Unlock()
		if r.Header.Get("Upgrade") == "" {
			_, _ = fmt.Fprintf(w, "%s %s", name, r.URL.RequestURI())
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow() //nolint:errcheck // the test ends the connection
		_ = c.Write(r.Context(), websocket.MessageText, []byte("hello"))
		_, _, _ = c.Read(r.Context())
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.Listener.Addr().(*net.TCPAddr).AddrPort()
}

// file is a file of the stack's ConfigMaps and Secrets, which is in one whose name begins so.
func (s *stack) file(t *testing.T, object, name string) string {
	t.Helper()
	var found []string
	for _, m := range recorder.Of[*corev1.ConfigMap](s.objects) {
		if text, ok := m.Data[name]; ok && strings.HasPrefix(m.Name, object) {
			found = append(found, text)
		}
	}
	for _, m := range recorder.Of[*corev1.Secret](s.objects) {
		if text, ok := m.StringData[name]; ok && strings.HasPrefix(m.Name, object) {
			found = append(found, text)
		}
	}
	require.Len(t, found, 1, "%s of %s", name, object)
	return found[0]
}

var proxyPath = sync.OnceValues(func() (string, error) {
	return processes.Built("local/modules/oauth2-proxy", "oauth2-proxy", "github.com/oauth2-proxy/oauth2-proxy/v7")
})

// startStack renders a stack whose edge knows the provider's users, and runs its edge and its
// login.
func startStack(t *testing.T, with map[string]string, users ...user) *stack {
	t.Helper()
	s := &stack{}
	s.start(t, with, users...)
	return s
}

func (s *stack) start(t *testing.T, with map[string]string, users ...user) {
	t.Helper()
	s.provider = startProvider(t, map[string]string{
		"edge": uiURL + nginx.SignOnPath + "callback", "grafana": monitoringURL + "/login/generic_oauth",
	}, users...)
	config, err := recorder.StackConfig("dev")
	require.NoError(t, err)
	maps.Copy(config, map[string]string{
		"domain": domain, "edgePublicPort": "443", "edgeApiRate": "1000", "edgeApiBurst": "1000", "edgeWebsocketRate": "1000",
		"backendTlsPort": "0", "dashboardTlsPort": "0", "frontendTlsPort": "0",
		"edgeLogin": "oidc", "edgeOidcIssuer": s.provider.issuer, "edgeOidcClientId": "edge", "edgeOidcClientSecret": clientSecret,
		"edgeOidcCa": s.provider.pair.Root, "edgeOidcDomains": `["example.com"]`, "edgeLoginExempt": `["/hooks/"]`,
	})
	issuer := s.provider.issuer
	maps.Copy(config, map[string]string{
		"grafanaLogin": "oidc", "grafanaOidcAuthUrl": issuer + "/auth", "grafanaOidcTokenUrl": issuer + "/token", "grafanaOidcApiUrl": issuer + "/userinfo",
		"grafanaOidcClientId": "grafana", "grafanaOidcClientSecret": clientSecret, "grafanaOidcCa": s.provider.pair.Root,
	})
	maps.Copy(config, with)
	recording, err := recorder.Run(recorder.Options{Stack: "dev", Config: config, SecretKeys: []string{"edgeOidcClientSecret", "grafanaOidcClientSecret"}})
	require.NoError(t, err)
	s.objects, err = recording.Objects()
	require.NoError(t, err)

	port := nginxtest.FreePort(t)
	s.proxyAgain = s.login(t, port)
	s.proxy = s.proxyAgain()
	at := func(port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
	}
	grafana := s.serve(t, "grafana")
	if s.withGrafana {
		grafana = s.grafana(t)
	}
	s.edge = processes.Edge{
		Domain: domain, Namespace: "alphapulse-dev", Text: s.file(t, "edge-nginx", "nginx.conf"),
		Services: map[string]netip.AddrPort{
			"frontend-pods:3000": s.serve(t, "ui"), "backend-pods:8000": s.serve(t, "api"), "backend-dashboard-pods:8050": s.serve(t, "dashboard"),
			"monitoring-grafana:3000": grafana, "monitoring-prometheus:9090": s.serve(t, "prometheus"),
			"edge-login-pods:" + strconv.Itoa(ingress.SignOnTLSPort): at(port),
		},
		Files: map[string]string{ingress.RootsDir + "/" + workload.RootsFile: s.file(t, "edge-authority", workload.RootsFile)},
	}.Start(t)
	b := s.person(t)
	for _, url := range []string{uiURL + "/", apiURL + "/hooks/x", dashboardURL + "/", monitoringURL + "/"} {
		nginxtest.Eventually(t, url+" is found", func() bool { return b.Ask(t, url).Status < 500 })
	}
	s.asked()
}

// login gives what starts the oauth2-proxy with the arguments and files of the pod, on a port
// of the test.
func (s *stack) login(t *testing.T, port int) func() *exec.Cmd {
	t.Helper()
	path, err := proxyPath()
	require.NoError(t, err)
	dir := t.TempDir()
	for object, names := range map[string][]string{
		"edge-login-signon": {"client-secret", "cookie-secret", "ca.crt"}, "edge-login-tls": {workload.CertificateFile, workload.KeyFile},
	} {
		for _, name := range names {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(s.file(t, object, name)), 0o600))
		}
	}
	var args []string
	for _, d := range recorder.Of[*appsv1.Deployment](s.objects) {
		if d.Name != "edge-login" {
			continue
		}
		adapt := strings.NewReplacer(
			"/etc/edge-signon-tls/", dir+"/", ingress.SignOnDir+"/", dir+"/",
			"--https-address=:"+strconv.Itoa(ingress.SignOnTLSPort), fmt.Sprintf("--https-address=127.0.0.1:%d", port),
			"--metrics-address=:44180", fmt.Sprintf("--metrics-address=127.0.0.1:%d", nginxtest.FreePort(t)),
		)
		for _, a := range d.Spec.Template.Spec.Containers[0].Args {
			args = append(args, adapt.Replace(a))
		}
	}
	require.NotEmpty(t, args, "the stack has no login")
	return func() *exec.Cmd {
		cmd := exec.Command(path, args...)
		processes.Start(t, cmd)
		nginxtest.Eventually(t, "oauth2-proxy is ready", func() bool {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return false
			}
			_ = c.Close()
			return true
		})
		return cmd
	}
}

// asPage is what browsers ask pages with.
var asPage = []string{"Accept", "text/html"}

var (
	ada = user{"ada@example.com", []string{"traders"}}
	eve = user{"eve@elsewhere.test", []string{"traders"}}
)

// TestNobodyPassesWithoutALogin: pages lead to the provider, programs are told, and no
// service is asked.
func TestNobodyPassesWithoutALogin(t *testing.T) {
	s := startStack(t, nil, ada)
	b := s.person(t)
	for _, at := range []string{uiURL + "/", uiURL + "/signals?a=1&b=%20", dashboardURL + "/", monitoringURL + "/d/overview"} {
		got := b.Ask(t, at, asPage...)
		require.Equal(t, http.StatusFound, got.Status, "%s: %s", at, got.Body)
		to, err := url.Parse(got.Header.Get("Location"))
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(to.String(), s.provider.issuer+"/auth"), to.String())
		assert.Equal(t, uiURL+"/oauth2/callback", to.Query().Get("redirect_uri"))
		assert.Equal(t, "S256", to.Query().Get("code_challenge_method"))
		assert.NotEmpty(t, to.Query().Get("nonce"))
		cookies := (&http.Response{Header: got.Header}).Cookies()
		require.Len(t, cookies, 1)
		assert.True(t, cookies[0].Secure && cookies[0].HttpOnly)
		assert.Equal(t, http.SameSiteLaxMode, cookies[0].SameSite)
	}
	for _, at := range []string{uiURL + "/api/signals", uiURL + "/ws", apiURL + "/signals", apiURL + "/ws", apiURL + "/", dashboardURL + "/ws", monitoringURL + "/api/live/ws"} {
		got := b.Ask(t, at, asPage...)
		assert.Equal(t, http.StatusUnauthorized, got.Status, at)
		assert.Contains(t, got.Body, `"title":"Unauthorized","status":401`, at)
		assert.Contains(t, got.Body, uiURL+"/", "where to log in")
	}
	got := b.Ask(t, uiURL+"/assets/app.js", "Accept", "*/*")
	assert.Equal(t, http.StatusUnauthorized, got.Status, "a script is no page")
	for _, at := range []string{uiURL + "/oauth2/auth", apiURL + "/oauth2/auth", apiURL + "/oauth2/auth/token", uiURL + "/oauth2/userinfo", uiURL + "/oauth2/"} {
		assert.Equal(t, http.StatusNotFound, b.Ask(t, at).Status, at)
	}
	for _, forged := range []string{
		"x", "|1|x", strings.Repeat("A", 200) + "|1764300000|AAAA",
	} {
		got := b.Ask(t, apiURL+"/signals", "Cookie", nginx.SessionCookie(domain, 443)+"="+forged)
		assert.Equal(t, http.StatusUnauthorized, got.Status, forged)
	}
	for _, authorization := range []string{"Bearer token", "Basic YWRtaW46YWRtaW4="} {
		assert.Equal(t, http.StatusUnauthorized, b.Ask(t, apiURL+"/signals", "Authorization", authorization).Status)
	}
	assert.Empty(t, s.asked(), "a service was asked")

	got = b.Ask(t, apiURL+"/hooks/x")
	assert.Equal(t, "api /hooks/x", got.Body, "what is exempt")
	got = b.Ask(t, monitoringURL+"/prometheus/", asPage...)
	assert.Equal(t, http.StatusUnauthorized, got.Status)
	assert.Equal(t, `Basic realm="Prometheus"`, got.Header.Get("WWW-Authenticate"), "it has a password of its own")
}

// TestALoginHoldsForEveryHost, WebSockets included, and no service gets to know its session.
func TestALoginHoldsForEveryHost(t *testing.T) {
	s := startStack(t, nil, ada)
	b := s.person(t)
	shown := b.Open(t, dashboardURL+"/book?a=1&b=%20c")
	again := b.Submit(t, shown, ada.email, "wrong")
	assert.Contains(t, again.Body, "Invalid")
	assert.Nil(t, session(t, b))
	assert.Empty(t, s.asked())

	got := b.Submit(t, again, ada.email, livetest.UsersPassword)
	assert.Equal(t, "dashboard /book?a=1&b=%20c", got.Body, "where the user wanted to go")
	assert.Equal(t, dashboardURL+"/book?a=1&b=%20c", got.At.String())
	cookie := session(t, b)
	require.NotNil(t, cookie)
	s.asked()
	program := s.person(t) // whose cookies are those of each request
	for at, want := range map[string]string{
		uiURL + "/": "ui /", uiURL + "/api/signals": "api /api/signals", apiURL + "/signals": "api /signals", dashboardURL + "/": "dashboard /", monitoringURL + "/d/x": "grafana /d/x",
	} {
		got := program.Ask(t, at, "Cookie", "theme=dark; "+cookie.Name+"="+cookie.Value+"; lang=de", "X-Auth-Request-Redirect", "https://evil.test/")
		assert.Equal(t, http.StatusOK, got.Status, at)
		assert.Equal(t, want, got.Body)
		assert.Empty(t, got.Header.Values("Set-Cookie"))
		seen := s.asked()
		require.Len(t, seen, 1)
		for _, c := range seen[0].Cookies() {
			assert.NotContains(t, c.Name, "__Secure-edge", "a service is told the session")
		}
		assert.Contains(t, seen[0].Header.Get("Cookie"), "theme=dark")
		assert.Contains(t, seen[0].Header.Get("Cookie"), "lang=de")
	}
	for _, at := range []string{"wss://api." + domain + "/ws", "wss://alphapulse." + domain + "/ws", "wss://dashboard." + domain + "/ws"} {
		_, response, err := websocket.Dial(t.Context(), at, &websocket.DialOptions{HTTPClient: s.edge.Client(t, "")})
		require.Error(t, err, "without the session")
		assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
		conn, _, err := websocket.Dial(t.Context(), at, &websocket.DialOptions{
			HTTPClient: s.edge.Client(t, ""), HTTPHeader: http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}},
		})
		require.NoError(t, err, at)
		_, said, err := conn.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "hello", string(said))
		require.NoError(t, conn.CloseNow())
	}

	changed := []byte(cookie.Value)
	changed[10] ^= 1
	assert.Equal(t, http.StatusUnauthorized, program.Ask(t, apiURL+"/signals", "Cookie", cookie.Name+"="+string(changed)).Status, "a changed session")

	b.Ask(t, uiURL+"/oauth2/sign_out", asPage...)
	assert.Nil(t, session(t, b), "logged out")
	assert.Equal(t, http.StatusFound, b.Ask(t, uiURL+"/", asPage...).Status)
}

// TestWhoMayPass is who is of the domains, and of the groups where some are named.
func TestWhoMayPass(t *testing.T) {
	bob := user{"bob@example.com", []string{"others"}}
	s := startStack(t, map[string]string{"edgeOidcGroups": `["traders","admins"]`}, ada, bob, eve)
	for _, refused := range []user{bob, eve} {
		b := s.person(t)
		got := b.Login(t, uiURL+"/", refused.email, livetest.UsersPassword)
		assert.Equal(t, http.StatusForbidden, got.Status, refused.email)
		assert.Nil(t, session(t, b), refused.email)
		assert.Equal(t, http.StatusUnauthorized, b.Ask(t, apiURL+"/signals").Status)
	}
	assert.Empty(t, s.asked())
	b := s.person(t)
	assert.Equal(t, "ui /", b.Login(t, uiURL+"/", ada.email, livetest.UsersPassword).Body)
}

// TestALoginLeadsNowhereElse: who sends somebody to the login of this stack does not choose
// where it ends.
func TestALoginLeadsNowhereElse(t *testing.T) {
	s := startStack(t, nil, ada)
	for _, to := range []string{"https://evil.test/", "//evil.test/", "https://evil.test\\@alphapulse." + domain + "/", "https://alphapulse." + domain + ".evil.test/", "https://other." + domain + "/"} {
		b := s.person(t)
		got := b.Login(t, uiURL+"/oauth2/start?rd="+url.QueryEscape(to), ada.email, livetest.UsersPassword)
		assert.Equal(t, uiURL+"/", got.At.String(), to)
	}
	b := s.person(t)
	got := b.Login(t, uiURL+"/oauth2/start?rd="+url.QueryEscape(monitoringURL+"/d/x?a=1"), ada.email, livetest.UsersPassword)
	assert.Equal(t, monitoringURL+"/d/x?a=1", got.At.String())
	// A login that another browser began.
	begun := s.person(t)
	shown := begun.Open(t, uiURL+"/")
	other := s.person(t)
	got = other.Submit(t, shown, ada.email, livetest.UsersPassword)
	assert.Equal(t, http.StatusForbidden, got.Status)
	assert.Nil(t, session(t, other))
}

// TestTokensPassToTheAPI where that is asked for, and nowhere else.
func TestTokensPassToTheAPI(t *testing.T) {
	s := startStack(t, map[string]string{"edgeLoginTokens": "true"}, ada)
	b := s.person(t)
	for at, want := range map[string]int{
		apiURL + "/signals": 200, uiURL + "/api/signals": 200, uiURL + "/": 401, dashboardURL + "/": 401, monitoringURL + "/": 401,
	} {
		assert.Equal(t, want, b.Ask(t, at, "Authorization", "Bearer a.b-c").Status, at)
		assert.Equal(t, http.StatusUnauthorized, b.Ask(t, at, "Authorization", "Bearer a b").Status, at)
	}
	b.Login(t, uiURL+"/", ada.email, livetest.UsersPassword)
	assert.Equal(t, "api /signals", b.Ask(t, apiURL+"/signals").Body, "and who has logged in")
}

// TestALoginThatIsAwayLetsNobodyIn: its state is told, what is exempt is served, and sessions
// are as good as before when it is back.
func TestALoginThatIsAwayLetsNobodyIn(t *testing.T) {
	s := startStack(t, nil, ada)
	b := s.person(t)
	require.Equal(t, "ui /", b.Login(t, uiURL+"/", ada.email, livetest.UsersPassword).Body)
	s.asked()
	refused := func(how string) {
		t.Helper()
		for _, at := range []string{uiURL + "/", apiURL + "/signals", uiURL + "/api/signals", apiURL + "/ws", dashboardURL + "/", monitoringURL + "/"} {
			got := b.Ask(t, at, asPage...)
			assert.Equal(t, http.StatusServiceUnavailable, got.Status, "%s: %s", how, at)
			assert.Equal(t, "3", got.Header.Get("Retry-After"), "%s: %s", how, at)
			if strings.Contains(at, "api") {
				assert.Contains(t, got.Body, `"title":"Service Unavailable","status":503`, at)
			} else {
				assert.Contains(t, got.Body, "tries again by itself", at)
			}
		}
		assert.Empty(t, s.asked(), how)
	}
	require.NoError(t, s.proxy.Process.Signal(syscall.SIGSTOP))
	got := b.Ask(t, apiURL+"/signals")
	assert.Equal(t, http.StatusServiceUnavailable, got.Status, "it does not answer")
	require.NoError(t, s.proxy.Process.Signal(syscall.SIGCONT))
	require.NoError(t, s.proxy.Process.Kill())
	_ = s.proxy.Wait()
	refused("it is gone")
	assert.Equal(t, http.StatusServiceUnavailable, b.Ask(t, uiURL+"/oauth2/start").Status)
	assert.Equal(t, "api /hooks/x", b.Ask(t, apiURL+"/hooks/x").Body)
	s.asked()

	s.proxy = s.proxyAgain()
	nginxtest.Eventually(t, "the session holds", func() bool { return b.Ask(t, apiURL+"/signals").Body == "api /signals" })
}
