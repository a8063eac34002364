package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/alphapulse/alphapulse-infra/components/room"
	"github.com/alphapulse/alphapulse-infra/components/workload"
	"github.com/alphapulse/alphapulse-infra/stacks/settings"
)

// everyRoom is the key of what holds for all pods.
const everyRoom = ""

// nodes are what a stack says about where pods run; nil parts are not said.
type nodes struct {
	selector    map[string]string
	tolerations []corev1.Toleration
	affinity    *corev1.Affinity
}

func (s *Stack) placementSettings(set *settings.Set) {
	s.Cluster.nodes = map[string]*nodes{}
	g := set.Group("Placement", "Which nodes the pods run on, as a pod's own `nodeSelector`, `tolerations` and `affinity`. "+
		"A room's setting takes the place of the common one, part by part.")
	declare := func(roomName, key, whose string) {
		n := &nodes{}
		s.Cluster.nodes[roomName] = n
		g.Object(key, "nodeSelector, tolerations and affinity of "+whose+".", n.read, settings.Only(room.Kubernetes))
	}
	declare(everyRoom, "placement", `every pod, e.g. {"nodeSelector": {"kubernetes.io/arch": "amd64"}}`)
	declare(databaseName, "databasePlacement", "the database")
	declare(cacheName, "cachePlacement", "the cache")
	declare(backendName, "backendPlacement", "API, engine and dashboard")
	declare(frontendName, "frontendPlacement", "the frontend")
	declare(edgeName, "edgePlacement", "the edge")
	declare(telemetryName, "telemetryPlacement", "the collector, VictoriaLogs and Jaeger")
	declare(monitoringName, "monitoringPlacement", "Prometheus, Alertmanager, Grafana and kube-state-metrics")
}

// nodesOf are those of a room's pods.
func (c *Cluster) nodesOf(roomName string) workload.Nodes {
	var of workload.Nodes
	for _, name := range []string{everyRoom, roomName} {
		if n := c.nodes[name]; n != nil {
			if n.selector != nil {
				of.Selector = n.selector
			}
			if n.tolerations != nil {
				of.Tolerations = n.tolerations
			}
			if n.affinity != nil {
				of.Affinity = n.affinity
			}
		}
	}
	return of
}

// read understands the parts of a pod's specification, and no other.
func (n *nodes) read(raw string) error {
	var given struct {
		NodeSelector map[string]any      `json:"nodeSelector"`
		Tolerations  []corev1.Toleration `json:"tolerations"`
		Affinity     *corev1.Affinity    `json:"affinity"`
	}
	d := json.NewDecoder(strings.NewReader(raw))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&given); err != nil {
		return fmt.Errorf(`it is not an object with nodeSelector, tolerations and affinity as a pod has them: %w; write e.g. {"nodeSelector": {"kubernetes.io/arch": "amd64"}}`, err)
	}
	if d.More() {
		return errors.New("it is more than one object")
	}
	var problems []error
	if given.NodeSelector != nil {
		n.selector = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(given.NodeSelector)) {
		// The command line makes a number or a truth of what looks like one.
		value := fmt.Sprint(given.NodeSelector[key])
		if list := validation.IsQualifiedName(key); len(list) > 0 {
			problems = append(problems, fmt.Errorf("nodeSelector: %q cannot be a label: %s", key, list[0]))
		} else if list := validation.IsValidLabelValue(value); len(list) > 0 {
			problems = append(problems, fmt.Errorf("nodeSelector: %q cannot be the value of %s: %s", value, key, list[0]))
		}
		if meant := architectures[value]; meant != "" && key == "kubernetes.io/arch" {
			problems = append(problems, fmt.Errorf("nodeSelector: no node has %s %s, did you mean %s?", key, value, meant))
		}
		n.selector[key] = value
	}
	for i, t := range given.Tolerations {
		if err := tolerable(t); err != nil {
			problems = append(problems, fmt.Errorf("tolerations[%d]: %w", i, err))
		}
	}
	if err := attracted(given.Affinity); err != nil {
		problems = append(problems, fmt.Errorf("affinity: %w", err))
	}
	n.tolerations, n.affinity = given.Tolerations, given.Affinity
	return errors.Join(problems...)
}

// tolerable says why the API server would refuse a toleration.
func tolerable(t corev1.Toleration) error {
	operators := []corev1.TolerationOperator{"", corev1.TolerationOpExists, corev1.TolerationOpEqual}
	effects := []corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	switch {
	case !slices.Contains(operators, t.Operator):
		return fmt.Errorf("operator %q is neither Exists nor Equal", t.Operator)
	case !slices.Contains(effects, t.Effect):
		return fmt.Errorf("effect %q is none of NoSchedule, PreferNoSchedule and NoExecute", t.Effect)
	case t.Key == "" && t.Operator != corev1.TolerationOpExists:
		return errors.New("without a key the operator has to be Exists, which tolerates every taint")
	case t.Operator == corev1.TolerationOpExists && t.Value != "":
		return fmt.Errorf("value %q has no meaning with the operator Exists: remove one of them", t.Value)
	case t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute:
		return errors.New("tolerationSeconds needs the effect NoExecute")
	}
	if list := validation.IsQualifiedName(t.Key); t.Key != "" && len(list) > 0 {
		return fmt.Errorf("%q cannot be a taint's key: %s", t.Key, list[0])
	}
	if list := validation.IsValidLabelValue(t.Value); len(list) > 0 {
		return fmt.Errorf("%q cannot be a taint's value: %s", t.Value, list[0])
	}
	return nil
}

// architectures are those that Kubernetes calls otherwise than kernels and people do.
var architectures = map[string]string{
	"x86_64": "amd64", "x86-64": "amd64", "x64": "amd64", "aarch64": "arm64", "arm64v8": "arm64", "i386": "386", "i686": "386", "armv7l": "arm", "armhf": "arm",
}
