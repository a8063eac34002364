package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/elastic"
)

// indices gives the logs of a stack data streams of their own in an Elasticsearch.
func indices(ctx context.Context, log *slog.Logger, args []string) error {
	s := elastic.Streams{Log: log, Pause: 5 * time.Second}
	flags := flag.NewFlagSet("indices", flag.ContinueOnError)
	flags.StringVar(&s.URL, "url", "", "address of the Elasticsearch")
	flags.StringVar(&s.Namespace, "namespace", "", "last part of the data streams' names")
	flags.StringVar(&s.Retention, "retention", "", "how long lines are kept, e.g. 168h")
	flags.DurationVar(&s.Patience, "patience", 2*time.Minute, "how long it is asked again when it does not answer")
	key := flags.String("key", "", "file with an API key in its encoded form; \"\" for none")
	ca := flags.String("ca", "", "file with the certificates by which its own is trusted; \"\" for those of the image")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.URL == "" || s.Namespace == "" || s.Retention == "" {
		return errors.New("-url, -namespace and -retention are needed")
	}
	if *key != "" {
		raw, err := os.ReadFile(*key)
		if err != nil {
			return err
		}
		s.Key = strings.TrimSpace(string(raw))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if *ca != "" {
		raw, err := os.ReadFile(*ca)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(raw) {
			return fmt.Errorf("%s holds no certificate", *ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	s.HTTP = &http.Client{Timeout: 30 * time.Second, Transport: transport}
	return s.Set(ctx)
}
