package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
)

// Engine is what a Docker engine says of itself.
type Engine struct {
	// ID tells engines apart as long as their data lives.
	ID string
	// Rootless says that it runs without root: clients reach published ports through a
	// process of its user, by whose address they are known.
	Rootless bool
	// Folder is where it keeps its data.
	Folder string
	// Volumes are the names of the stack's volumes that hold data.
	Volumes []string
}

// ErrUnasked is for engines that only the command line reaches.
var ErrUnasked = errors.New("an engine behind ssh is reached by the provider alone")

// AskEngine asks the engine at an address, e.g. unix:///var/run/docker.sock or
// tcp://10.0.0.7:2376; "" takes DOCKER_HOST or the local socket. DOCKER_TLS_VERIFY and
// DOCKER_CERT_PATH hold as for Docker's own client. labels are those of volumes, as
// KEY=VALUE, each of which the stack's have.
func AskEngine(ctx context.Context, address string, labels ...string) (*Engine, error) {
	if address == "" {
		address = os.Getenv("DOCKER_HOST")
	}
	if address == "" {
		address = "unix:///var/run/docker.sock"
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the engine's address cannot be read")
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	target := "http://engine"
	switch u.Scheme {
	case "unix":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", u.Path)
		}
	case "tcp":
		target = "http://" + u.Host
		if os.Getenv("DOCKER_TLS_VERIFY") != "" {
			target = "https://" + u.Host
			if transport.TLSClientConfig, err = clientCertificate(os.Getenv("DOCKER_CERT_PATH")); err != nil {
				return nil, err
			}
		}
	default:
		return nil, ErrUnasked
	}
	client := &http.Client{Transport: transport, Timeout: timeout}
	var info struct {
		ID              string
		SecurityOptions []string
		DockerRootDir   string
	}
	if err := ask(ctx, client, target+"/info", &info); err != nil {
		return nil, err
	}
	e := &Engine{ID: info.ID, Rootless: slices.Contains(info.SecurityOptions, "name=rootless"), Folder: info.DockerRootDir}
	filters, err := json.Marshal(map[string][]string{"label": labels})
	if err != nil {
		return nil, err
	}
	var found struct{ Volumes []struct{ Name string } }
	if err := ask(ctx, client, target+"/volumes?filters="+url.QueryEscape(string(filters)), &found); err != nil {
		return nil, err
	}
	for _, v := range found.Volumes {
		e.Volumes = append(e.Volumes, v.Name)
	}
	return e, nil
}

// ask reads one answer of an engine.
func ask(ctx context.Context, client *http.Client, target string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the engine answers %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("the engine's answer: %w", err)
	}
	return nil
}

// clientCertificate reads ca.pem, cert.pem and key.pem of a folder.
func clientCertificate(dir string) (*tls.Config, error) {
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(home, ".docker")
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", filepath.Join(dir, "ca.pem"))
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}, nil
}
