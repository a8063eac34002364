package observe

import (
	"fmt"

	"github.com/alphapulse/alphapulse-infra/components/monitoring/config"
	"github.com/alphapulse/alphapulse-infra/components/room/board"
	"github.com/alphapulse/alphapulse-infra/components/room/rule"
)

// busy is how many periods of the scheduler, of a tenth of a second each, a container has
// work in within five minutes, from which on a share of them means something: what wakes up
// for a moment every few seconds needs all it may have then, and harms nobody by waiting.
const busy = 300

// ofContainer selects the series of one container: that of its pod has no container, and what
// some kubelets say a second time elsewhere no image.
const ofContainer = `{job="` + config.KubeletJob + `",container!="",image!=""}`

// throttled is the share of its periods in which a container was held back.
func throttled(by, window, atLeast string) string {
	of := func(metric string) string {
		return fmt.Sprintf(`sum by (%s) (increase(container_cpu_cfs_%s_total%s[%s]))`, by, metric, ofContainer, window)
	}
	if atLeast != "" {
		return fmt.Sprintf(`%s / (%s > %s)`, of("throttled_periods"), of("periods"), atLeast)
	}
	return of("throttled_periods") + " / " + of("periods")
}

// containers tells which containers get less than they need.
func (w Watched) containers() []rule.Rule {
	if !w.Containers {
		return nil
	}
	return []rule.Rule{rule.Alert("ContainerThrottled", rule.Warning, "15m",
		fmt.Sprintf(`%s > %g`, throttled("job, namespace, pod, container", "5m", fmt.Sprint(busy)), w.Limits.Throttled),
		"A container is held back at its CPU limit",
		"Container {{ $labels.container }} of pod {{ $labels.pod }} has had to wait in {{ $value | humanizePercentage }} of the time in which it had work, for 15 minutes: its CPU limit is too low for what it does.")}
}

// taken shows what the pods take of CPU, memory and network, against their limits.
func (w Watched) taken() []board.Contribution {
	if !w.Containers {
		return nil
	}
	byPod := func(expr, legend string) board.Query {
		return board.Query{Expr: "sum by (pod) (" + expr + ")", Legend: legend}
	}
	used := func(expr, resource string) board.Query {
		return board.Query{Legend: "{{pod}}",
			Expr: fmt.Sprintf(`sum by (pod) (%s) / sum by (pod) (kube_pod_container_resource_limits{resource=%q})`, expr, resource)}
	}
	const (
		cpu    = `rate(container_cpu_usage_seconds_total` + ofContainer + `[$__rate_interval])`
		memory = `container_memory_working_set_bytes` + ofContainer
		// The network is the pod's: its series have no container.
		received = `rate(container_network_receive_bytes_total{job="` + config.KubeletJob + `"}[$__rate_interval])`
		sent     = `rate(container_network_transmit_bytes_total{job="` + config.KubeletJob + `"}[$__rate_interval])`
	)
	row := func(title string, panels ...board.Panel) board.Contribution {
		return board.Contribution{Dashboard: Platform, Row: title, Panels: panels}
	}
	return []board.Contribution{
		row("CPU",
			board.Series("CPU of pods", "short", 3, byPod(cpu, "{{pod}}")).Description("In cores."),
			board.Series("CPU of their limits", "percentunit", 3, used(cpu, "cpu")).
				Description("What the containers of a pod take together, of what they may take together."),
			board.Line(board.Series("Throttled", "percentunit", 3, board.Query{Expr: throttled("pod, container", "5m", ""), Legend: "{{pod}} {{container}}"}).
				Description(fmt.Sprintf("In which share of its time a container waited at its CPU limit. The alert leaves out those that have work in less than %d of 3000 periods.", busy)).Max(1),
				w.Limits.Throttled)),
		row("Memory",
			board.Series("Memory of pods", "bytes", 2, byPod(memory, "{{pod}}")).Description("The working set, which counts against the limit."),
			board.Series("Memory of their limits", "percentunit", 2, used(memory, "memory")).
				Description("What the containers of a pod take together, of what they may take together.")),
		row("Network",
			board.Series("Received by pods", "Bps", 2, byPod(received, "{{pod}}")),
			board.Series("Sent by pods", "Bps", 2, byPod(sent, "{{pod}}"))),
	}
}
