//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/alphapulse/alphapulse-infra/tests/livetest"
)

// logsShowNoSecret searches what every container of a namespace has written, also before
// its last restart, for every secret that was generated for the stack.
func logsShowNoSecret(t *testing.T, stack, ns string) {
	t.Helper()
	logsShowNone(t, ns, secretsOf(t, stack))
}

// secretsOf are the secrets that a stack has generated.
func secretsOf(t *testing.T, stack string) map[string]string {
	t.Helper()
	secrets, err := livetest.Generated(output(t, "pulumi", "--", "stack", "export", "--show-secrets", "--stack", stack))
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

// logsShowNone searches what the containers of a namespace have written.
func logsShowNone(t *testing.T, ns string, secrets map[string]string) {
	t.Helper()
	list, err := cluster.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	containers, lines := 0, 0
	for _, p := range list.Items {
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if s.State.Waiting != nil && s.LastTerminationState.Terminated == nil {
				continue // it has not run
			}
			text := ""
			for _, previous := range []bool{false, true} {
				if previous && s.RestartCount == 0 {
					continue
				}
				raw, err := cluster.CoreV1().Pods(ns).GetLogs(p.Name, &corev1.PodLogOptions{Container: s.Name, Previous: previous}).DoRaw(t.Context())
				if err != nil && !previous && !leaving(t, p) {
					t.Errorf("the log of %s of %s: %v", s.Name, p.Name, err)
				}
				text += string(raw)
			}
			containers, lines = containers+1, lines+strings.Count(text, "\n")
			for _, leaked := range livetest.Leaks(text, secrets) {
				t.Errorf("the log of %s of %s shows the secret %s", s.Name, p.Name, leaked)
			}
		}
	}
	t.Logf("%d lines of %d containers show none of %d generated secrets", lines, containers, len(secrets))
	if lines == 0 {
		t.Error("no container of the namespace has written anything: nothing was searched")
	}
}

// leaving tells whether a pod is gone, or on its way out: the kubelet may have forgotten its
// containers, and their logs with them.
func leaving(t *testing.T, p corev1.Pod) bool {
	t.Helper()
	now, err := cluster.CoreV1().Pods(p.Namespace).Get(t.Context(), p.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err != nil || now.UID != p.UID || now.DeletionTimestamp != nil
}
