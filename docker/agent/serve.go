package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/member"
)

// serve answers until ctx ends, over TLS with the certificate in a folder; "" for none.
func serve(ctx context.Context, address string, handler http.Handler, certificate string) error {
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(last) // what is left ends with the process
	})
	defer stop()
	var err error
	if certificate == "" {
		err = server.ListenAndServe()
	} else {
		err = server.ListenAndServeTLS(filepath.Join(certificate, "tls.crt"), filepath.Join(certificate, "tls.key"))
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// findOthers declares the flags by which a member finds the poolers, and knows them and its
// own Patroni; once they are read, the function gives them to a handover.
func findOthers(flags *flag.FlagSet) func(h *member.Handover) error {
	host := flags.String("poolers", "", "name that has all poolers' addresses; \"\" for none")
	ca := flags.String("ca", "", "file of the authorities that sign poolers' and members' certificates")
	name := flags.String("pooler", "", "name that every pooler's certificate has")
	own := flags.String("patroni", "", "name that the certificate of this pod's Patroni has; \"\" asks it without TLS")
	return func(h *member.Handover) error {
		var err error
		h.Poolers = *host
		if h.TLS, err = trusting(*ca, *name); err != nil || *own == "" {
			return err
		}
		if *ca == "" {
			return errors.New("-patroni needs -ca: its credentials go to nobody who is not known")
		}
		h.Patroni.TLS, err = trusting(*ca, *own)
		return err
	}
}

// trusting checks that a server is called name and that the authorities in a file vouch for
// it; nil for no file.
func trusting(file, name string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: name, MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return config, nil
}
