package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

// Labels by which Logs finds the pods of a component.
const (
	nameLabel     = "app.kubernetes.io/name"
	instanceLabel = "app.kubernetes.io/instance"
)

// Kubectl runs kubectl with the given arguments on the cluster that the dev stack
// stands on, or on the local cluster if it stands nowhere. An *exec.ExitError
// carries kubectl's own exit code.
func Kubectl(ctx context.Context, r *progress.Reporter, args []string) error {
	t, err := standing()
	if err != nil {
		return err
	}
	return kubectl(ctx, r, t, args)
}

// standing returns where the dev stack stands; the local cluster if nowhere.
func standing() (target, error) {
	was, err := remembered(Stack)
	if err != nil {
		return target{}, err
	}
	if was == nil {
		return target{Local: true, Server: topology.Local().APIServer()}, nil
	}
	return *was, nil
}

func kubectl(ctx context.Context, r *progress.Reporter, t target, args []string) error {
	bin, err := kubectlPath(ctx, r, t)
	if err != nil {
		return err
	}
	env := os.Environ()
	if t.Local {
		path, err := node.Kubeconfig()
		if err != nil {
			return err
		}
		env = append(env, "KUBECONFIG="+path)
	} else {
		args = append([]string{"--context=" + t.Context}, args...)
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil // the usual end of following a log
	}
	return err
}

// kubectlPath returns the kubectl that belongs to the local cluster, else the one
// on PATH.
func kubectlPath(ctx context.Context, r *progress.Reporter, t target) (string, error) {
	if t.Local || len(build.Missing(ctx, "kubectl")) == 0 {
		found, err := build.Ensure(ctx, r, "kubectl")
		return found["kubectl"], err
	}
	bin, err := exec.LookPath("kubectl")
	if err != nil {
		return "", errors.New("there is no kubectl on PATH: install it from https://kubernetes.io/docs/tasks/tools")
	}
	return bin, nil
}

// Logs prints the last lines of the logs of all pods of a component of the dev
// stack, and goes on with new ones if follow is set. A component is named by an
// instance (backend) or by one workload of it (backend-engine).
func Logs(ctx context.Context, r *progress.Reporter, component string, follow bool) error {
	t, err := standing()
	if err != nil {
		return err
	}
	client, err := clientFor(t)
	if err != nil {
		return err
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("pods of stack %s: %w", Stack, err)
	}
	selector, err := selectorOf(pods.Items, component)
	if err != nil {
		return err
	}
	args := []string{"logs", "--namespace=" + namespace, "--selector=" + selector, "--all-containers", "--prefix", "--tail=100", "--max-log-requests=50"}
	if follow {
		args = append(args, "--follow")
	}
	return kubectl(ctx, r, t, args)
}

// selectorOf returns the label selector of a component's pods.
func selectorOf(pods []corev1.Pod, component string) (string, error) {
	known := map[string]bool{}
	for _, label := range []string{instanceLabel, nameLabel} {
		for _, p := range pods {
			if v := p.Labels[label]; v != "" {
				known[v] = true
				if v == component {
					return label + "=" + component, nil
				}
			}
		}
	}
	names := strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	if names == "" {
		return "", fmt.Errorf("there are no pods in namespace %s: `make up` deploys the stack", namespace)
	}
	if component == "" {
		return "", fmt.Errorf("no component is named: set C to one of %s", names)
	}
	return "", fmt.Errorf("there is no component %q: set C to one of %s", component, names)
}
