// Package docker loads images into the local Docker engine and makes it ready for
// builds.
package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
)

// A Client speaks the few words of the engine's HTTP API that are needed to load
// images, over its socket.
type Client struct{ client *http.Client }

// New returns a client of the engine at socket.
func New(socket string) Client {
	return Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}}
}

// Ping returns why the engine does not answer, if it does not.
func (d Client) Ping(ctx context.Context) error {
	return d.call(ctx, http.MethodGet, "/_ping", nil, nil)
}

// call sends a request and decodes the JSON of its answer, unless into is nil.
func (d Client) call(ctx context.Context, method, path string, body io.Reader, into any) error {
	resp, err := d.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (d Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err) // without the address, which means nothing
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var told struct{ Message string }
	if json.NewDecoder(resp.Body).Decode(&told) != nil {
		told.Message = resp.Status
	}
	return nil, fmt.Errorf("%s %s: %s", method, path, told.Message)
}

// Info is what is wanted of the engine's answer about itself.
type Info struct {
	ID                string
	ContainersRunning int
}

// Info asks the engine about itself.
func (d Client) Info(ctx context.Context) (Info, error) {
	var i Info
	err := d.call(ctx, http.MethodGet, "/info", nil, &i)
	return i, err
}

// present returns the engine's images, as short name and tag → ID.
func (d Client) present(ctx context.Context) (map[string]string, error) {
	var list []struct {
		ID       string `json:"Id"`
		RepoTags []string
	}
	if err := d.call(ctx, http.MethodGet, "/images/json", nil, &list); err != nil {
		return nil, err
	}
	have := map[string]string{}
	for _, i := range list {
		for _, tag := range i.RepoTags {
			have[tag] = i.ID
		}
	}
	return have, nil
}

// shortName is how an engine shows an image of that full name.
func shortName(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
}

// absent returns those of the archives whose images are not in have.
func absent(archives []images.Archive, have map[string]string) []images.Archive {
	var missing []images.Archive
	for _, a := range archives {
		for _, ref := range a.Refs {
			if have[shortName(ref)] != a.ID {
				missing = append(missing, a)
				break
			}
		}
	}
	return missing
}

// Load imports those of the archives whose images are not there already. It
// returns how many it imported.
func (d Client) Load(ctx context.Context, archives []images.Archive, out io.Writer) (int, error) {
	have, err := d.present(ctx)
	if err != nil {
		return 0, err
	}
	missing := absent(archives, have)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(3) // each is first unpacked as a whole, which takes its size on the disk
	for _, a := range missing {
		g.Go(func() error {
			if err := d.loadOne(ctx, a, out); err != nil {
				return fmt.Errorf("load image %s: %w", a.Refs[0], err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return len(missing), nil
}

func (d Client) loadOne(ctx context.Context, a images.Archive, out io.Writer) error {
	f, err := os.Open(a.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	resp, err := d.send(ctx, http.MethodPost, "/images/load?quiet=1", f)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return progressOf(resp.Body, out)
}

// progressOf copies what the engine tells of its work, a sequence of JSON objects,
// and returns the error that is among them: the status of the answer was sent
// before the work began.
func progressOf(stream io.Reader, out io.Writer) error {
	for d := json.NewDecoder(stream); ; {
		var m struct{ Stream, Status, Error string }
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Error != "":
			return errors.New(m.Error)
		}
		_, _ = out.Write(append(bytes.TrimSpace([]byte(m.Stream+m.Status)), '\n'))
	}
}
