package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/backend/internal/config"
)

// Healthcheck asks the process that runs beside it, in the same container, whether
// it is alive.
func Healthcheck(ctx context.Context, env config.Environment, modes []string) error {
	addresses, err := config.Addresses(env)
	if err != nil {
		return err
	}
	if len(modes) == 0 {
		for m := range addresses {
			modes = append(modes, m)
		}
		slices.Sort(modes)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var problems []error
	for _, mode := range modes {
		address, ok := addresses[mode]
		if !ok {
			return fmt.Errorf("there is no mode %q: use api, dashboard or engine", mode)
		}
		if err := ask(ctx, env, address); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", mode, err))
			continue
		}
		return nil
	}
	return errors.Join(problems...)
}

func ask(ctx context.Context, env config.Environment, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	scheme := "http"
	beside, _ := env("TLS_PORT")
	if file, _ := env("TLS_CERT_FILE"); file != "" && (beside == "" || beside == "0") {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://127.0.0.1:"+port+"/health", nil)
	if err != nil {
		return err
	}
	// The certificate is for the name under which others know the process, and the way
	// to loopback has nobody on it.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/health answers %s", response.Status)
	}
	return nil
}
