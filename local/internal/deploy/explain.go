package deploy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
)

const (
	// explainTime bounds all questions to the cluster about what failed.
	explainTime = 20 * time.Second
	explainPods = 5
	logLines    = 12
)

// explain prints, after a failed `pulumi up`, what the cluster knows of the pods
// that do not work: the reason, recent warnings, the end of their logs.
func explain(ctx context.Context, r *progress.Reporter, where target) {
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	client, err := clientFor(where)
	if err != nil {
		r.Infof("the cluster cannot be asked for the reason: %v", err)
		return
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		r.Infof("the cluster cannot be asked for the reason: %v", err)
		return
	}
	events, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil {
		events = &corev1.EventList{}
	}
	shown := 0
	for _, pod := range pods.Items {
		why := trouble(pod)
		if why == "" {
			continue
		}
		if shown++; shown > explainPods {
			r.Infof("… and more: `make status` lists all pods")
			break
		}
		r.Infof("pod %s: %s", pod.Name, why)
		for _, e := range warnings(events.Items, pod.Name) {
			r.Infof("    %s", e)
		}
		for _, c := range failing(pod) {
			for _, line := range tailOf(ctx, client, pod, c) {
				r.Infof("    %s | %s", c.Name, line)
			}
		}
	}
	if shown == 0 {
		r.Infof("no pod of namespace %s is in trouble: the message above tells what failed", namespace)
	}
	r.Infof("`make logs C=<component>` shows more; after a repair `make up` goes on")
}

func clientFor(where target) (*kubernetes.Clientset, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if where.Local {
		path, err := node.Kubeconfig()
		if err != nil {
			return nil, err
		}
		rules = &clientcmd.ClientConfigLoadingRules{ExplicitPath: path}
	}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: where.Context}).ClientConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(cfg)
}

// trouble says in one line why a pod does not work; empty if it works or has
// ended well.
func trouble(pod corev1.Pod) string {
	if pod.Status.Phase == corev1.PodSucceeded {
		return ""
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "PodInitializing" && c.State.Waiting.Reason != "ContainerCreating":
			return strings.TrimSpace(fmt.Sprintf("container %s: %s, restarted %d times. %s", c.Name, c.State.Waiting.Reason, c.RestartCount, c.State.Waiting.Message))
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
			return fmt.Sprintf("container %s ended with exit code %d (%s)", c.Name, c.State.Terminated.ExitCode, c.State.Terminated.Reason)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			return "not scheduled: " + c.Message
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status != corev1.ConditionTrue {
			return "not ready: " + strings.TrimSpace(c.Reason+" "+c.Message)
		}
	}
	return ""
}

// failing returns the containers of a pod whose logs may tell why.
func failing(pod corev1.Pod) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		ended := c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
		if !c.Ready && !ended && (c.State.Running != nil || c.RestartCount > 0 || c.State.Terminated != nil) {
			all = append(all, c)
		}
	}
	return all
}

// warnings returns the newest warnings about a pod, each once.
func warnings(events []corev1.Event, pod string) []string {
	var lines []string
	for _, e := range slices.Backward(events) {
		line := e.Reason + ": " + e.Message
		if e.InvolvedObject.Name == pod && !slices.Contains(lines, line) && len(lines) < 3 {
			lines = append(lines, line)
		}
	}
	return lines
}

// tailOf returns the last lines of a container's log; of the one before if it
// waits to be started again.
func tailOf(ctx context.Context, client kubernetes.Interface, pod corev1.Pod, c corev1.ContainerStatus) []string {
	lines := int64(logLines)
	stream, err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: c.Name, TailLines: &lines, Previous: c.State.Waiting != nil && c.RestartCount > 0,
	}).Stream(ctx)
	if err != nil {
		return nil
	}
	defer func() { _ = stream.Close() }()
	var all []string
	for s := bufio.NewScanner(io.LimitReader(stream, 64<<10)); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}
