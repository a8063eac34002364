package deploy

import "fmt"

// A choice is what to do about the question which cluster to deploy to.
type choice int

const (
	useLocal   choice = iota
	useCurrent        // the current context's cluster
	askUser           // whether to use the current context's cluster; else local
)

// situation is all that the choice depends on.
type situation struct {
	setting     string   // CLUSTER
	stack       string   // name of the stack, for messages
	was         *target  // where the stack is deployed, nil if nowhere
	current     *cluster // of the user's kubeconfig, nil if none
	currentErr  error    // why the user's kubeconfig cannot be read
	interactive bool     // somebody can be asked
	noLocal     error    // why there can be no local cluster, nil if there can
}

// choose decides. The note, if any, is to be printed.
//
// A cluster that the user did not name is never used: not because a kubeconfig
// happens to point at it, nor because the context has changed since.
func choose(s situation) (c choice, note string, err error) {
	switch s.setting {
	case "", "local", "current":
	default:
		return 0, "", fmt.Errorf("%s=%s is not known: local is the cluster of this machine, current the current context of your kubeconfig", Setting, s.setting)
	}
	move := func(to string) error {
		return fmt.Errorf("stack %s is deployed to %s, not to %s: `make down` removes it there first; or leave %s empty to stay", s.stack, s.was, to, Setting)
	}

	wantCurrent := s.setting == "current" || s.setting == "" && s.was != nil && !s.was.Local
	if wantCurrent {
		switch {
		case s.currentErr != nil:
			return 0, "", s.currentErr
		case s.current == nil:
			return 0, "", fmt.Errorf("there is no current kube context of another cluster: point KUBECONFIG at it and choose one with `kubectl config use-context`, or set %s=local", Setting)
		case s.was != nil && !s.was.same(s.current.target):
			if s.setting == "current" {
				return 0, "", move(s.current.String())
			}
			return 0, "", elsewhere(s.stack, *s.was, s.current.target)
		case s.current.err != nil:
			return 0, "", fmt.Errorf("%s does not answer: %w", s.current.target, s.current.err)
		}
		return useCurrent, fmt.Sprintf("deploying to %s", s.current.target), nil
	}

	if s.setting == "local" && s.was != nil && !s.was.Local {
		return 0, "", move("the local cluster")
	}
	answers := s.current != nil && s.current.err == nil
	if s.setting == "" && s.was == nil && answers && s.interactive {
		return askUser, "", nil
	}
	if s.noLocal != nil {
		if answers {
			return 0, "", fmt.Errorf("%w. The current kube context leads to %s: set %s=current to deploy there", s.noLocal, s.current.target, Setting)
		}
		return 0, "", s.noLocal
	}
	if s.setting == "" && s.was == nil && answers {
		note = fmt.Sprintf("the current kube context leads to %s, which is left alone: set %s=current to deploy there", s.current.target, Setting)
	}
	return useLocal, note, nil
}

// elsewhere says that the current context no longer leads to the cluster that the
// stack stands on, and what to do.
func elsewhere(stack string, was, now target) error {
	if was.Server == now.Server {
		return fmt.Errorf("stack %s is deployed to another cluster than the one that answers at %s now: if that one was erased, forget it with `make pulumi ARGS=\"stack rm %s --force --yes --preserve-config\"`", stack, now, stack)
	}
	return fmt.Errorf("stack %s is deployed to %s, but the current kube context is now %s: switch back with `kubectl config use-context %s`", stack, was, now, was.Context)
}
