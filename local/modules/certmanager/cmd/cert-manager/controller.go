package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmechallenges"
	_ "github.com/cert-manager/cert-manager/pkg/controller/acmeorders"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificate-shim/ingresses"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/acme"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/metrics"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/acme"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// defaults are those of upstream's flags.
func defaults() controller.ContextOptions {
	return controller.ContextOptions{
		KubernetesAPIQPS: 20, KubernetesAPIBurst: 50,
		ACMEOptions: controller.ACMEOptions{
			HTTP01SolverResourceRequestCPU:    resource.MustParse("10m"),
			HTTP01SolverResourceRequestMemory: resource.MustParse("64Mi"),
			HTTP01SolverResourceLimitsCPU:     resource.MustParse("100m"),
			HTTP01SolverResourceLimitsMemory:  resource.MustParse("64Mi"),
			ACMEHTTP01SolverRunAsNonRoot:      true,
			DNS01CheckRetryPeriod:             10 * time.Second,
		},
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"},
			CertificateRequestMinimumBackoffDuration: time.Hour,
			CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
	}
}

// runController issues and renews certificates. It takes the flags that the chart sets,
// and holds no election: the chart starts one.
func runController(ctx context.Context, flags *pflag.FlagSet, args []string) error {
	opts, logging := defaults(), logsapi.NewLoggingConfiguration()
	logf.AddFlags(logging, flags)
	flags.StringVar(&opts.ClusterResourceNamespace, "cluster-resource-namespace", "kube-system", "namespace of what ClusterIssuers refer to")
	flags.StringVar(&opts.HTTP01SolverImage, "acme-http01-solver-image", "", "image of the pods that answer challenges")
	flags.StringSliceVar(&opts.HTTP01SolverNameservers, "acme-http01-solver-nameservers", nil, "name servers of the check before a challenge, host:port")
	flags.IntVar(&opts.MaxConcurrentChallenges, "max-concurrent-challenges", 60, "challenges at once")
	flags.BoolVar(&opts.EnableOwnerRef, "enable-certificate-owner-ref", false, "delete a Secret with its Certificate")
	flags.String("leader-election-namespace", "", "accepted; there is no election")
	if err := parse(flags, args, logging); err != nil {
		return err
	}
	ctx = logf.NewContext(ctx, logf.FromContext(ctx, "cert-manager"))
	factory, err := controller.NewContextFactory(ctx, opts)
	if err != nil {
		return err
	}
	base, err := factory.Build()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for name, build := range controller.Known() {
		if strings.HasPrefix(name, "gateway") || strings.HasPrefix(name, "listener") {
			continue // upstream starts it where the Gateway API is asked for
		}
		c, err := build(factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		group.Go(func() error { return c.Run(5, ctx) })
	}
	base.SharedInformerFactory.Start(ctx.Done())
	base.KubeSharedInformerFactory.Start(ctx.Done())
	base.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())

	metrics, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":9402")
	if err != nil {
		return err
	}
	group.Go(func() error { return serve(ctx, base.Metrics.NewServer(metrics), metrics) })
	health, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":9403")
	if err != nil {
		return err
	}
	live := http.NewServeMux()
	live.HandleFunc("/livez", func(http.ResponseWriter, *http.Request) {})
	group.Go(func() error {
		return serve(ctx, &http.Server{Handler: live, ReadHeaderTimeout: 10 * time.Second}, health)
	})
	return group.Wait()
}

// serve serves until the context ends.
func serve(ctx context.Context, s *http.Server, l net.Listener) error {
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
