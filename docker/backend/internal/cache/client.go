package cache

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is where Redis is.
type Server struct {
	// URL is redis://user:password@host:port/database, or rediss:// for TLS.
	URL string
	// CAFile has the certificates, as PEM, of those who may vouch for the server; empty
	// trusts the system's. It is read for each connection, so a renewed one counts.
	CAFile string
}

// NewClient returns a client of Redis with short time-outs: what takes longer is
// read from the database instead. nil without an error means that the URL is empty.
// current, unless it is nil, returns the server as it is now: new connections use
// renewed credentials.
func NewClient(s Server, current func() (Server, error), name string, maxConnections int) (*redis.Client, error) {
	if s.URL == "" {
		return nil, nil
	}
	o, err := redis.ParseURL(s.URL)
	if err != nil {
		return nil, fmt.Errorf("cache URL: %w", err)
	}
	o.ClientName = name
	o.PoolSize = maxConnections
	o.MaxActiveConns = maxConnections
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = time.Second, time.Second, time.Second, time.Second
	o.MaxRetries = 1
	// By default a connection is tried five times, for each try of a command.
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	if o.TLSConfig != nil {
		if _, err := trusted(s.CAFile); err != nil {
			return nil, err
		}
		o.Dialer = dialTLS(o.TLSConfig.ServerName, s.CAFile)
	}
	if current != nil {
		o.CredentialsProviderContext = func(context.Context) (string, string, error) {
			if now, err := current(); err == nil {
				if renewed, err := redis.ParseURL(now.URL); err == nil {
					return renewed.Username, renewed.Password, nil
				}
			}
			// A file that is just being replaced: the next connection finds it.
			return o.Username, o.Password, nil
		}
	}
	client := redis.NewClient(o)
	client.AddHook(bounded{})
	return client, nil
}

// commandTimeout bounds one command with all that it waits for: a connection that is
// free, or made, and its tries. A node that is gone answers nothing at all, and each of
// these would take its own time-out.
const commandTimeout = time.Second

// bounded is the hook that does so.
type bounded struct{}

func (bounded) DialHook(next redis.DialHook) redis.DialHook { return next }

func (bounded) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, cancel := context.WithTimeout(ctx, commandTimeout)
		defer cancel()
		return next(ctx, cmd)
	}
}

func (bounded) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, cancel := context.WithTimeout(ctx, commandTimeout)
		defer cancel()
		return next(ctx, cmds)
	}
}

// dialTLS connects to a server that has to prove its name.
func dialTLS(name, caFile string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		roots, err := trusted(caFile)
		if err != nil {
			return nil, err
		}
		d := &tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12}}
		return d.DialContext(ctx, network, address)
	}
}

// trusted reads certificates; nil stands for the system's.
func trusted(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("REDIS_CA_FILE: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("REDIS_CA_FILE: %s has no certificate: give certificates as PEM", file)
	}
	return pool, nil
}
