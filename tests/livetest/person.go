package livetest

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// UsersPassword is what everybody has whom a test's provider knows, and UsersHash what dex
// knows of it (bcrypt).
const (
	UsersPassword = "password"
	UsersHash     = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"
)

// Person is at a browser, which keeps cookies and follows redirects.
type Person struct{ *http.Client }

// NewPerson is somebody whom nobody knows yet, whose requests go by a transport.
func NewPerson(t testing.TB, by http.RoundTripper) Person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Person{&http.Client{Transport: by, Jar: jar}}
}

// Page is what a person, or a program, got.
type Page struct {
	Status int
	Header http.Header
	Body   string
	// At is where the redirects ended.
	At *url.URL
}

func (p Person) do(t testing.TB, r *http.Request) Page {
	t.Helper()
	response, err := p.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Page{response.StatusCode, response.Header, string(body), response.Request.URL}
}

func request(t testing.TB, method, at, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Open goes to a page.
func (p Person) Open(t testing.TB, at string) Page {
	t.Helper()
	r := request(t, http.MethodGet, at, "")
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	return p.do(t, r)
}

// Ask is a program's request with some headers, names and values in turn; its redirect is
// not followed.
func (p Person) Ask(t testing.TB, at string, headers ...string) Page {
	t.Helper()
	r := request(t, http.MethodGet, at, "")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	still := *p.Client
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return Person{&still}.do(t, r)
}

var passwordForm = regexp.MustCompile(`<form method="post" action="([^"]+)"`)

// Submit fills in the form of dex that a page shows.
func (p Person) Submit(t testing.TB, shown Page, email, password string) Page {
	t.Helper()
	m := passwordForm.FindStringSubmatch(shown.Body)
	if m == nil {
		t.Fatalf("no form for a password at %s: %d %s", shown.At, shown.Status, shown.Body)
	}
	to, err := shown.At.Parse(html.UnescapeString(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, http.MethodPost, to.String(), url.Values{"login": {email}, "password": {password}}.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	return p.do(t, r)
}

// Login opens a page and logs in at the form that the way there leads to.
func (p Person) Login(t testing.TB, at, email, password string) Page {
	t.Helper()
	return p.Submit(t, p.Open(t, at), email, password)
}

// Cookie is the one that a site's pages are asked with; nil for none.
func (p Person) Cookie(t testing.TB, site, name string) *http.Cookie {
	t.Helper()
	at, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Jar.Cookies(at) {
		if c.Name == name {
			return c
		}
	}
	return nil
}
