// Package member does what a member of the database's cluster needs beside Patroni.
package member

import (
	"context"
	"errors"
	"log/slog"

	"github.com/alphapulse/alphapulse-infra/docker/agent/internal/kube"
)

// Labels of the members' pods, as Patroni sets them.
const (
	ScopeLabel = "cluster-name"
	RoleLabel  = "role"
	Primary    = "primary"
	Replica    = "replica"
)

// Pods are the pods of a namespace.
type Pods interface {
	Pods(ctx context.Context, selector string) ([]kube.Pod, error)
	Label(ctx context.Context, pod, label, value string) error
}

var _ Pods = (*kube.Client)(nil)

// RoleChanged is Patroni's callback on_role_change in the pod named self: the new
// primary takes the label from the pod of the old one, which cannot do it itself when
// its node is lost or it is cut off, and would get half of all new connections.
func RoleChanged(ctx context.Context, pods Pods, log *slog.Logger, self, role, scope string) error {
	if role != Primary {
		return nil
	}
	found, err := pods.Pods(ctx, ScopeLabel+"="+scope+","+RoleLabel+"="+Primary)
	if err != nil {
		return err
	}
	var errs []error
	for _, pod := range found {
		if pod.Name == self {
			continue
		}
		if err := pods.Label(ctx, pod.Name, RoleLabel, Replica); err != nil {
			errs = append(errs, err)
			continue
		}
		log.Info("took the primary's label away", "pod", pod.Name)
	}
	return errors.Join(errs...)
}

// Stopping returns the members whose pods are on their way out.
func Stopping(ctx context.Context, pods Pods, scope string) (map[string]bool, error) {
	found, err := pods.Pods(ctx, ScopeLabel+"="+scope)
	stopping := map[string]bool{}
	for _, pod := range found {
		if pod.Stopping {
			stopping[pod.Name] = true
		}
	}
	return stopping, err
}
