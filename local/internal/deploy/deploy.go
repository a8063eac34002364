// Package deploy puts the dev stack on a cluster and takes it away again: what
// `make up`, `make down` and `make pulumi` run.
package deploy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/alphapulse/alphapulse-infra/local/internal/build"
	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/preflight"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
	"github.com/alphapulse/alphapulse-infra/local/internal/toolchain"
)

// Stack is the stack that Up deploys.
const Stack = "dev"

// namespace is where the program puts a stack unless it is told otherwise.
const namespace = "alphapulse-" + Stack

var errInterrupted = errors.New("interrupted: the next run goes on where this one stopped")

// Up deploys the dev stack and prints where it answers and how to log in. It
// chooses the cluster (see Setting); the local one it builds and starts first. It
// may be run again at any time: it goes on after an interrupt, and changes
// nothing when there is nothing to change. The local cluster gets the nodes that are
// requested, and the add-ons, which are named by the settings of their stack.
func Up(ctx context.Context, r *progress.Reporter, nodes topology.Request, addons []string) error {
	root, err := paths.Root()
	if err != nil {
		return err
	}
	where, err := where(ctx, r)
	if err != nil {
		return err
	}
	if !where.Local && !nodes.Empty() {
		return fmt.Errorf("nodes, zones, labels and taints are those of the local cluster, and the stack is deployed to %s: leave them out", where)
	}
	if err := checkAddons(addons, where); err != nil {
		return err
	}
	tools, where, err := makeReady(ctx, r, root, where, nodes, addons)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}

	if err := installAddons(ctx, r, tools, root, where, addons); err != nil {
		return err
	}
	args := []string{"up", "--stack", Stack, "--yes", "--skip-preview", "--suppress-outputs"}
	more, done, err := renewed(r, root, Stack, where, args)
	if err != nil {
		return err
	}
	defer done()
	args = append(args, more...)
	if err := selectStack(ctx, r, tools, root, Stack); err != nil {
		return err
	}
	if err := settle(ctx, r, tools, root); err != nil {
		return err
	}
	// Before the first change, so that an interrupted run is found again.
	if err := remember(Stack, where); err != nil {
		return err
	}
	if err := tools.Run(ctx, root, toolchain.Std(), args...); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		explain(ctx, r, where)
		return fmt.Errorf("pulumi up of stack %s: %w", Stack, err)
	}
	return report(ctx, r, tools, root, where, os.Stdout)
}

// settle deals with what a killed run has begun and not noted the end of: Pulumi
// looks at the cluster, and what was being created is taken over by the next up.
func settle(ctx context.Context, r *progress.Reporter, tools *toolchain.Toolchain, root string) error {
	n, err := tools.Pending(Stack)
	if err != nil || n == 0 {
		return err
	}
	s := r.Step(fmt.Sprintf("look what became of %d operations of a run that was killed", n))
	return s.Done(tools.Quiet(ctx, root, s.Writer(), "refresh", "--stack", Stack, "--yes", "--skip-preview", "--clear-pending-creates"))
}

// where chooses the cluster.
func where(ctx context.Context, r *progress.Reporter) (target, error) {
	s := situation{
		setting:     os.Getenv(Setting),
		stack:       Stack,
		interactive: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())),
	}
	var err error
	if s.was, err = remembered(Stack); err != nil {
		return target{}, err
	}
	s.current, s.currentErr = current(ctx)
	switch {
	case runtime.GOOS != "linux":
		s.noLocal = node.ErrNotLinux
	case os.Geteuid() != 0:
		s.noLocal = node.ErrNotRoot
	}
	c, note, err := choose(s)
	if err != nil {
		return target{}, err
	}
	if note != "" {
		r.Infof("%s", note)
	}
	if c == askUser {
		yes, err := agree(fmt.Sprintf("The current kube context leads to %s.\nDeploy stack %s to it? No starts the cluster of this machine instead. [y/N] ", s.current.target, Stack))
		if err != nil {
			return target{}, err
		}
		if yes {
			c = useCurrent
		} else if s.noLocal != nil {
			return target{}, s.noLocal
		}
	}
	if c == useCurrent {
		return s.current.target, nil
	}
	return target{Local: true, Server: topology.Local().APIServer()}, nil
}

func agree(question string) (bool, error) {
	fmt.Print(question)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return false, fmt.Errorf("no answer: %w: set %s", err, Setting)
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}

// makeReady brings up everything that a deployment needs, at the same time where
// it can: the cluster with its images, the toolchain, the compiled program. It
// returns the toolchain, set to the target, and the target as it then is.
func makeReady(ctx context.Context, r *progress.Reporter, root string, where target, nodes topology.Request, addons []string) (*toolchain.Toolchain, target, error) {
	if where.Local {
		// What is wrong with the machine is said before a long compile begins.
		if err := check(ctx, r, nodes); err != nil {
			return nil, where, err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		tools *toolchain.Toolchain
		mu    sync.Mutex
		first error
	)
	run := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				mu.Lock()
				if first == nil {
					first = err
				}
				mu.Unlock()
				cancel(errors.New("stopped because another step failed"))
			}
		})
	}
	if where.Local {
		run(func() error { return node.Up(ctx, r, node.Options{Nodes: nodes, Archives: archivesWith(addons)}) })
	}
	run(func() (err error) { tools, err = toolchain.Ensure(ctx, r); return err })
	run(func() error { return build.Warm(ctx, r, root) })
	wg.Wait()
	if first != nil {
		return nil, where, first
	}
	if !where.Local {
		return tools, where, nil
	}
	now, kubeconfig, err := local(ctx)
	if err != nil {
		return nil, where, fmt.Errorf("the local cluster does not answer: %w: `make status` tells more", err)
	}
	return tools.With("KUBECONFIG=" + kubeconfig), now, nil
}

// check looks for everything on the machine that would stop the cluster or the
// build of the toolchain.
func check(ctx context.Context, r *progress.Reporter, nodes topology.Request) error {
	if state, err := node.Status(ctx); err == nil && state.Foreign != nil {
		return state.Foreign
	}
	needs, err := node.Needs(ctx, nodes)
	if err != nil {
		return err
	}
	if missing := toolchain.Missing(ctx, r); len(missing) > 0 {
		root, err := paths.Root()
		if err != nil {
			return err
		}
		for _, t := range build.Tools() {
			if dir := filepath.Join(root, filepath.FromSlash(t.Module)); slices.Contains(missing, t.Name) && !slices.Contains(needs.GoModules, dir) {
				needs.GoModules = append(needs.GoModules, dir)
			}
		}
		needs.FirstBuild = needs.FirstBuild || !build.BuiltBefore(missing...)
	}
	return preflight.Run(ctx, needs)
}

// selectStack makes a stack the one that commands without --stack work on, and
// creates it if it is not there.
func selectStack(ctx context.Context, r *progress.Reporter, tools *toolchain.Toolchain, root, stack string) error {
	s := r.Step("select stack " + stack)
	return s.Done(tools.Quiet(ctx, root, s.Writer(), "stack", "select", "--create", stack))
}

// Pulumi runs pulumi with the given arguments on the clone's state, against the
// cluster or the Docker engine that the stack is deployed to. An *exec.ExitError carries pulumi's own
// exit code.
func Pulumi(ctx context.Context, r *progress.Reporter, args []string) error {
	root, err := paths.Root()
	if err != nil {
		return err
	}
	stack := stackOf(args)
	if stack == "" {
		// The one that was selected, which only pulumi knows.
		tools, err := toolchain.EnsureWith(ctx, r)
		if err != nil {
			return err
		}
		var name bytes.Buffer
		if stack = Stack; tools.Quiet(ctx, root, &name, "stack", "--show-name") == nil {
			stack = strings.TrimSpace(name.String())
		}
	}
	docker, err := onDocker(root, stack)
	if err != nil {
		return err
	}
	providers := toolchain.Kubernetes
	if docker {
		providers = toolchain.Docker
	}
	tools, err := toolchain.EnsureWith(ctx, r, providers...)
	if err != nil {
		return err
	}
	find := route
	if docker {
		find = routeDocker
	}
	env, now, err := find(ctx, r, stack, reachesCluster(args))
	if err != nil {
		return err
	}
	tools = tools.With(env...)
	if stackOf(args) == "" && (reachesCluster(args) || command(args) == "config") {
		// In a new clone the first command works, too.
		if first, err := tools.Fresh(); err != nil {
			return err
		} else if first {
			if err := selectStack(ctx, r, tools, root, Stack); err != nil {
				return err
			}
		}
	}
	if now != nil && command(args) == "up" {
		more, done, err := renewed(r, root, stack, *now, args)
		if err != nil {
			return err
		}
		defer done()
		args = append(slices.Clone(args), more...)
		if err := remember(stack, *now); err != nil {
			return err
		}
	}
	if err := tools.Run(ctx, root, toolchain.Std(), args...); err != nil {
		return err
	}
	if gone := removes(args, stack); gone != "" {
		return forget(gone)
	}
	return nil
}

// route returns what the environment of a pulumi command for the stack must hold
// to reach its cluster, and that cluster. A command that changes the cluster is
// refused when the stack stands on another one.
func route(ctx context.Context, r *progress.Reporter, stack string, reaches bool) ([]string, *target, error) {
	was, err := remembered(stack)
	if err != nil {
		return nil, nil, err
	}
	here, kubeconfig, localErr := local(ctx)
	if was == nil && localErr == nil || was != nil && was.Local {
		if reaches && localErr != nil {
			return nil, nil, fmt.Errorf("stack %s is deployed to the local cluster, which does not answer: %w", stack, localErr)
		}
		return []string{"KUBECONFIG=" + kubeconfig}, &here, nil
	}
	if !reaches {
		return nil, nil, nil
	}
	now, err := current(ctx)
	if err != nil {
		return nil, nil, err
	}
	if now == nil {
		// The program's own settings may name a kubeconfig.
		return nil, nil, nil
	}
	if was != nil && !was.same(now.target) {
		return nil, nil, elsewhere(stack, *was, now.target)
	}
	r.Infof("stack %s, cluster %s", stack, now.target)
	return nil, &now.target, nil
}

// dockerHost is the environment variable by which clients of Docker find an
// engine.
const dockerHost = "DOCKER_HOST"

// routeDocker is route for a stack on a Docker host: the local engine if it runs,
// unless the user names another one. Without either, the stack's own settings and
// the machine's own engine are left to decide, but not for a stack that stands on
// the local engine.
func routeDocker(ctx context.Context, r *progress.Reporter, stack string, reaches bool) ([]string, *target, error) {
	if host := os.Getenv(dockerHost); host != "" && host != node.DockerHost {
		return nil, nil, nil
	}
	was, err := remembered(stack)
	if err != nil {
		return nil, nil, err
	}
	id, err := node.EngineID(ctx)
	switch {
	case err == nil:
		if reaches {
			r.Infof("stack %s, local Docker engine", stack)
		}
		return []string{dockerHost + "=" + node.DockerHost}, &target{Local: true, Docker: true, Server: node.DockerHost, UID: id}, nil
	case was != nil && reaches:
		return nil, nil, fmt.Errorf("stack %s is deployed to the local Docker engine, which does not answer: %w", stack, err)
	}
	return nil, nil, nil
}
