// Command acmesolver answers one challenge HTTP-01 of ACME, as cert-manager's program of
// that name does. It is small, since there is one for each host.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/klog/v2"

	"github.com/cert-manager/cert-manager/pkg/issuer/acme/http/solver"
)

func main() {
	s := &solver.HTTP01Solver{}
	flag.IntVar(&s.ListenPort, "listen-port", 8089, "port of the answer")
	flag.StringVar(&s.Domain, "domain", "", "host that is asked for")
	flag.StringVar(&s.Token, "token", "", "token that is asked for")
	flag.StringVar(&s.Key, "key", "", "answer")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ctx.Done()
		_ = s.Close()
	}()
	err := s.Listen(klog.Background())
	stopped := ctx.Err() != nil
	stop()
	if !stopped {
		fmt.Fprintf(os.Stderr, "acmesolver: %v\n", err)
		os.Exit(1)
	}
}
