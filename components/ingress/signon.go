package ingress

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/ingress/nginx"
	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
)

// SignOn is a login by a provider of OpenID Connect: an oauth2-proxy that nginx asks about
// each request, and that leads who has not logged in to the provider and back.
type SignOn struct {
	// Image of oauth2-proxy; nil takes upstream's.
	Image pulumi.StringInput
	// Issuer is the provider's address, below which its /.well-known/openid-configuration is.
	Issuer string
	// ClientID and ClientSecret are what the provider has for the edge; the secret is one.
	// It leads users back to RedirectURL.
	ClientID     string
	ClientSecret pulumi.StringInput
	// Domains of which a user's address has to be of one, and Groups of which he has to be
	// in one, as the provider's claim "groups" has them; nil for any.
	Domains, Groups []string
	// Authority is PEM by which the provider's certificate is trusted; "" for those of the
	// image.
	Authority string
	// SessionHours is how long a login holds; 0 means 12. Until then the provider is not
	// asked again.
	SessionHours int
	// TLS has nginx ask it over TLS, with a certificate that Own signs; in a namespace only.
	TLS bool
	Own workload.Authority
	// Resources of one pod.
	Resources room.Resources
}

// SignOnDefaults are what an oauth2-proxy takes that the provider has no say in.
func SignOnDefaults() SignOn {
	return SignOn{
		Image:        pulumi.String("quay.io/oauth2-proxy/oauth2-proxy:v7.15.6"),
		SessionHours: 12, Resources: room.ResourcesOf("20m", "32Mi", "500m", "128Mi"),
	}
}

// Ports of the oauth2-proxy.
const (
	SignOnPort        = 4180
	SignOnTLSPort     = 4443
	signOnMetricsPort = 44180
)

// signOnUser is the uid of oauth2-proxy's image.
const signOnUser = 65532

// Where the oauth2-proxy finds its files.
const (
	SignOnDir       = "/etc/edge-signon"
	signOnTLSDir    = "/etc/edge-signon-tls"
	signOnClient    = "client-secret"
	signOnCookies   = "cookie-secret"
	signOnAuthority = "ca.crt"
)

// LoginOf is the identity of the oauth2-proxy of the edge called name, for links.
func LoginOf(name string) room.Identity {
	return room.Identity{Name: name + "-login", Instance: name, Component: "ingress-login"}
}

// CheckIssuer reports an address that is not one of a provider.
func CheckIssuer(v string) error {
	u := room.Address(v, "https")
	if u == nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(v, " $") || strings.HasSuffix(u.Path, "/.well-known/openid-configuration") {
		return fmt.Errorf("%q is not the https address of a provider: write its issuer, e.g. https://login.example.com/realms/trading, below which /.well-known/openid-configuration is", room.Shown(v))
	}
	return nil
}

// IssuerPort is that of a provider's address.
func IssuerPort(issuer string) int {
	u, err := url.Parse(issuer)
	if err != nil {
		u = &url.URL{} // CheckIssuer says so
	}
	return room.PortOf(u)
}

// CheckSignOnText reports what an argument of a container cannot hold as it is.
func CheckSignOnText(v string) error {
	if v == "" || strings.Contains(v, "$") || strings.ContainsAny(v, `,"`) || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' }) {
		return fmt.Errorf("%q is empty, or holds a blank, a comma, a quote or $, of which oauth2-proxy or Kubernetes would make something else: leave it out", v)
	}
	return nil
}

// validate tells problem what is wrong.
func (s *SignOn) validate(problem func(format string, v ...any)) {
	if s == nil {
		return
	}
	if err := CheckIssuer(s.Issuer); err != nil {
		problem("Login.SignOn.Issuer: %w", err)
	}
	for _, text := range slices.Concat([]string{s.ClientID}, s.Domains, s.Groups) {
		if err := CheckSignOnText(text); err != nil {
			problem("Login.SignOn: %w", err)
		}
	}
	if s.ClientSecret == nil {
		problem("Login.SignOn.ClientSecret is missing: pass what the provider has for the edge")
	}
	if s.SessionHours < 1 {
		problem("Login.SignOn.SessionHours %d: want at least 1", s.SessionHours)
	}
	if s.TLS && s.Own.Seed == nil {
		problem("Login.SignOn.TLS needs Own, which signs its certificate")
	}
	if err := s.Resources.Validate(); err != nil {
		problem("Login.SignOn.Resources: %w", err)
	}
}

// filled is a copy with every default.
func (s *SignOn) filled() *SignOn {
	if s == nil {
		return nil
	}
	d := room.Fill(*s, SignOnDefaults())
	return &d
}

// at is the port that nginx asks at. An oauth2-proxy has one, with TLS or without.
func (s *SignOn) at() workload.Port {
	if s.TLS {
		return workload.Port{Name: "https", Number: SignOnTLSPort}
	}
	return workload.Port{Name: "http", Number: SignOnPort}
}

// upstream is the oauth2-proxy as nginx finds it.
func (s *SignOn) upstream(name, suffix string) *nginx.Upstream {
	if s == nil {
		return nil
	}
	host := LoginOf(name).Name
	if suffix != "" {
		host += "-pods" // whose addresses nginx balances over itself
	}
	u := &nginx.Upstream{Address: fmt.Sprintf("%s%s:%d", host, suffix, s.at().Number)}
	if s.TLS {
		u.TLSName = host
	}
	return u
}

// RedirectURL is where a provider leads users back to; the login holds for all hosts.
func (a *Args) RedirectURL() string {
	return "https://" + nginx.HostsOf(a.Domain).UI + nginx.PublicPort(a.PublicHTTPSPort) + nginx.SignOnPath + "callback"
}

// signOnArgs are those of the oauth2-proxy. Its cookies hold who somebody is and none of the
// provider's tokens; requests are logged by nginx, which leaves their queries out.
func (a *Args) signOnArgs() []string {
	s := a.Login.SignOn
	args := []string{
		"--provider=oidc", "--oidc-issuer-url=" + s.Issuer, "--client-id=" + s.ClientID,
		"--client-secret-file=" + SignOnDir + "/" + signOnClient, "--cookie-secret-file=" + SignOnDir + "/" + signOnCookies,
		"--redirect-url=" + a.RedirectURL(),
		"--cookie-name=" + nginx.SessionCookie(a.Domain, a.PublicHTTPSPort), "--cookie-domain=." + a.Domain,
		fmt.Sprintf("--cookie-expire=%dh", s.SessionHours), "--cookie-samesite=lax", "--cookie-secure=true", "--cookie-httponly=true",
		// Each tab that comes at the same time has a login of its own.
		"--cookie-csrf-per-request=true", "--cookie-csrf-per-request-limit=5",
		"--session-cookie-minimal=true", "--insecure-oidc-skip-nonce=false", "--code-challenge-method=S256",
		"--skip-provider-button=true", "--approval-prompt=auto",
		"--request-logging=false", "--custom-sign-in-logo=-", "--footer=-",
		fmt.Sprintf("--metrics-address=:%d", signOnMetricsPort),
	}
	for _, host := range nginx.HostsOf(a.Domain).All() {
		args = append(args, "--whitelist-domain="+host+nginx.PublicPort(a.PublicHTTPSPort))
	}
	if len(s.Domains) == 0 {
		args = append(args, "--email-domain=*")
	}
	for _, d := range s.Domains {
		args = append(args, "--email-domain="+d)
	}
	for _, g := range s.Groups {
		args = append(args, "--allowed-group="+g)
	}
	if s.Authority != "" {
		args = append(args, "--provider-ca-file="+SignOnDir+"/"+signOnAuthority)
	}
	if !s.TLS {
		return append(args, fmt.Sprintf("--http-address=:%d", SignOnPort))
	}
	return append(args, fmt.Sprintf("--https-address=:%d", SignOnTLSPort),
		"--tls-cert-file="+signOnTLSDir+"/"+workload.CertificateFile, "--tls-key-file="+signOnTLSDir+"/"+workload.KeyFile)
}

// signOn is the oauth2-proxy as both targets run it. cookies is what sessions are encrypted
// with: of all pods the same.
func (a *Args) signOn(name string, cookies pulumi.StringInput) (workload.Process, []workload.Volume) {
	s := a.Login.SignOn
	data := pulumi.StringMap{signOnClient: s.ClientSecret, signOnCookies: cookies}
	if s.Authority != "" {
		data[signOnAuthority] = pulumi.String(s.Authority)
	}
	volumes := []workload.Volume{workload.Folder(workload.Hidden("signon", data))}
	mounts := []workload.Mount{{Volume: "signon", Path: SignOnDir, ReadOnly: true}}
	ports := []workload.Port{s.at(), {Name: "metrics", Number: signOnMetricsPort}}
	// It listens once it has found the provider.
	listens := workload.Probe{Port: s.at().Name, PeriodSeconds: 5, TimeoutSeconds: 3, Failures: 3}
	if s.TLS {
		id := LoginOf(name).Name
		tls := workload.Folder(s.Own.Certificate("tls", id, workload.ServiceNames(workload.Balanced(id, workload.Port{}))...))
		tls.Keys = []string{workload.CertificateFile, workload.KeyFile}
		volumes = append(volumes, tls)
		mounts = append(mounts, workload.Mount{Volume: tls.Name, Path: signOnTLSDir, ReadOnly: true})
	}
	return workload.Process{
		Name: "oauth2-proxy", Identity: LoginOf(name), Image: s.Image, User: signOnUser,
		Args:      pulumi.ToStringArray(a.signOnArgs()),
		Resources: s.Resources, Ports: ports, Mounts: mounts,
		StartupSeconds: startupSeconds,
		Alive:          &listens, Ready: &listens,
		Health:         workload.Health{None: true},
		PreStopSeconds: preStopSeconds, GraceSeconds: 10,
	}, volumes
}

// signOnSecret is what sessions are encrypted with, kept in the state: those of users stay
// over updates.
func signOnSecret(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.StringInput, error) {
	// As base64, which oauth2-proxy takes it for, it is a key of 32 bytes.
	secret, err := random.NewRandomPassword(ctx, name+"-sessions", &random.RandomPasswordArgs{Length: pulumi.Int(43), Special: pulumi.Bool(false)}, opts...)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	return secret.Result, nil
}

// signOnPods runs the oauth2-proxy in a namespace; nil where there is none.
func (a *Args) signOnPods(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	if a.Login.SignOn == nil {
		return nil, nil
	}
	cookies, err := signOnSecret(ctx, name, opts...)
	if err != nil {
		return nil, err
	}
	process, volumes := a.signOn(name, cookies)
	id := LoginOf(name)
	created, err := workload.Pod{
		Identity: id, Placement: a.Placement,
		Replicas: pulumi.Int(a.Replicas), Most: a.Replicas, Spread: workload.SpreadOf(a.SpreadRequired),
		Processes: []workload.Process{process}, Volumes: volumes,
		Services: workload.Balanced(id.Name, a.Login.SignOn.at()), Scrape: signOnScrape(),
	}.Create(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return []pulumi.Resource{created.Workload}, nil
}

func signOnScrape() *room.Scrape {
	return &room.Scrape{Port: signOnMetricsPort, Path: "/metrics"}
}

// signOnContainer runs the oauth2-proxy on a Docker host; nil where there is none. Its image
// has nothing in it that could ask whether it works.
func (a *Args) signOnContainer(ctx *pulumi.Context, name string, host *workload.Host, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	if a.Login.SignOn == nil {
		return nil, nil
	}
	cookies, err := signOnSecret(ctx, name, opts...)
	if err != nil {
		return nil, err
	}
	process, volumes := a.signOn(name, cookies)
	return host.Run(ctx, workload.Container{Process: process, Volumes: volumes}, opts...)
}

// signOnFacts adds those of the oauth2-proxy.
func (a *Args) signOnFacts(f *room.Facts, name string, on room.Target) {
	s, id := a.Login.SignOn, LoginOf(name)
	if s == nil {
		return
	}
	w := room.Workload{Identity: id, Replicas: 1, Containers: []room.Resources{s.Resources}, Scrape: signOnScrape()}
	services := []string{id.Name}
	if on == room.Kubernetes {
		w.Replicas, w.Surge = a.Replicas, 1
		services = workload.ServiceNames(workload.Balanced(id.Name, workload.Port{}))
	}
	f.Workloads, f.Services = append(f.Workloads, w), append(f.Services, services...)
}

// errTwoLogins is about a login that could mean two.
var errTwoLogins = errors.New("Login: Users and SignOn exclude each other: choose one")
