package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// policyController enforces NetworkPolicies on one node: kube-router's policy controller alone,
// without its router and service proxy.
func policyController() {
	var (
		flags      = flag.NewFlagSet("netpol", flag.ExitOnError)
		kubeconfig = flags.String("kubeconfig", "", "path of the kubeconfig (required)")
		node       = flags.String("node", "", "name of the node whose pods are filtered (required)")
		services   = flags.String("service-cidr", "10.96.0.0/16", "addresses of Services; two ranges, as A,B, for both versions of IP")
		nodePorts  = flags.String("node-ports", "30000-32767", "ports of NodePort Services")
		period     = flags.Duration("sync-period", 30*time.Second, "time after which all rules are written again even if nothing changed")
	)
	_ = flags.Parse(os.Args[1:]) // ends the program on an error
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	cfg := options.NewKubeRouterConfig()
	cfg.HostnameOverride = *node
	cfg.EnableIPv4, cfg.EnableIPv6 = true, strings.Contains(*services, ":")
	cfg.ClusterIPCIDRs = strings.Split(*services, ",")
	cfg.NodePortRange = *nodePorts
	cfg.RunFirewall = true
	cfg.IPTablesSyncPeriod = *period

	if err := enforce(ctx, *kubeconfig, cfg); err != nil {
		log.Fatalf("netpol: %v", err)
	}
}

// enforce applies policies until ctx ends.
func enforce(ctx context.Context, kubeconfig string, cfg *options.KubeRouterConfig) error {
	if kubeconfig == "" || cfg.HostnameOverride == "" {
		return errors.New("--kubeconfig and --node are required")
	}
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()

	tables, sets, err := netpol.NewIPTablesHandlers(cfg)
	if err != nil {
		return fmt.Errorf("iptables and ipset: %w", err)
	}
	controller, err := netpol.NewNetworkPolicyController(client, cfg, pods, policies, namespaces, &sync.Mutex{}, tables, sets)
	if err != nil {
		return fmt.Errorf("policy controller: %w", err)
	}

	// The handlers are added after the first sync: the controller's own first
	// pass reads the caches, and an event for each old object would only repeat it.
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods:       controller.PodEventHandler,
		namespaces: controller.NamespaceEventHandler,
		policies:   controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}

	// Nobody asks this process for its health, but the controller blocks on a
	// full channel.
	beats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range beats {
		}
	}()
	var wg sync.WaitGroup
	wg.Add(1)
	controller.Run(beats, ctx.Done(), &wg)
	wg.Wait()
	return nil
}
