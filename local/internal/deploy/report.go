package deploy

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"crypto/tls"

	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
	"github.com/alphapulse/alphapulse-infra/local/internal/toolchain"
)

const (
	// tryPath is what the printed curl command asks the API for.
	tryPath = "/api/market/status"
	// answerLimit is how long the endpoints may take to answer after Pulumi has
	// seen every pod ready.
	answerLimit = 2 * time.Minute
)

// outputs is what of the stack's outputs is printed.
type outputs struct {
	Namespace     string            `json:"namespace"`
	URLs          map[string]string `json:"urls"`
	CACertificate string            `json:"caCertificate"` // PEM; empty if a public one is used
	Credentials   map[string]string `json:"credentials"`   // who → command that shows the password
}

func readOutputs(ctx context.Context, tools *toolchain.Toolchain, root string) (outputs, error) {
	var raw bytes.Buffer
	var o outputs
	if err := tools.Quiet(ctx, root, &raw, "stack", "output", "--json", "--stack", Stack); err != nil {
		return o, fmt.Errorf("outputs of stack %s: %w: %s", Stack, err, strings.TrimSpace(raw.String()))
	}
	if err := json.Unmarshal(raw.Bytes(), &o); err != nil {
		return o, fmt.Errorf("outputs of stack %s: %w", Stack, err)
	}
	return o, nil
}

// report waits until the endpoints of a local deployment answer, and prints them.
func report(ctx context.Context, r *progress.Reporter, tools *toolchain.Toolchain, root string, where target, w io.Writer) error {
	o, err := readOutputs(ctx, tools, root)
	if err != nil {
		return err
	}
	ca := ""
	if o.CACertificate != "" {
		if _, err := paths.StateDir(Stack); err != nil {
			return err
		}
		if ca, err = paths.State(Stack, "ca.crt"); err != nil {
			return err
		}
		if err := os.WriteFile(ca, []byte(o.CACertificate), 0o644); err != nil {
			return fmt.Errorf("certificate of the development CA: %w", err)
		}
	}
	// Elsewhere names and addresses may have to be made known first.
	if where.Local {
		s := r.Step("wait until the endpoints answer")
		if err := s.Done(answering(ctx, o)); err != nil {
			return err
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(wd, ca); ca != "" && err == nil && !strings.HasPrefix(rel, "..") {
		ca = rel
	}
	_, err = io.WriteString(w, o.text(ca, tools.Pinned))
	return err
}

// text is what is printed at the end. ca is the path of the CA's certificate.
func (o outputs) text(ca string, pinned bool) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }
	line("\nStack %s answers in namespace %s:", Stack, o.Namespace)
	for _, name := range slices.Sorted(maps.Keys(o.URLs)) {
		line("  %s\t%s", name, o.URLs[name])
	}
	if len(o.Credentials) > 0 {
		line("\nTo log in, each command prints a password:")
		for _, who := range slices.Sorted(maps.Keys(o.Credentials)) {
			line("  %s\t%s", who, throughMake(o.Credentials[who], pinned))
		}
	}
	option := ""
	if ca != "" {
		line("\nThe certificates are signed by the stack's own CA. Browsers trust them once %s is imported.", ca)
		option = " --cacert " + ca
	}
	if api := o.URLs["api"]; api != "" {
		line("\nTry it:\n  curl%s %s%s", option, api, tryPath)
	}
	_ = t.Flush()
	return b.String()
}

// throughMake turns a pulumi command into one that works in a clone whose pulumi
// is not on PATH or has another backend.
func throughMake(command string, pinned bool) string {
	args, ok := strings.CutPrefix(command, "pulumi ")
	if !ok || !pinned {
		return command
	}
	return fmt.Sprintf("make pulumi ARGS=%q", args)
}

// answering waits until each URL answers over TLS with a certificate of the
// stack's CA, and not with a server error.
func answering(ctx context.Context, o outputs) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(o.CACertificate)) {
		roots = nil
	}
	dialer := &net.Dialer{Timeout: answerTime}
	client := &http.Client{
		Timeout: answerTime,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				// By RFC 6761 these are loopback, but not every resolver knows.
				if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".localhost") {
					addr = net.JoinHostPort("127.0.0.1", port)
				}
				return dialer.DialContext(ctx, network, addr)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("no answer within %s", answerLimit))
	defer cancel()
	for _, name := range slices.Sorted(maps.Keys(o.URLs)) {
		address := o.URLs[name]
		if name == "api" {
			address += tryPath
		}
		if err := answer(ctx, client, address); err != nil {
			return fmt.Errorf("%s (%s): %w", address, name, err)
		}
	}
	return nil
}

func answer(ctx context.Context, client *http.Client, address string) error {
	for {
		err := get(ctx, client, address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, client *http.Client, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			return u.Err
		}
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode >= 500 || res.StatusCode == http.StatusNotFound {
		return fmt.Errorf("answers %s", res.Status)
	}
	return nil
}
