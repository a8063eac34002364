package node

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
)

// RunServe is the engine's registry, and what image builds fetch modules and
// packages from, until SIGTERM. It listens inside the node's network namespace.
func RunServe() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logger := log.New(os.Stdout, "", log.LstdFlags)
	if err := os.MkdirAll(inRegistry+"/blobs", 0o755); err != nil {
		return fmt.Errorf("%s is run by `local engine up`: %w", ServeCommand, err)
	}
	images, err := keepManifests(registry.New(
		registry.WithBlobHandler(registry.NewDiskBlobHandler(inRegistry+"/blobs")), registry.Logger(logger),
	), inRegistry+"/manifests")
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+strconv.Itoa(RegistryPort))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: services(images, inModules, inPackages), ReadHeaderTimeout: 10 * time.Second, ErrorLog: logger}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
