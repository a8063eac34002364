package containerd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// runtimeClient speaks to containerd over the socket at path.
func runtimeClient(path string) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// StopPods ends all containers of the containerd at socket with the signal that their
// images ask for. Each has grace, a number of whole seconds, to end.
func StopPods(socket string, grace time.Duration) error {
	conn, err := runtimeClient(socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), grace+5*time.Second)
	defer cancel()
	client := cri.NewRuntimeServiceClient(conn)
	running, err := client.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{
		State: &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING},
	}})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(running.Containers))
	for i, c := range running.Containers {
		wg.Go(func() {
			if _, err := client.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: c.Id, Timeout: int64(grace.Seconds())}); err != nil {
				errs[i] = fmt.Errorf("%s: %w", c.GetMetadata().GetName(), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
