package node

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

// podGrace is how long containers have to end when the node is stopped, in
// seconds. A database in the middle of a checkpoint needs some.
const podGrace = 15

// runtimeClient speaks to containerd over the socket at path.
func runtimeClient(path string) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// stopPods ends all containers with the signal that their images ask for.
func stopPods() error {
	conn, err := runtimeClient(inContainerd)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), (podGrace+5)*time.Second)
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
			if _, err := client.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: c.Id, Timeout: podGrace}); err != nil {
				errs[i] = fmt.Errorf("%s: %w", c.GetMetadata().GetName(), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
