package serve

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/alphapulse/alphapulse-infra/local/internal/node/plan"
)

// Run is the engine's registry, and what image builds fetch modules and
// packages from, until SIGTERM. It listens inside the node's network namespace.
func Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logger := log.New(os.Stdout, "", log.LstdFlags)
	if err := os.MkdirAll(plan.Registry+"/blobs", 0o755); err != nil {
		return fmt.Errorf("%s is run by `local engine up`: %w", plan.ServeCommand, err)
	}
	images, err := keepManifests(registry.New(
		registry.WithBlobHandler(registry.NewDiskBlobHandler(plan.Registry+"/blobs")), registry.Logger(logger),
	), plan.Registry+"/manifests")
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+strconv.Itoa(plan.RegistryPort))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: services(images, plan.Modules, plan.Packages), ReadHeaderTimeout: 10 * time.Second, ErrorLog: logger}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
